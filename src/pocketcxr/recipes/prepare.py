"""A data set's folder -> a manifest on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.manifest import combine
from pocketcxr.manifest.combine import CombineConfig
from pocketcxr.manifest.mapping import LabelMapping
from pocketcxr.manifest.schema import Manifest, write_manifest
from pocketcxr.manifest.sources import chestxray14, chexpert, dicom, mimic_cxr_jpg, table
from pocketcxr.manifest.sources.chestxray14 import Chestxray14Config
from pocketcxr.manifest.sources.chexpert import ChexpertConfig
from pocketcxr.manifest.sources.dicom import DicomConfig
from pocketcxr.manifest.sources.mimic_cxr_jpg import MimicCxrJpgConfig
from pocketcxr.manifest.sources.table import TableConfig
from pocketcxr.manifest.summary import Summary, summarise
from pocketcxr.recipes.config import load_config

SourceConfig = Chestxray14Config | ChexpertConfig | MimicCxrJpgConfig | TableConfig | DicomConfig | CombineConfig


@dataclass(frozen=True)
class Source:
    """One reader: what its settings are called, and which label text becomes which finding."""

    config: type[SourceConfig]
    mappings: tuple[LabelMapping, ...]


SOURCES: dict[str, Source] = {
    chestxray14.SOURCE: Source(Chestxray14Config, chestxray14.MAPPINGS),
    chexpert.SOURCE: Source(ChexpertConfig, chexpert.MAPPINGS),
    mimic_cxr_jpg.SOURCE: Source(MimicCxrJpgConfig, mimic_cxr_jpg.MAPPINGS),
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
        case MimicCxrJpgConfig():
            return mimic_cxr_jpg.read(root, config, progress)
        case TableConfig():
            return table.read(root, config, progress)
        case DicomConfig():
            return dicom.read(root, config, progress)
        case CombineConfig():
            return combine.read(root, config, progress)
        case _:
            assert_never(config)


def prepare(config: SourceConfig, root: Path, out: Path, progress: Progress = silent) -> Summary:
    """The counts of the manifest, after writing it to `out` (.parquet). Raises what the source's reader raises."""
    manifest = read(config, root, progress)
    write_manifest(manifest, out)
    return summarise(manifest)
