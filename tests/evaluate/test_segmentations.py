"""Masks from JSON files in CheXlocalize's two forms, and what is wrong with others."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.findings import CHEXPERT
from pocketcxr.evaluate.heatmaps import LocalisationSample
from pocketcxr.evaluate.segmentations import Segmentations, read_segmentations

HEIGHT, WIDTH = 20, 30
FIRST, SECOND = "valid/patient64541/study1/view1_frontal", "valid/patient64542/study1/view1_frontal"
SIZES = {FIRST: (HEIGHT, WIDTH), SECOND: (HEIGHT, WIDTH)}
SQUARE = [[[4, 5], [14, 5], [14, 12], [4, 12]]]

Read = Callable[[object], Segmentations]


def encoded(mask: np.ndarray) -> dict[str, object]:
    told = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(told["size"]), "counts": told["counts"].decode()}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write the content as JSON and read it as segmentations of the two images."""

    def write_and_read(content: object) -> Segmentations:
        path = tmp_path / "segmentations.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_segmentations(path, SIZES, CHEXPERT)

    return write_and_read


def test_masks_come_back_by_our_names_and_empty_ones_are_left_out(read: Read) -> None:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[3:9, 10:25] = True
    empty = encoded(np.zeros_like(mask))
    content = {"patient64541_study1_view1_frontal": {"Airspace Opacity": encoded(mask), "Pleural Effusion": empty}}
    found = read(content)
    assert found.findings(FIRST) == ("Lung_Opacity",)
    assert (found.mask(FIRST, "Lung_Opacity") == mask).all()
    assert found.findings(SECOND) == ()
    assert (found.missing, found.foreign) == ((SECOND,), ())


def test_polygons_are_drawn_and_an_empty_list_is_left_out(read: Read) -> None:
    entry = {"img_size": [HEIGHT, WIDTH], "Cardiomegaly": [*SQUARE, [[20, 2], [25, 2], [20, 6.5]]], "Edema": []}
    found = read({SECOND: entry})
    assert found.findings(SECOND) == ("Cardiomegaly",)
    mask = found.mask(SECOND, "Cardiomegaly")
    assert mask.shape == (HEIGHT, WIDTH)
    assert mask[5:13, 4:15].all()
    assert mask[3, 21]
    assert 88 < mask.sum() < 88 + 30
    sample = LocalisationSample("i", "p", "Cardiomegaly", mask.astype(np.float32), (), HEIGHT, WIDTH, mask)
    assert (sample.region == mask).all()


@pytest.mark.parametrize(
    "name", [FIRST, "patient64541/study1/view1_frontal", "valid_patient64541_study1_view1_frontal"]
)
def test_an_image_may_go_by_the_end_of_its_path(read: Read, name: str) -> None:
    assert read({name: {"img_size": [HEIGHT, WIDTH], "Edema": SQUARE}}).findings(FIRST) == ("Edema",)


def test_a_suffix_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"00000001_000": {"img_size": [9, 9], "Mass": [[[1, 1], [5, 1], [5, 5]]]}}))
    assert read_segmentations(path, {"00000001_000.png": (9, 9)}, ["Mass"]).findings("00000001_000.png") == ("Mass",)


def test_images_of_another_cohort_are_listed(read: Read) -> None:
    entry = {"img_size": [HEIGHT, WIDTH], "Edema": SQUARE}
    found = read({FIRST: entry, "patient00001_study1_view1_frontal": entry})
    assert (found.missing, found.foreign) == ((SECOND,), ("patient00001_study1_view1_frontal",))


WHOLE = {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "no segmentations as JSON"),
        ("[]", "no segmentations as JSON"),
        ({}, r"names none of the 2 images \(its first is 'none'"),
        (
            {"patient1_study1_view1_frontal": {"Edema": WHOLE}},
            "names none of the 2 images .*'patient1_study1_view1_fro",
        ),
        ({"view1_frontal": {"Edema": WHOLE}}, "may be several images"),
        ({FIRST: {"Edema": WHOLE}, "patient64541_study1_view1_frontal": {}}, "there twice"),
        ({FIRST: {"Edema": WHOLE, "edema": WHOLE}}, "has Edema twice"),
        ({FIRST: {"Oedemas": WHOLE}}, "finding 'Oedemas' is unknown"),
        ({FIRST: {"Edema": {"size": [HEIGHT, WIDTH + 1], "counts": "0"}}}, "an image of 20 x 31 .*has 20 x 30"),
        (
            {FIRST: {"Edema": {"size": [HEIGHT, WIDTH], "counts": "5"}}},
            "Edema: is no mask, its run lengths add up to 5",
        ),
        ({FIRST: {"Edema": {"size": [HEIGHT, WIDTH]}}}, "counts: Field required"),
        ({FIRST: {"img_size": [WIDTH, HEIGHT], "Edema": SQUARE}}, "an image of 30 x 20 "),
        ({FIRST: {"img_size": [HEIGHT], "Edema": SQUARE}}, "two forms"),
        ({FIRST: {"img_size": [HEIGHT, WIDTH], "Edema": [[[1, 1], [5, 1]]]}}, "polygon 0 has no area"),
        ({FIRST: {"img_size": [HEIGHT, WIDTH], "Edema": [[[1, 1], [3, 1], [5, 1]]]}}, "polygon 0 has no area"),
        ({FIRST: {"img_size": [HEIGHT, WIDTH], "Edema": [*SQUARE, [[1, 1], [9, 1], [9, 22]]]}}, "polygon 1 leaves"),
        ({FIRST: {"img_size": [HEIGHT, WIDTH], "Edema": [[[1, 1], [9, 1], [float("nan"), 2]]]}}, "no area"),
        ({FIRST: {"img_size": [HEIGHT, WIDTH], "Edema": [[1, 1, 9, 1, 9, 9]]}}, "Edema.0.0"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(read: Read, content: object, reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        read(content)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file"):
        read_segmentations(tmp_path / "none.json", SIZES, CHEXPERT)
