"""From a reader's draft to a manifest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketcxr.domain.errors import ConfigError, EmptyCohortError, ManifestError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.manifest.assemble import FRAME_COLUMNS, Draft, assemble
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.rules import no_regions
from pocketcxr.manifest.splits import SplitConfig

EXTERNAL = SplitConfig(method="external-test")
NUM = 3
HEIGHT, WIDTH = 24, 40


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    """Three images of 24 x 40 pixels on disk, of three patients."""
    pixels = np.arange(HEIGHT * WIDTH, dtype=np.uint32).reshape(HEIGHT, WIDTH).astype(np.uint8)
    names = [f"{row}.png" for row in range(NUM)]
    for name in names:
        Image.fromarray(pixels).save(tmp_path / name)
    table = pd.DataFrame(
        {
            "image_id": names,
            "path": names,
            "patient_id": [f"p{row}" for row in range(NUM)],
            "study_id": [f"s{row}" for row in range(NUM)],
            "view_position": "PA",
            "sex": "F",
            "age_years": 50.0,
        }
    )
    states = pd.DataFrame({"Mass": ["present", "absent", "not-labelled"]})
    return Draft("here", table, states, no_regions())


def _box(draft: Draft, box: tuple[float, ...], frame: tuple[float, float] | None = None) -> Draft:
    region = pd.DataFrame([("0.png", "Mass", *box)], columns=["image_id", "finding", "x", "y", "w", "h"])
    return replace(
        draft, regions=region if frame is None else region.assign(**dict(zip(FRAME_COLUMNS, frame, strict=True)))
    )


@given(x=st.floats(0, 0.8), y=st.floats(0, 0.8), frame=st.tuples(st.floats(1, 5000), st.floats(1, 5000)))
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_box_covers_the_same_share_of_the_file_as_of_its_frame(
    x: float, y: float, frame: tuple[float, float], draft: Draft, tmp_path: Path
) -> None:
    high, wide = frame
    boxed = _box(draft, (x * wide, y * high, 0.2 * wide, 0.1 * high), frame)
    (region,) = assemble(tmp_path, boxed, EXTERNAL, ImagesConfig()).regions.itertuples()
    assert region.x == pytest.approx(x * WIDTH, abs=1e-6)
    assert region.y == pytest.approx(y * HEIGHT, abs=1e-6)
    assert (region.w, region.h) == pytest.approx((0.2 * WIDTH, 0.1 * HEIGHT))


def test_a_box_without_a_frame_is_in_pixels_of_the_file(draft: Draft, tmp_path: Path) -> None:
    (region,) = assemble(tmp_path, _box(draft, (1, 2, 3, 4)), EXTERNAL, ImagesConfig()).regions.itertuples()
    assert (region.x, region.y, region.w, region.h) == (1, 2, 3, 4)


@pytest.mark.parametrize("box", [(30, 0, 20, 5), (0, 20, 5, 20), (-5, 0, 5, 5), (1, 1, 0, 5), (1, 1, 5, -1)])
def test_a_box_beyond_the_image_or_of_no_area_is_refused(box: tuple[float, ...], draft: Draft, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="regions"):
        assemble(tmp_path, _box(draft, box), EXTERNAL, ImagesConfig())


def test_labels_only_looks_at_no_file_and_leaves_an_unknown_size_unknown(draft: Draft, tmp_path: Path) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    images = ImagesConfig(labels_only=True)
    manifest = assemble(tmp_path, _box(draft, (30, 0, 20, 5)), EXTERNAL, images)
    assert (manifest.table[["height", "width"]] == 0).all(axis=None)
    assert manifest.header.is_labels_only
    assert manifest.regions["x"].tolist() == [30]
    told = replace(draft, table=draft.table.assign(height=[10, "", "x"], width=["20", 5, 5]))
    table = assemble(tmp_path, told, EXTERNAL, images).table
    assert table["height"].tolist() == [10, 0, 0]
    assert table["width"].tolist() == [20, 5, 5]


def test_what_the_reader_and_the_files_lack_is_listed_together(draft: Draft, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"")
    own = Refusal("line 7", RefusalCode.BAD_RECORD, "labels cut off")
    manifest = assemble(tmp_path, replace(draft, refused=(own,)), EXTERNAL, ImagesConfig(broken="exclude"))
    assert [refusal.code for refusal in manifest.refused] == [RefusalCode.BAD_RECORD, RefusalCode.EMPTY_FILE]
    assert manifest.table["image_id"].tolist() == ["0.png", "2.png"]
    assert manifest.table["label.Mass"].tolist() == ["present", "not-labelled"]
    assert any("2 files or records were left out (first: line 7, bad-record)" in n for n in manifest.header.notes)


def test_no_image_left_is_an_error_that_names_the_first(draft: Draft, tmp_path: Path) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(EmptyCohortError, match=r"no image of 3 is left .*0\.png, not-found"):
        assemble(tmp_path, draft, EXTERNAL, ImagesConfig(broken="exclude"))


@pytest.mark.parametrize("path", ["../outside.png", "sub/../../outside.png"])
def test_a_path_that_climbs_out_of_the_root_is_refused(path: str, draft: Draft, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "0.png").rename(tmp_path / "outside.png")
    one = replace(draft, table=draft.table.assign(path=path).head(1), states=draft.states.head(1))
    with pytest.raises(ManifestError, match="outside-root"):
        assemble(root, one, EXTERNAL, ImagesConfig())
    assert assemble(root, one, EXTERNAL, ImagesConfig(outside=True)).num_images == 1


def test_an_image_named_twice_and_a_split_nobody_published_are_refused(draft: Draft, tmp_path: Path) -> None:
    twice = replace(draft, table=draft.table.assign(image_id="0.png"))
    with pytest.raises(ManifestError, match=r"2 rows repeat an image \(first: 0\.png\)"):
        assemble(tmp_path, twice, EXTERNAL, ImagesConfig())
    with pytest.raises(ConfigError, match="no official split"):
        assemble(tmp_path, draft, SplitConfig(), ImagesConfig())
