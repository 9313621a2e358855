"""What to simulate, and how wrong its labels are."""

from typing import Annotated

from pydantic import BaseModel, Field, field_validator

from pocketcxr.domain.errors import ConfigError, UnknownNameError
from pocketcxr.domain.findings import CHESTXRAY14, CHEXPERT

LAYOUTS: tuple[str, ...] = ("chestxray14", "chexpert", "padchest", "chestmnist")

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

UNCERTAIN: dict[str, float] = {
    "No_Finding": 0.0,
    "Enlarged_Cardiomediastinum": 0.528,
    "Cardiomegaly": 0.223,
    "Lung_Opacity": 0.045,
    "Lung_Lesion": 0.136,
    "Edema": 0.192,
    "Consolidation": 0.653,
    "Pneumonia": 0.774,
    "Atelectasis": 0.501,
    "Pneumothorax": 0.133,
    "Effusion": 0.111,
    "Pleural_Other": 0.420,
    "Fracture": 0.063,
    "Support_Devices": 0.008,
}
"""At strength 1, of CheXpert's observations named as there or perhaps there, the share that is perhaps there (-1).

Counted over the 191,027 frontal images of CheXpert's train.csv, as are the shares of UNMENTIONED.
"""

UNMENTIONED: dict[str, float] = {
    "No_Finding": 1.0,
    "Enlarged_Cardiomediastinum": 0.911,
    "Cardiomegaly": 0.951,
    "Lung_Opacity": 0.945,
    "Lung_Lesion": 0.996,
    "Edema": 0.877,
    "Consolidation": 0.872,
    "Pneumonia": 0.989,
    "Atelectasis": 0.992,
    "Pneumothorax": 0.720,
    "Effusion": 0.758,
    "Pleural_Other": 0.999,
    "Fracture": 0.989,
    "Support_Devices": 0.936,
}
"""At strength 1, of CheXpert's observations not named as there, the share that is not named at all (blank)."""

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
    uncertain: dict[str, Rate] = UNCERTAIN
    """Layout chexpert: of what a report names, the share it is not sure of, by observation."""
    unmentioned: dict[str, Rate] = UNMENTIONED
    """Layout chexpert: of what a report does not find, the share it does not speak of, by observation."""

    @field_validator("false_negative", "false_positive")
    @classmethod
    def _findings_have_rates(cls, rates: dict[str, float]) -> dict[str, float]:
        return _whole(rates, CHESTXRAY14)

    @field_validator("uncertain", "unmentioned")
    @classmethod
    def _observations_have_rates(cls, rates: dict[str, float]) -> dict[str, float]:
        return _whole(rates, CHEXPERT)


def _whole(rates: dict[str, float], findings: tuple[str, ...]) -> dict[str, float]:
    """The rates, once it is sure that each finding has one."""
    for name in rates:
        if name not in findings:
            raise UnknownNameError.of("finding", name, findings)
    missing = [name for name in findings if name not in rates]
    if missing:
        raise ConfigError(
            f"label_noise: no rate for {', '.join(missing)}; give each of the {len(findings)} findings one (0 for none)"
        )
    return rates


class PhantomConfig(BaseModel, frozen=True, extra="forbid"):
    """One simulated data set. Equal configs give equal files, byte for byte, on any number of workers."""

    layout: str = "chestxray14"
    images: Annotated[int, Field(ge=1, le=10_000_000)]
    size: Annotated[int, Field(ge=28, le=2048)] = 256
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    prevalence_scale: Annotated[float, Field(gt=0, le=50)] = 1.0
    """Multiplies every finding's published prevalence (at most to 0.4): small sets otherwise have few positives."""
    test_fraction: Rate = 0.2
    """Share of the test patients; unless this is 0 or 1, at least one of two or more is on either side."""
    max_images_per_patient: Annotated[int, Field(ge=1, le=20)] = 12
    """Patients with more are left out of the published distribution, whose table in prevalence.py ends at 20."""
    label_noise: LabelNoise = LabelNoise()

    @field_validator("layout")
    @classmethod
    def _layout_exists(cls, name: str) -> str:
        if name not in LAYOUTS:
            raise UnknownNameError.of("layout", name, LAYOUTS)
        return name

    def told(self) -> str:
        """The settings that the layout uses, as JSON: equal texts, equal files."""
        is_stated = self.layout == "chexpert"
        return self.model_dump_json(exclude=None if is_stated else {"label_noise": {"uncertain", "unmentioned"}})
