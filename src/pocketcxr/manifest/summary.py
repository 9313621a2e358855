"""What a manifest holds, counted: for a table a person reads or a program parses."""

from collections.abc import Mapping
from dataclasses import dataclass

from pocketcxr.domain.study import LabelState, Split, ViewPosition
from pocketcxr.manifest.rules import label_column
from pocketcxr.manifest.schema import Manifest


@dataclass(frozen=True)
class SplitSummary:
    """One split's counts; `present` by finding, `views` by view position."""

    num_images: int
    num_patients: int
    num_boxes: int
    views: Mapping[str, int]
    present: Mapping[str, int]


@dataclass(frozen=True)
class Summary:
    """A manifest's counts by split."""

    source: str
    root: str
    is_simulated: bool
    num_images: int
    num_patients: int
    findings: tuple[str, ...]
    splits: Mapping[str, SplitSummary]
    notes: tuple[str, ...]


def summarise(manifest: Manifest) -> Summary:
    """The counts of the manifest; every split has its entry, also an empty one."""
    return Summary(
        source=manifest.header.source,
        root=manifest.header.root,
        is_simulated=manifest.header.is_simulated,
        num_images=manifest.num_images,
        num_patients=manifest.num_patients,
        findings=manifest.findings,
        splits={split.value: _of_split(manifest, split) for split in Split},
        notes=manifest.header.notes,
    )


def _of_split(manifest: Manifest, split: Split) -> SplitSummary:
    rows = manifest.table[manifest.table["split"] == split.value]
    present = {
        finding: int((rows[label_column(finding)] == LabelState.PRESENT.value).sum()) for finding in manifest.findings
    }
    return SplitSummary(
        num_images=len(rows),
        num_patients=int(rows["patient_id"].nunique()),
        num_boxes=int(manifest.regions["image_id"].isin(rows["image_id"]).sum()),
        views={view.value: int((rows["view_position"] == view.value).sum()) for view in ViewPosition},
        present=present,
    )
