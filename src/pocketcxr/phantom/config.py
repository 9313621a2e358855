"""What to simulate, and how wrong its labels are."""

from typing import Annotated

from pydantic import BaseModel, Field, field_validator

from pocketcxr.domain.errors import ConfigError, UnknownNameError
from pocketcxr.domain.findings import CHESTXRAY14

LAYOUTS: tuple[str, ...] = ("chestxray14",)

Rate = Annotated[float, Field(ge=0, le=1)]

FALSE_NEGATIVE: dict[str, float] = {
    "Atelectasis": 0.20,
    "Cardiomegaly": 0.25,
    "Effusion": 0.12,
    "Infiltration": 0.25,
    "Mass": 0.15,
    "Nodule": 0.25,
    "Pneumonia": 0.30,
    "Pneumothorax": 0.10,
    "Consolidation": 0.25,
    "Edema": 0.20,
    "Emphysema": 0.25,
    "Fibrosis": 0.25,
    "Pleural_Thickening": 0.30,
    "Hernia": 0.20,
}
"""At strength 1, how often a finding that is there is not in the label: reports omit the known and the minor."""

FALSE_POSITIVE: dict[str, float] = {
    "Atelectasis": 0.20,
    "Cardiomegaly": 0.15,
    "Effusion": 0.12,
    "Infiltration": 0.25,
    "Mass": 0.10,
    "Nodule": 0.15,
    "Pneumonia": 0.35,
    "Pneumothorax": 0.15,
    "Consolidation": 0.20,
    "Edema": 0.20,
    "Emphysema": 0.15,
    "Fibrosis": 0.20,
    "Pleural_Thickening": 0.15,
    "Hernia": 0.05,
}
"""At strength 1, false labels as a share of the finding's prevalence: negations ("no effusion") read as findings."""

LOOK_ALIKES: tuple[tuple[str, ...], ...] = (
    ("Infiltration", "Pneumonia", "Consolidation"),
    ("Nodule", "Mass"),
    ("Effusion", "Pleural_Thickening"),
    ("Atelectasis", "Fibrosis"),
)
"""Findings that readers and reports name for one another."""


class LabelNoise(BaseModel, frozen=True, extra="forbid"):
    """How labels mined from reports differ from the truth. Rates hold at strength 1 and scale with `strength`.

    The kinds of error follow what was written about the labels of ChestX-ray14 (Wang et al. 2017, arXiv 1705.02315;
    Oakden-Rayner 2020, doi 10.1016/j.acra.2019.10.006); the rates are round figures, not estimates.
    """

    strength: Rate = 0.0
    false_negative: dict[str, Rate] = FALSE_NEGATIVE
    false_positive: dict[str, Rate] = FALSE_POSITIVE
    confusion: Rate = 0.20
    """Of findings that are there, mentioned, and have a look-alike: the share labelled as the look-alike instead."""
    carried_over: Rate = 0.15
    """Of findings gone since the patient's image before: the share that the report still names."""

    @field_validator("false_negative", "false_positive")
    @classmethod
    def _rates_are_whole(cls, rates: dict[str, float]) -> dict[str, float]:
        for name in rates:
            if name not in CHESTXRAY14:
                raise UnknownNameError.of("finding", name, CHESTXRAY14)
        missing = [name for name in CHESTXRAY14 if name not in rates]
        if missing:
            raise ConfigError(
                f"label_noise: no rate for {', '.join(missing)}; give each of the 14 findings one (0 for none)"
            )
        return rates


class PhantomConfig(BaseModel, frozen=True, extra="forbid"):
    """One simulated data set. Equal configs give equal files, byte for byte, on any number of workers."""

    layout: str = "chestxray14"
    images: Annotated[int, Field(ge=1, le=10_000_000)]
    size: Annotated[int, Field(ge=32, le=2048)] = 256
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    prevalence_scale: Annotated[float, Field(gt=0, le=50)] = 1.0
    """Multiplies every finding's published prevalence (at most to 0.4): small sets otherwise have few positives."""
    test_fraction: Rate = 0.2
    """Share of the patients in test_list.txt; unless this is 0 or 1, at least one of two or more is on either side."""
    max_images_per_patient: Annotated[int, Field(ge=1, le=20)] = 12
    """Patients with more are left out of the published distribution, whose table in prevalence.py ends at 20."""
    label_noise: LabelNoise = LabelNoise()

    @field_validator("layout")
    @classmethod
    def _layout_exists(cls, name: str) -> str:
        if name not in LAYOUTS:
            raise UnknownNameError.of("layout", name, LAYOUTS)
        return name
