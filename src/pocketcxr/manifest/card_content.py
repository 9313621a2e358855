"""What a data card says, as plain values: counted from a manifest, written as JSON, set as a page by card.py."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pydantic import BaseModel
from scipy.stats import binomtest

from pocketcxr.domain.study import LabelState, Sex, Split, ViewPosition
from pocketcxr.manifest.rules import label_column
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.splits import split_digest

SCHEMA_VERSION = 1
AGE_EDGES = (0, 18, 40, 60, 80, np.inf)
AGE_BANDS = ("0-17", "18-39", "40-59", "60-79", "80+")
UNKNOWN = "unknown"
SPLITS = tuple(split.value for split in Split)
_NUM_SIZES = 5

Counts = dict[str, int]


class Spread(BaseModel, frozen=True, extra="forbid"):
    """Least, middle and greatest of some figures."""

    least: float
    median: float
    greatest: float


class Prevalence(BaseModel, frozen=True, extra="forbid"):
    """Share of the known labels that are present, with its 95 % interval (Wilson 1927), images taken as independent."""

    value: float
    low: float
    high: float


class StateCounts(BaseModel, frozen=True, extra="forbid"):
    """How often each label state occurs."""

    present: int
    absent: int
    uncertain: int
    unmentioned: int
    not_labelled: int

    @property
    def num_known(self) -> int:
        """Labels that say yes or no."""
        return self.present + self.absent


class Boxes(BaseModel, frozen=True, extra="forbid"):
    """The boxes of one finding."""

    num: int
    num_images: int
    area_share: Spread | None
    """Of their images' areas; None where no image's size is known."""


class FindingCard(BaseModel, frozen=True, extra="forbid"):
    """One finding."""

    finding: str
    splits: dict[str, StateCounts]
    total: StateCounts
    num_patients_present: int
    prevalence: Prevalence | None
    """None where no label is known."""
    boxes: Boxes | None
    """None where it has none."""


class SplitCard(BaseModel, frozen=True, extra="forbid"):
    """One split; counts are of images."""

    num_images: int
    num_patients: int
    num_studies: int
    images_per_patient: Spread | None
    views: Counts
    sexes: Counts
    ages: Counts
    """By band of years."""
    sources: Counts


class CoOccurrence(BaseModel, frozen=True, extra="forbid"):
    """Which findings are present in one image, [row][column] in the order of `findings`."""

    findings: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """Images with both; on the diagonal images with the one."""
    shares: tuple[tuple[float | None, ...], ...]
    """Of the images with the row's finding, how many have the column's; None where no image has the row's."""


class Sizes(BaseModel, frozen=True, extra="forbid"):
    """Heights and widths of the images in pixels."""

    num_unknown: int
    height: Spread | None
    width: Spread | None
    common: tuple[tuple[int, int, int], ...]
    """The most common sizes: (width, height, images)."""


class DataCard(BaseModel, frozen=True, extra="forbid"):
    """A manifest, counted."""

    schema_version: int = SCHEMA_VERSION
    source: str
    is_simulated: bool
    is_labels_only: bool
    num_images: int
    num_patients: int
    splits: dict[str, SplitCard]
    findings: tuple[FindingCard, ...]
    co_occurrence: CoOccurrence
    sizes: Sizes
    refused: Counts
    """Files and records that were left out, by code."""
    splits_sha256: str
    notes: tuple[str, ...]


def describe(manifest: Manifest) -> DataCard:
    """The card of the manifest; every split has its entry, also an empty one."""
    table = manifest.table
    shares = _area_shares(manifest)
    return DataCard(
        source=manifest.header.source,
        is_simulated=manifest.header.is_simulated,
        is_labels_only=manifest.header.is_labels_only,
        num_images=manifest.num_images,
        num_patients=manifest.num_patients,
        splits={split: _split(table[table["split"] == split]) for split in SPLITS},
        findings=tuple(_finding(manifest, finding, shares) for finding in manifest.findings),
        co_occurrence=_co_occurrence(manifest),
        sizes=_sizes(table),
        refused=_counted(pd.Series([refusal.code.value for refusal in manifest.refused], dtype="str")),
        splits_sha256=split_digest(table),
        notes=manifest.header.notes,
    )


