"""Image files: every format says that it is simulated, carries its truth, and keeps the gray values it can hold."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from pocketcxr.domain.study import Box
from pocketcxr.phantom.config import LAYOUTS, PhantomConfig
from pocketcxr.phantom.drawing import Job, draw
from pocketcxr.phantom.picture import NOTICE, Drawn, PictureFormat, read_truth, write_picture
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.render import RenderRequest, render

FORMATS: tuple[PictureFormat, ...] = get_args(PictureFormat)
GRAY = np.linspace(0, 255, 48 * 48, dtype=np.float32).reshape(48, 48)
TRUTH = Drawn({"Mass": (Box(1.5, 2, 3, 4.25), Box(0, 0, 1, 1)), "Hernia": (Box(9, 9, 2, 2),)}, ("pacemaker",))


@pytest.mark.parametrize("kind", FORMATS)
def test_truth_and_notice_travel_in_the_file(kind: PictureFormat, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    write_picture(path, GRAY, kind, TRUTH)
    assert read_truth(path) == TRUTH
    assert NOTICE.encode() in path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_is_cut_short_has_no_truth(kind: PictureFormat, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    write_picture(path, GRAY, kind, TRUTH)
    whole = path.read_bytes()
    for length in (0, 20, len(whole) // 2, len(whole) * 9 // 10):
        path.write_bytes(whole[:length])
        assert read_truth(path) is None


@pytest.mark.parametrize("comment", [None, b"by somebody else", b"3", b'{"Truth":"[]"}'])
def test_a_picture_of_somebody_else_has_no_truth(comment: bytes | None, tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.jpg", comment=comment)
    assert read_truth(tmp_path / "a.jpg") is None


def test_eight_bits_come_back_rounded(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", GRAY, "png-8", TRUTH)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "L"
        assert (np.asarray(picture) == np.rint(GRAY)).all()


def test_twelve_of_sixteen_bits_come_back_finer_than_eight(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", GRAY, "png-12-in-16", TRUTH)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "I;16"
        values = np.asarray(picture)
    assert values.dtype == np.uint16
    assert (values.min(), values.max()) == (0, 4095)
    assert np.abs(values * (255 / 4095) - GRAY).max() <= 0.5 * 255 / 4095 + 1e-4
    assert len(np.unique(values)) > 256


def test_jpeg_is_gray_and_near(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", GRAY, "jpeg", TRUTH)
    with Image.open(tmp_path / "a.jpg") as picture:
        assert (picture.format, picture.mode) == ("JPEG", "L")
        assert np.abs(np.asarray(picture) - GRAY).mean() < 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_drawn_image_shows_what_was_rendered_and_carries_its_own_truth(layout: str, tmp_path: Path) -> None:
    config = PhantomConfig(layout=layout, images=20, size=64, seed=11, prevalence_scale=3)
    image = next(image for image in plan(config) if image.truth)
    job = Job(tmp_path, config)
    drawn = draw(job, image)
    assert set(drawn.boxes) == set(image.truth)
    assert read_truth(job.path(image)) == drawn
    rendered = render(RenderRequest(64, config.seed, image.patient, image.study, image.view, image.severities))
    with Image.open(job.path(image)) as picture:
        values = np.asarray(picture).astype(np.float64)
    if layout == "padchest":
        values *= 255 / 4095
    assert np.abs(values - rendered.gray).mean() < 3
    assert (rendered.pixels == np.rint(rendered.gray)).all()
