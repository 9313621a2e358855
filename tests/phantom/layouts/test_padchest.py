"""The layout of PadChest: official columns, official label texts, 12 bits in files of 16."""

import ast
import csv
import gzip
from collections.abc import Callable
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketcxr.phantom.config import LabelNoise, PhantomConfig
from pocketcxr.phantom.layouts.padchest import (
    DEVICE_LABELS,
    LABELS,
    NETWORK,
    NORMAL,
    OFFICIAL_HEADER,
    PHYSICIAN,
    PROJECTIONS,
    TABLE,
)
from pocketcxr.phantom.picture import NOTICE
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.write import simulate

Rows = Callable[[Path], list[dict[str, str]]]

NOISY = PhantomConfig(
    layout="padchest", images=120, size=32, seed=4, prevalence_scale=3, label_noise=LabelNoise(strength=1)
)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("padchest") / "noisy", NOISY)


def findings_of(row: dict[str, str]) -> set[str]:
    """The labels of a row but for devices."""
    labels: list[str] = ast.literal_eval(row["Labels"])
    return set(labels) - set(DEVICE_LABELS.values()) - {NORMAL}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torchxrayvision") is None, reason="the official table comes with torchxrayvision")
def test_columns_and_texts_are_those_of_the_real_table() -> None:
    spec = find_spec("torchxrayvision")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "data" / f"{TABLE}.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        assert tuple(table.fieldnames or ()) == OFFICIAL_HEADER
        labels, views, methods = set[str](), set[tuple[str, str]](), set[str]()
        for row in table:
            # A missing list is "nan" there.
            labels |= {name.strip(" '") for name in row["Labels"].strip("[]").split(",")}
            views.add((row["ViewPosition_DICOM"], row["Projection"]))
            methods.add(row["MethodLabel"])
    assert {*LABELS.values(), *DEVICE_LABELS.values(), NORMAL} <= labels
    assert set(PROJECTIONS.values()) <= views
    assert {PHYSICIAN, NETWORK} == methods


def test_the_table_names_every_image_and_has_the_official_columns_first(noisy: Path, rows: Rows) -> None:
    table = rows(noisy / f"{TABLE}.csv")
    assert tuple(table[0]) == (*OFFICIAL_HEADER, "Simulated")
    assert {row["Simulated"] for row in table} == {"yes"}
    assert [row[""] for row in table] == [str(number) for number in range(NOISY.images)]
    files = sorted(path.relative_to(noisy).as_posix() for path in noisy.rglob("*.png"))
    assert sorted(f"{row['ImageDir']}/{row['ImageID']}" for row in table) == files


def test_images_have_twelve_bits_in_sixteen_and_say_they_are_simulated(noisy: Path) -> None:
    greatest = 0
    for path in noisy.rglob("*.png"):
        with Image.open(path) as picture:
            assert (picture.mode, picture.size) == ("I;16", (32, 32))
            assert picture.info["Simulated"] == NOTICE
            values = np.asarray(picture)
        assert values.max() <= 4095
        greatest = max(greatest, len(np.unique(values)))
    assert greatest > 256


def test_physicians_tell_the_truth_and_the_network_errs(noisy: Path, rows: Rows) -> None:
    table, clean = (rows(noisy / f"{TABLE}{suffix}.csv") for suffix in ("", "_clean"))
    for image, row, true in zip(plan(NOISY), table, clean, strict=True):
        truth, labelled = ({LABELS[name] for name in names} for names in (image.truth, image.labels))
        assert findings_of(true) == truth
        assert findings_of(row) == (truth if row["MethodLabel"] == PHYSICIAN else labelled)
        assert {**row, "Labels": "", "LabelsLocalizationsBySentence": ""} == {
            **true,
            "Labels": "",
            "LabelsLocalizationsBySentence": "",
        }
    share = np.mean([row["MethodLabel"] == PHYSICIAN for row in table])
    assert 0.1 < share < 0.4
    assert any(findings_of(row) != findings_of(true) for row, true in zip(table, clean, strict=True))


def test_an_image_without_any_label_is_normal_and_no_other(noisy: Path, rows: Rows) -> None:
    lists: list[list[str]] = [ast.literal_eval(row["Labels"]) for row in rows(noisy / f"{TABLE}.csv")]
    assert ["normal"] in lists
    assert all(labels and (NORMAL not in labels or labels == [NORMAL]) for labels in lists)


def test_devices_are_labelled_where_they_were_drawn(noisy: Path, rows: Rows) -> None:
    drawn = {(row["Image Index"], row["Device"]) for row in rows(noisy / "devices.csv")}
    wanted = {(name, DEVICE_LABELS[device]) for name, device in drawn if device in DEVICE_LABELS}
    told = {
        (row["ImageID"], label)
        for row in rows(noisy / f"{TABLE}.csv")
        for label in ast.literal_eval(row["Labels"])
        if label in DEVICE_LABELS.values()
    }
    assert told == wanted
    assert wanted


def test_ages_and_dates_agree_and_studies_follow_each_other(noisy: Path, rows: Rows) -> None:
    last: dict[str, datetime] = {}
    for image, row in zip(plan(NOISY), rows(noisy / f"{TABLE}.csv"), strict=True):
        day = datetime.strptime(row["StudyDate_DICOM"], "%Y%m%d")
        assert day.year - float(row["PatientBirth"]) == image.age_years
        assert row["PatientSex_DICOM"] == image.sex.value
        assert row["Projection"] == image.view.value
        patient = row["PatientID"]
        assert patient not in last or last[patient] < day
        last[patient] = day


def test_without_noise_all_labels_are_the_truth(tmp_path: Path) -> None:
    config = NOISY.model_copy(update={"images": 30, "label_noise": LabelNoise()})
    out = simulate(tmp_path / "clean", config)
    assert (out / f"{TABLE}.csv").read_bytes() == (out / f"{TABLE}_clean.csv").read_bytes()