def spoken(finding: str) -> str:
    """The finding as a person writes it: Pleural Thickening."""
    return finding.replace("_", " ")


def _split(rows: pd.DataFrame) -> SplitCard:
    bands = pd.cut(rows["age_years"], list(AGE_EDGES), right=False, labels=list(AGE_BANDS)).astype("str")
    return SplitCard(
        num_images=len(rows),
        num_patients=int(rows["patient_id"].nunique()),
        num_studies=int(rows["study_id"].nunique()),
        images_per_patient=_spread(rows["patient_id"].value_counts()),
        views=_counted(rows["view_position"], [view.value for view in ViewPosition]),
        sexes=_counted(rows["sex"], [sex.value for sex in Sex]),
        ages=_counted(bands.where(rows["age_years"].notna(), UNKNOWN), [*AGE_BANDS, UNKNOWN]),
        sources=_counted(rows["source"]),
    )


def _finding(manifest: Manifest, finding: str, area_shares: "pd.Series[float]") -> FindingCard:
    table = manifest.table
    states = table[label_column(finding)]
    total = _states(states)
    boxes = manifest.regions[manifest.regions["finding"] == finding]
    return FindingCard(
        finding=finding,
        splits={split: _states(states[table["split"] == split]) for split in SPLITS},
        total=total,
        num_patients_present=int(table["patient_id"][states == LabelState.PRESENT.value].nunique()),
        prevalence=_prevalence(total),
        boxes=None
        if boxes.empty
        else Boxes(
            num=len(boxes),
            num_images=int(boxes["image_id"].nunique()),
            area_share=_spread(area_shares[boxes.index].dropna()),
        ),
    )


def _states(states: "pd.Series[str]") -> StateCounts:
    counted = _counted(states, [state.value for state in LabelState])
    return StateCounts.model_validate({state.replace("-", "_"): count for state, count in counted.items()})


def _prevalence(states: StateCounts) -> Prevalence | None:
    if not states.num_known:
        return None
    interval = binomtest(states.present, states.num_known).proportion_ci(method="wilson")
    return Prevalence(value=states.present / states.num_known, low=float(interval.low), high=float(interval.high))


def _co_occurrence(manifest: Manifest) -> CoOccurrence:
    columns = [label_column(finding) for finding in manifest.findings]
    # As float the product runs in BLAS; counts up to 2**53 stay exact.
    is_present = (manifest.table[columns] == LabelState.PRESENT.value).to_numpy(dtype=np.float64)
    counts = (is_present.T @ is_present).astype(np.int64).tolist()
    return CoOccurrence(
        findings=manifest.findings,
        counts=tuple(tuple(row) for row in counts),
        shares=tuple(
            tuple(count / row[place] if row[place] else None for count in row) for place, row in enumerate(counts)
        ),
    )


def _sizes(table: pd.DataFrame) -> Sizes:
    known = table[(table["height"] > 0) & (table["width"] > 0)]
    common = known.groupby(["width", "height"]).size().sort_values(ascending=False, kind="stable").head(_NUM_SIZES)
    sizes = zip(common.index.tolist(), common.tolist(), strict=True)
    return Sizes(
        num_unknown=len(table) - len(known),
        height=_spread(known["height"]),
        width=_spread(known["width"]),
        common=tuple((int(width), int(height), int(count)) for (width, height), count in sizes),
    )


def _area_shares(manifest: Manifest) -> "pd.Series[float]":
    """Each box's share of its image's area, by the regions' index; NaN where the size is unknown."""
    regions = manifest.regions
    areas = (manifest.table["height"] * manifest.table["width"]).set_axis(manifest.table["image_id"])
    area = regions["image_id"].map(areas.where(areas > 0)).astype("float64")
    return regions["w"] * regions["h"] / area


def _counted(values: "pd.Series[str]", names: Sequence[str] | None = None) -> Counts:
    """How often each name occurs, in the order of `names`; without them in the order of the alphabet."""
    counts = values.value_counts()
    wanted = sorted(str(name) for name in counts.index) if names is None else names
    return {name: int(counts.get(name, 0)) for name in wanted}


def _spread(values: "pd.Series[int] | pd.Series[float]") -> Spread | None:
    if values.empty:
        return None
    return Spread(least=float(values.min()), median=float(values.median()), greatest=float(values.max()))
