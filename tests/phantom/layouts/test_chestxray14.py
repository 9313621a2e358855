"""The layout of ChestX-ray14: official columns, every finding with its box, and a mark on everything."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from pocketcxr._version import __version__
from pocketcxr.domain.findings import canonical
from pocketcxr.domain.study import Box
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.layouts.chestxray14 import RELEASED_SIZE, write_tables
from pocketcxr.phantom.picture import NOTICE, Drawn
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.render import RenderRequest, render

Rows = Callable[[Path], list[dict[str, str]]]


def test_tables_begin_with_the_official_headers(simulated: Path, config: PhantomConfig, rows: Rows) -> None:
    entry = (simulated / "Data_Entry_2017_v2020.csv").read_text().splitlines()[0]
    official = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
    )
    assert entry == f"{official},Simulated"
    assert (simulated / "BBox_List_2017.csv").read_text().splitlines()[0] == (
        "Image Index,Finding Label,Bbox [x,y,w,h],,,Simulated"
    )


def test_the_header_is_that_of_the_real_table(simulated: Path, shared_data: Path) -> None:
    real = (shared_data / "nih14_64px" / "Data_Entry_2017_v2020.csv").read_text().splitlines()[0]
    ours = (simulated / "Data_Entry_2017_v2020.csv").read_text().splitlines()[0]
    assert ours == f"{real},Simulated"


def test_every_image_and_every_table_says_that_it_is_simulated(
    simulated: Path, config: PhantomConfig, rows: Rows
) -> None:
    for path in (simulated / "images").iterdir():
        with Image.open(path) as image:
            assert image.info["Simulated"] == NOTICE
            assert (image.mode, image.size) == ("L", (32, 32))
    tables = list(simulated.glob("*.csv"))
    assert len(tables) == 5
    for path in tables:
        assert {row["Simulated"] for row in rows(path)} == {"yes"}
    text = (simulated / "SIMULATED.txt").read_text()
    assert "Nothing in this folder comes from a patient" in text
    assert f"version: {__version__}" in text
    assert config.told() in text


def test_tables_lists_and_images_name_the_same_files(simulated: Path, config: PhantomConfig, rows: Rows) -> None:
    names = [image.image_id for image in plan(config)]
    assert sorted(path.name for path in (simulated / "images").iterdir()) == names
    for table in ("Data_Entry_2017_v2020.csv", "Data_Entry_2017_v2020_clean.csv"):
        assert [row["Image Index"] for row in rows(simulated / table)] == names
    train, test = ((simulated / f"{part}_list.txt").read_text().split() for part in ("train_val", "test"))
    assert sorted(train + test) == names
    assert not {name[:8] for name in train} & {name[:8] for name in test}


def test_labels_are_noisy_beside_a_clean_table(simulated: Path, config: PhantomConfig, rows: Rows) -> None:
    noisy, clean = (
        [row["Finding Labels"] for row in rows(simulated / f"Data_Entry_2017_v2020{end}.csv")] for end in ("", "_clean")
    )
    spelled = {name: "|".join(image.truth) or "No Finding" for image in plan(config) for name in [image.image_id]}
    assert clean == list(spelled.values())
    assert noisy != clean


def test_every_finding_that_is_there_has_its_box_and_severity_and_no_other_has(
    simulated: Path, config: PhantomConfig, rows: Rows
) -> None:
    truth = {(image.image_id, finding) for image in plan(config) for finding in image.truth}
    boxes = rows(simulated / "BBox_List_2017.csv")
    assert {(row["Image Index"], canonical(row["Finding Label"])) for row in boxes} == truth
    assert {row["Finding Label"] for row in boxes} & {"Infiltrate", "Infiltration"} == {"Infiltrate"}
    severities = rows(simulated / "severities.csv")
    assert {(row["Image Index"], row["Finding Label"]) for row in severities} == truth
    assert all(0 <= float(row["Severity"]) <= 1 for row in severities)


def test_boxes_are_in_pixels_of_the_released_size_whatever_the_image_has(tmp_path: Path, config: PhantomConfig) -> None:
    image = replace(plan(config)[0], severities=(0.5,) + (-1.0,) * 13)
    write_tables(tmp_path, config, [image], [Drawn({"Atelectasis": (Box(1, 2, 3, 4),)}, ())])
    scale = RELEASED_SIZE / config.size
    with (tmp_path / "BBox_List_2017.csv").open(newline="") as file:
        row = list(csv.reader(file))[1]
    assert row[:2] == ["00000001_000.png", "Atelectasis"]
    assert [float(side) for side in row[2:6]] == [scale, 2 * scale, 3 * scale, 4 * scale]


def test_person_and_view_in_the_table_are_those_of_the_picture(
    simulated: Path, config: PhantomConfig, rows: Rows
) -> None:
    """The plan tells age and sex before anything is drawn; the renderer draws the same patient."""
    entries = rows(simulated / "Data_Entry_2017_v2020_clean.csv")
    for image, row in list(zip(plan(config), entries, strict=True))[:8]:
        rendered = render(RenderRequest(32, config.seed, image.patient, image.study, image.view, image.severities))
        assert (row["Patient Gender"], row["Patient Age"]) == (rendered.sex.value, str(rendered.age_years))
        assert row["View Position"] == image.view.value
        assert set(rendered.boxes) == set(image.truth)
