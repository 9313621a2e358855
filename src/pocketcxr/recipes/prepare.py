"""A data set's folder -> a manifest on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.manifest.mapping import LabelMapping
from pocketcxr.manifest.schema import Manifest, write_manifest
from pocketcxr.manifest.sources import chestxray14
from pocketcxr.manifest.sources.chestxray14 import Chestxray14Config
from pocketcxr.manifest.summary import Summary, summarise
from pocketcxr.recipes.config import load_config

SourceConfig = Chestxray14Config


@dataclass(frozen=True)
class Source:
    """One reader: what its settings are called, and which label text becomes which finding."""

    config: type[SourceConfig]
    mappings: tuple[LabelMapping, ...]


SOURCES: dict[str, Source] = {
    chestxray14.SOURCE: Source(Chestxray14Config, chestxray14.MAPPINGS),
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
        case _:
            assert_never(config)


def prepare(config: SourceConfig, root: Path, out: Path, progress: Progress = silent) -> Summary:
    """The counts of the manifest, after writing it to `out` (.parquet). Raises what the source's reader raises."""
    manifest = read(config, root, progress)
    write_manifest(manifest, out)
    return summarise(manifest)
