"""A data set's folder -> a manifest on disk."""

from dataclasses import dataclass
from pathlib import Path

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.manifest.schema import write_manifest
from pocketcxr.manifest.sources import chestxray14
from pocketcxr.manifest.summary import Summary, summarise

SOURCES: tuple[str, ...] = (chestxray14.SOURCE,)


@dataclass(frozen=True)
class PrepareConfig:
    """What to read and how; the fields after `root` as in manifest/sources/chestxray14.py."""

    source: str
    root: Path
    validation_fraction: float = 0.125
    seed: int = 0
    label_table: str = "Data_Entry_2017_v2020.csv"
    labels_only: bool = False


def prepare(config: PrepareConfig, out: Path, progress: Progress = silent) -> Summary:
    """The counts of the manifest, after writing it to `out` (.parquet). Raises UnknownNameError, ManifestError."""
    if config.source not in SOURCES:
        raise UnknownNameError.of("source", config.source, SOURCES)
    options = chestxray14.Chestxray14Options(
        validation_fraction=config.validation_fraction,
        seed=config.seed,
        label_table=config.label_table,
        labels_only=config.labels_only,
    )
    manifest = chestxray14.read(config.root, options, progress)
    write_manifest(manifest, out)
    return summarise(manifest)
