"""The layout of ChestMNIST: names, types and shapes as MedMNIST's, images and labels in one order."""

import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import Split
from pocketcxr.phantom.config import LabelNoise, PhantomConfig
from pocketcxr.phantom.layouts.chestmnist import PARTS, SIZES, archive_stem
from pocketcxr.phantom.picture import NOTICE
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.render import RenderRequest, render
from pocketcxr.phantom.write import simulate

Rows = Callable[[Path], list[dict[str, str]]]

NOISY = PhantomConfig(
    layout="chestmnist", images=90, size=28, seed=4, prevalence_scale=3, label_noise=LabelNoise(strength=1)
)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("chestmnist") / "noisy", NOISY)


def test_archives_are_named_as_medmnist_names_them() -> None:
    names = ["chestmnist", "chestmnist_64", "chestmnist_128", "chestmnist_224"]
    assert [archive_stem(size) for size in SIZES] == names


def test_arrays_have_the_names_types_and_shapes_of_medmnist(noisy: Path) -> None:
    with np.load(noisy / "chestmnist.npz", allow_pickle=False) as archive:
        assert archive.files == [f"{part}_{what}" for part in PARTS.values() for what in ("images", "labels")]
        for split, part in PARTS.items():
            count = sum(image.split is split for image in plan(NOISY))
            images, labels = archive[f"{part}_images"], archive[f"{part}_labels"]
            assert (images.shape, images.dtype) == ((count, 28, 28), np.uint8)
            assert (labels.shape, labels.dtype) == ((count, 14), np.uint8)
            assert set(np.unique(labels)) <= {0, 1}


@pytest.mark.slow  # importing medmnist imports torch
@pytest.mark.skipif(find_spec("medmnist") is None, reason="medmnist is not installed")
def test_labels_are_in_the_order_of_medmnist() -> None:
    import medmnist

    official = list(medmnist.INFO["chestmnist"]["label"].values())
    assert official == [{"Pleural_Thickening": "pleural"}.get(name, name.lower()) for name in CHESTXRAY14]


@pytest.mark.slow  # importing medmnist imports torch
@pytest.mark.skipif(find_spec("medmnist") is None, reason="medmnist is not installed")
def test_medmnist_reads_it(tmp_path: Path) -> None:
    from medmnist import ChestMNIST

    config = NOISY.model_copy(update={"images": 20, "size": 64})
    simulate(tmp_path / "out", config)
    images = [image for image in plan(config) if image.split is Split.TRAIN]
    data = ChestMNIST(split="train", root=str(tmp_path / "out"), size=64)
    # Not len(data): that compares the count with the official one.
    for row, image in enumerate(images):
        picture, labels = data[row]
        assert (picture.size, picture.mode) == ((64, 64), "L")
        assert {name for name, flag in zip(CHESTXRAY14, labels, strict=True) if flag} == set(image.labels)


def test_labels_are_noisy_beside_clean_ones_and_in_the_order_of_the_images(noisy: Path) -> None:
    with np.load(noisy / "chestmnist.npz") as labelled, np.load(noisy / "chestmnist_clean.npz") as clean:
        assert clean.files == [f"{part}_labels" for part in PARTS.values()]
        for split, part in PARTS.items():
            images = [image for image in plan(NOISY) if image.split is split]
            for row, image in enumerate(images):
                told, true = (
                    {CHESTXRAY14[column] for column in np.flatnonzero(archive[f"{part}_labels"][row])}
                    for archive in (labelled, clean)
                )
                assert (told, true) == (set(image.labels), set(image.truth))
            request = RenderRequest(
                28, NOISY.seed, images[-1].patient, images[-1].study, images[-1].view, images[-1].severities
            )
            assert (labelled[f"{part}_images"][-1] == render(request).pixels).all()
        assert (labelled["train_labels"] != clean["train_labels"]).any()


def test_boxes_name_the_images_by_part_and_row(noisy: Path, rows: Rows) -> None:
    told = {(row["Image Index"], row["Finding Label"]) for row in rows(noisy / "boxes.csv")}
    wanted = {
        (f"{part}/{row:06d}.png", finding)
        for split, part in PARTS.items()
        for row, image in enumerate(image for image in plan(NOISY) if image.split is split)
        for finding in image.truth
    }
    assert told == wanted
    assert {row["Simulated"] for row in rows(noisy / "boxes.csv")} == {"yes"}


def test_archives_say_that_they_are_simulated_and_nothing_else_is_left(noisy: Path) -> None:
    for path in noisy.glob("*.npz"):
        with zipfile.ZipFile(path) as archive:
            assert archive.comment == NOTICE.encode()
    left = {"SIMULATED.txt", "boxes.csv", "devices.csv", "severities.csv", "chestmnist.npz", "chestmnist_clean.npz"}
    assert {path.name for path in noisy.iterdir()} == left


def test_a_part_without_a_patient_is_empty(tmp_path: Path) -> None:
    config = NOISY.model_copy(update={"images": 1, "test_fraction": 0.0})
    simulate(tmp_path / "one", config)
    with np.load(tmp_path / "one" / "chestmnist.npz") as archive:
        shapes = {name: archive[name].shape for name in archive.files}
    assert shapes["test_images"] == (0, 28, 28)
    assert shapes["test_labels"] == (0, 14)
    assert sum(shapes[f"{part}_images"][0] for part in PARTS.values()) == 1
