"""A data set's folder -> a manifest on disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

import numpy as np

from pocketcxr.domain.errors import UnknownNameError, UsageError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.manifest import combine
from pocketcxr.manifest.card import write_card
from pocketcxr.manifest.combine import CombineConfig
from pocketcxr.manifest.leaks import check_leaks, refuse_leaks, sentences
from pocketcxr.manifest.mapping import LabelMapping
from pocketcxr.manifest.schema import Manifest, check_name, write_manifest
from pocketcxr.manifest.sources import (
    chestmnist,
    chestxray14,
    chexpert,
    dicom,
    mimic_cxr_jpg,
    open_i,
    padchest,
    table,
    vindr_cxr,
)
from pocketcxr.manifest.sources.chestmnist import ChestmnistConfig
from pocketcxr.manifest.sources.chestxray14 import Chestxray14Config
from pocketcxr.manifest.sources.chexpert import ChexpertConfig
from pocketcxr.manifest.sources.dicom import DicomConfig
from pocketcxr.manifest.sources.mimic_cxr_jpg import MimicCxrJpgConfig
from pocketcxr.manifest.sources.open_i import OpenIConfig
from pocketcxr.manifest.sources.padchest import PadchestConfig
from pocketcxr.manifest.sources.table import TableConfig
from pocketcxr.manifest.sources.vindr_cxr import VindrCxrConfig
from pocketcxr.manifest.summary import Summary, summarise
from pocketcxr.recipes.config import load_config

SourceConfig = (
    Chestxray14Config
    | ChexpertConfig
    | PadchestConfig
    | ChestmnistConfig
    | MimicCxrJpgConfig
    | VindrCxrConfig
    | OpenIConfig
    | TableConfig
    | DicomConfig
    | CombineConfig
)


@dataclass(frozen=True)
class Source:
    """One reader: what its settings are called, and which label text becomes which finding."""

    config: type[SourceConfig]
    mappings: tuple[LabelMapping, ...]


SOURCES: dict[str, Source] = {
    chestxray14.SOURCE: Source(Chestxray14Config, chestxray14.MAPPINGS),
    chexpert.SOURCE: Source(ChexpertConfig, chexpert.MAPPINGS),
    padchest.SOURCE: Source(PadchestConfig, padchest.MAPPINGS),
    chestmnist.SOURCE: Source(ChestmnistConfig, chestmnist.MAPPINGS),
    mimic_cxr_jpg.SOURCE: Source(MimicCxrJpgConfig, mimic_cxr_jpg.MAPPINGS),
    vindr_cxr.SOURCE: Source(VindrCxrConfig, vindr_cxr.MAPPINGS),
    open_i.SOURCE: Source(OpenIConfig, open_i.MAPPINGS),
    table.SOURCE: Source(TableConfig, table.MAPPINGS),
    dicom.SOURCE: Source(DicomConfig, dicom.MAPPINGS),
    combine.SOURCE: Source(CombineConfig, ()),
}
"""What can be read."""


def source_named(name: str) -> Source:
    """The reader of that name. Raises UnknownNameError."""
    if name not in SOURCES:
        raise UnknownNameError.of("source", name, SOURCES)
    return SOURCES[name]


def source_config(name: str, path: Path | None, overrides: Sequence[str]) -> SourceConfig:
    """The settings of a source from a YAML file and "key=value" texts. Raises UnknownNameError or ConfigError."""
    return load_config(source_named(name).config, path, overrides)


def read(config: SourceConfig, root: Path, progress: Progress = silent) -> Manifest:
    """The manifest of the source in `root`. Raises what its reader raises."""
    match config:
        case Chestxray14Config():
            return chestxray14.read(root, config, progress)
        case ChexpertConfig():
            return chexpert.read(root, config, progress)
        case PadchestConfig():
            return padchest.read(root, config, progress)
        case ChestmnistConfig():
            return chestmnist.read(root, config, progress)
        case MimicCxrJpgConfig():
            return mimic_cxr_jpg.read(root, config, progress)
        case VindrCxrConfig():
            return vindr_cxr.read(root, config, progress)
        case OpenIConfig():
            return open_i.read(root, config, progress)
        case TableConfig():
            return table.read(root, config, progress)
        case DicomConfig():
            return dicom.read(root, config, progress)
        case CombineConfig():
            return combine.read(root, config, progress)
        case _:
            assert_never(config)


@dataclass(frozen=True)
class PrepareOptions:
    """What is done beside reading and writing."""

    check_images: bool = False
    """Decode all images and look for the same exposure under two patients or in two splits."""
    card: Path | None = None
    """Folder for the data card, card.html and card.json."""


def prepare(
    config: SourceConfig,
    root: Path,
    out: Path,
    options: PrepareOptions = PrepareOptions(),  # noqa: B008 - frozen
    progress: Progress = silent,
) -> Summary:
    """The counts of the manifest, after writing it to `out` (.parquet). Raises what the source's reader raises.

    Raises ManifestError, and writes nothing but the card, where a patient, a study or an image is in two splits.
    """
    check_name(out)  # before minutes of reading
    manifest = read(config, root, progress)
    if options.check_images and manifest.header.is_labels_only:
        raise UsageError("--check-images looks at images and --labels-only does not; leave one of them out")
    leaks = check_leaks(manifest, options.check_images, progress)
    if options.card is not None:
        write_card(manifest, options.card, np.random.default_rng(0), leaks, progress)
    refuse_leaks(leaks, str(root))
    notes = (*manifest.header.notes, *sentences(leaks))
    told = replace(manifest, header=manifest.header.model_copy(update={"notes": notes}))
    write_manifest(told, out)
    return summarise(told)
