"""The layout of CheXpert: official columns and paths, three parts without a common patient, truth beside the labels."""

from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pocketcxr.domain.study import Split
from pocketcxr.phantom.config import LabelNoise, PhantomConfig
from pocketcxr.phantom.layouts.chexpert import HEADER, PARTS
from pocketcxr.phantom.picture import NOTICE
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.write import simulate

Rows = Callable[[Path], list[dict[str, str]]]

NOISY = PhantomConfig(
    layout="chexpert", images=120, size=32, seed=4, prevalence_scale=3, label_noise=LabelNoise(strength=1)
)
OBSERVATIONS = HEADER[5:-1]
ARCHIVE = "CheXpert-v1.0-small/"


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("chexpert") / "noisy", NOISY)


@pytest.mark.skipif(find_spec("torchxrayvision") is None, reason="the official table comes with torchxrayvision")
def test_the_header_is_that_of_the_real_table() -> None:
    spec = find_spec("torchxrayvision")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    real = pd.read_csv(Path(spec.submodule_search_locations[0]) / "data" / "chexpert_train.csv.gz", nrows=1)
    assert (*real.columns, "Simulated") == HEADER


def test_tables_name_every_image_once_and_every_image_is_there(noisy: Path, rows: Rows) -> None:
    paths = [row["Path"] for part in PARTS.values() for row in rows(noisy / f"{part}.csv")]
    files = [f"{ARCHIVE}{path.relative_to(noisy).as_posix()}" for path in noisy.rglob("*.jpg")]
    assert sorted(paths) == sorted(files)
    assert len(set(paths)) == NOISY.images
    for part in PARTS.values():
        names = [row["Path"] for row in rows(noisy / f"{part}.csv")]
        assert names == [row["Path"] for row in rows(noisy / f"{part}_clean.csv")]
        assert all(name.startswith(f"{ARCHIVE}{part}/patient") for name in names)


def test_images_are_gray_jpeg_files_that_say_they_are_simulated(noisy: Path) -> None:
    for path in noisy.rglob("*.jpg"):
        with Image.open(path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "L", (32, 32))
            assert NOTICE.encode() in picture.info["comment"]
    assert all(table.read_text().splitlines()[1].endswith(",yes") for table in noisy.glob("*.csv"))


def test_no_patient_is_in_two_parts(noisy: Path, rows: Rows) -> None:
    patients = {part: {row["Path"].split("/")[2] for row in rows(noisy / f"{part}.csv")} for part in PARTS.values()}
    assert all(patients.values())
    assert sum(len(people) for people in patients.values()) == len(set().union(*patients.values()))


def test_people_and_views_are_those_of_the_plan(noisy: Path, rows: Rows) -> None:
    for split, part in PARTS.items():
        told = [(row["Sex"], row["Age"], row["Frontal/Lateral"], row["AP/PA"]) for row in rows(noisy / f"{part}.csv")]
        planned = [image for image in plan(NOISY) if image.split is split]
        sexes = {"F": "Female", "M": "Male"}
        assert told == [(sexes[i.sex.value], str(i.age_years), "Frontal", i.view.value) for i in planned]


def test_training_labels_have_all_four_states_and_the_other_parts_the_truth(noisy: Path, rows: Rows) -> None:
    for part in PARTS.values():
        labels, truth = (rows(noisy / f"{part}{suffix}.csv") for suffix in ("", "_clean"))
        assert {row[name] for row in truth for name in OBSERVATIONS} == {"1.0", "0.0"}
        if part == "train":
            assert {row[name] for row in labels for name in OBSERVATIONS} == {"1.0", "0.0", "-1.0", ""}
        else:
            assert labels == truth


def test_shares_of_the_states_are_near_the_published_ones_in_a_whole_table(noisy: Path, rows: Rows) -> None:
    table = rows(noisy / "train.csv")
    effusion = Counter(row["Pleural Effusion"] for row in table)
    assert effusion[""] / (effusion[""] + effusion["0.0"]) == pytest.approx(0.758, abs=0.2)
    assert {row["No Finding"] for row in table} == {"1.0", ""}
    named = Counter(row[name] for row in table for name in ("Atelectasis", "Consolidation", "Pneumonia"))
    assert named["-1.0"] / (named["-1.0"] + named["1.0"]) == pytest.approx(0.6, abs=0.2)


def test_the_clean_table_is_what_the_plan_put_there(noisy: Path, rows: Rows) -> None:
    planned = [image for image in plan(NOISY) if image.split is Split.TRAIN]
    for image, row in zip(planned, rows(noisy / "train_clean.csv"), strict=True):
        assert (row["Cardiomegaly"] == "1.0") == ("Cardiomegaly" in image.truth)
        assert (row["Lung Lesion"] == "1.0") == bool({"Mass", "Nodule"} & set(image.truth))
        assert (row["No Finding"] == "1.0") == (not image.truth)
    supported = {row["Image Index"] for row in rows(noisy / "devices.csv") if row["Device"] != "sternal-wires"}
    for part in PARTS.values():
        for row in rows(noisy / f"{part}_clean.csv"):
            assert (row["Support Devices"] == "1.0") == (row["Path"].removeprefix(ARCHIVE) in supported)


def test_without_noise_training_labels_are_the_truth(tmp_path: Path) -> None:
    config = NOISY.model_copy(update={"images": 30, "label_noise": LabelNoise()})
    out = simulate(tmp_path / "clean", config)
    assert (out / "train.csv").read_bytes() == (out / "train_clean.csv").read_bytes()
