"""What a header says is told, what it does not say stays unknown."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE

from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.dicom import read_facts
from pocketcxr.imaging.dicom_facts import NOTHING_KNOWN, SourceFacts, facts_of

WriteDicom = Callable[..., Path]


def header(**tags: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def test_an_empty_header_says_nothing() -> None:
    assert facts_of(Dataset(), ViewPosition.UNKNOWN) == NOTHING_KNOWN
    assert facts_of(header(Modality="", BodyPartExamined="", PatientAge=""), ViewPosition.UNKNOWN) == NOTHING_KNOWN


@pytest.mark.parametrize(
    ("text", "years"),
    [("058Y", 58.0), ("006M", 0.5), ("018Y", 18.0), ("026W", 26 * 7 / 365.25), ("58", None), ("ABCY", None)],
)
def test_ages_are_years_or_unknown(text: str, years: float | None) -> None:
    dataset = Dataset()
    dataset.add(DataElement("PatientAge", "AS", text, validation_mode=IGNORE))
    facts = facts_of(dataset, ViewPosition.UNKNOWN)
    assert facts.age_years == (None if years is None else pytest.approx(years))


def test_of_several_values_the_first_counts() -> None:
    facts = facts_of(header(Modality=["CR", "DX"], BodyPartExamined=["CHEST", "HAND"]), ViewPosition.UNKNOWN)
    assert (facts.modality, facts.body_part) == ("CR", "CHEST")


def test_facts_come_from_the_file(write_dicom: WriteDicom) -> None:
    def change(dataset: Dataset) -> None:
        dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "CR", "CHEST", "LL"
        dataset.PatientAge = "031Y"

    path = write_dicom(np.arange(1024, dtype=np.uint8).reshape(32, 32), 8, change)
    assert read_facts(path) == SourceFacts(
        modality="CR",
        sop_class="1.2.840.10008.5.1.4.1.1.1.1",
        sop_class_name="Digital X-Ray Image Storage - For Presentation",
        body_part="CHEST",
        view_position=ViewPosition.LATERAL,
        age_years=31.0,
    )
