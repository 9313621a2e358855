"""Several manifests as one: to train on all of them, or to see how a model carries over from one to another.

Every image keeps its split. What a source did not look for is "not-labelled" in its rows: unknown, never absent.
docs/how-to/combine-sources.md.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Annotated, Literal

import pandas as pd
from pydantic import BaseModel, Field

from pocketcxr.domain.errors import ManifestError, UnknownNameError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.rules import TABLE_COLUMNS, label_column
from pocketcxr.manifest.schema import Manifest, ManifestHeader, read_manifest, validate

SOURCE = "combine"
SAME_RADIOGRAPHS: tuple[frozenset[str], ...] = (frozenset({"chestxray14", "chestmnist"}),)
"""Sources that hold the same people's radiographs under other names: no split keeps these people apart."""


class CombineConfig(BaseModel, frozen=True, extra="forbid"):
    """Which manifests become one."""

    source: Literal["combine"] = "combine"
    manifests: Annotated[tuple[Path, ...], Field(min_length=2)]
    """Files of `pocketcxr prepare`, relative to the folder given; each of other sources than the rest."""
    findings: tuple[str, ...] | None = None
    """Only these, in this order; None is every finding of any of them."""
    simulated_with_real: bool = False
    """Whether phantoms may stand beside people. The whole then counts as simulated: it says nothing about people."""


def read(root: Path, config: CombineConfig, progress: Progress = silent) -> Manifest:
    """The manifests of the config as one. Raises ManifestError or UnknownNameError."""
    manifests = []
    for done, path in enumerate(config.manifests):
        manifests.append(read_manifest(root / path))
        progress("manifests", done + 1, len(config.manifests))
    return combine(manifests, config.findings, simulated_with_real=config.simulated_with_real)


def combine(
    manifests: Sequence[Manifest], findings: Sequence[str] | None = None, simulated_with_real: bool = False
) -> Manifest:
    """All rows of all manifests, one after the other, validated; findings=None keeps every finding of any of them.

    Image, patient and study ids become SOURCE.id, so that equal ids of two sources stay two. Paths are relative to the
    manifests' common folder. Raises ManifestError where a source comes twice, sources hold the same radiographs or
    phantoms meet people; UnknownNameError where no manifest has a finding asked for.
    """
    _check_sources(manifests)
    _check_simulated(manifests, simulated_with_real)
    kept = _findings(manifests, findings)
    root = _common_root(manifests)
    parts = [_moved(_prefixed(manifest), root) for manifest in manifests]
    regions = pd.concat([part.regions for part in parts], ignore_index=True)
    header = ManifestHeader(
        source=SOURCE,
        root=root,
        findings=kept,
        is_simulated=any(part.header.is_simulated for part in parts),
        is_labels_only=any(part.header.is_labels_only for part in parts),
        notes=_notes(manifests),
    )
    combined = Manifest(
        table=pd.concat([_with_findings(part, kept) for part in parts], ignore_index=True),
        regions=regions[regions["finding"].isin(kept)].reset_index(drop=True),
        header=header,
        refused=tuple(refusal for part in parts for refusal in part.refused),
    )
    validate(combined, "combined manifest")
    return combined


def _sources(manifest: Manifest) -> list[str]:
    return sorted(manifest.table["source"].unique())


def _check_sources(manifests: Sequence[Manifest]) -> None:
    if len(manifests) < 2:
        raise ManifestError(f"combining takes at least two manifests, {len(manifests)} given - name another one")
    seen: set[str] = set()
    for manifest in manifests:
        twice = sorted(seen.intersection(_sources(manifest)))
        if twice:
            raise ManifestError(
                f"manifest of {manifest.header.root}: source {twice[0]!r} is in an earlier manifest already, its "
                "images could be there twice - give each source once; tables and DICOM folders take names of their "
                "own: --set name=..."
            )
        seen.update(_sources(manifest))
    for same in SAME_RADIOGRAPHS:
        if len(same & seen) > 1:
            raise ManifestError(
                f"{' and '.join(sorted(same & seen))} hold the same people's radiographs without a common patient id: "
                "people seen in training would come back in the test - give one of them"
            )


def _check_simulated(manifests: Sequence[Manifest], simulated_with_real: bool) -> None:
    kinds = {manifest.header.is_simulated for manifest in manifests}
    if len(kinds) == 2 and not simulated_with_real:
        phantoms = ", ".join(m.header.root for m in manifests if m.header.is_simulated)
        raise ManifestError(
            f"the manifests of {phantoms} are simulated, the others are of people: scores on both together say nothing "
            "about people - give one kind, or ask for it: --set simulated_with_real=true"
        )


def _findings(manifests: Sequence[Manifest], findings: Sequence[str] | None) -> tuple[str, ...]:
    """The findings of the whole: those asked for, else each one where it first comes."""
    available = tuple(dict.fromkeys(finding for manifest in manifests for finding in manifest.findings))
    if findings is None:
        return available
    for finding in findings:
        if finding not in available:
            raise UnknownNameError.of("finding", finding, available)
    return tuple(dict.fromkeys(findings))


def _common_root(manifests: Sequence[Manifest]) -> str:
    try:
        return os.path.commonpath([manifest.header.root for manifest in manifests])
    except ValueError as error:
        roots = ", ".join(manifest.header.root for manifest in manifests)
        raise ManifestError(f"{roots}: have no folder in common ({error}) - move the images to one disk") from error


def _prefixed(manifest: Manifest) -> Manifest:
    """The manifest with SOURCE. before its ids; one that was combined before has them already."""
    if manifest.header.source == SOURCE:
        return manifest
    table, regions = manifest.table, manifest.regions
    # No source has a full stop in its name, so what comes before the first one is the source.
    ids = {name: table["source"] + "." + table[name] for name in ("image_id", "patient_id", "study_id")}
    source_of = table.set_index("image_id")["source"]
    region_ids = regions["image_id"].map(source_of).astype("str") + "." + regions["image_id"]
    return replace(manifest, table=table.assign(**ids), regions=regions.assign(image_id=region_ids))


def _moved(manifest: Manifest, root: str) -> Manifest:
    """The manifest with its paths relative to `root`, a folder above its own."""
    folder = PurePath(manifest.header.root).relative_to(root).as_posix()
    if folder == ".":
        return manifest
    return replace(
        manifest,
        table=manifest.table.assign(path=f"{folder}/" + manifest.table["path"]),
        refused=tuple(replace(refusal, path=f"{folder}/{refusal.path}") for refusal in manifest.refused),
    )


def _with_findings(manifest: Manifest, findings: Sequence[str]) -> pd.DataFrame:
    """The table with exactly the label columns of `findings`; those it lacks were not looked for."""
    labels = {
        label_column(finding): manifest.table[label_column(finding)]
        if finding in manifest.findings
        else pd.Series(LabelState.NOT_LABELLED.value, index=manifest.table.index, dtype="str")
        for finding in findings
    }
    return manifest.table[list(TABLE_COLUMNS)].assign(**labels)


def _notes(manifests: Sequence[Manifest]) -> tuple[str, ...]:
    notes = []
    for manifest in manifests:
        names = ", ".join(_sources(manifest))
        kind = " SIMULATED" if manifest.header.is_simulated else ""
        notes.append(f"Combined: {names},{kind} {manifest.num_images:,} images of {manifest.header.root}.")
        notes += [f"{names}: {note}" for note in manifest.header.notes]
    return tuple(notes)
