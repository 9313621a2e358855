"""The real data set's reader reads the simulated one, and finds the truth that was put in."""

from pathlib import Path

import pytest

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.sources.chestxray14 import Chestxray14Config, read
from pocketcxr.phantom.config import LabelNoise, PhantomConfig
from pocketcxr.phantom.picture import read_truth
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.write import simulate

CONFIG = PhantomConfig(images=40, size=48, seed=2, prevalence_scale=3, label_noise=LabelNoise(strength=1))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("simulated") / "out", CONFIG)


def test_labels_views_and_people_come_back_as_planned(simulated: Path) -> None:
    images = plan(CONFIG)
    for table, wanted in (
        ("Data_Entry_2017_v2020.csv", [image.labels for image in images]),
        ("Data_Entry_2017_v2020_clean.csv", [image.truth for image in images]),
    ):
        manifest = read(simulated, Chestxray14Config(label_table=table))
        is_present = manifest.table[[f"label.{finding}" for finding in CHESTXRAY14]] == LabelState.PRESENT.value
        found = [
            tuple(name for name, flag in zip(CHESTXRAY14, row, strict=True) if flag) for row in is_present.to_numpy()
        ]
        assert found == wanted
        assert manifest.table["view_position"].tolist() == [image.view.value for image in images]
        assert manifest.table["sex"].tolist() == [image.sex.value for image in images]
        assert manifest.table["age_years"].tolist() == [image.age_years for image in images]
        assert (manifest.table["split"] == "test").tolist() == [image.is_test for image in images]
        assert manifest.header.is_simulated


def test_boxes_come_back_in_pixels_of_the_files(simulated: Path) -> None:
    regions = read(simulated, Chestxray14Config()).regions
    found = {
        (row.image_id.removesuffix(".png"), row.finding, row.x, row.y, row.w, row.h) for row in regions.itertuples()
    }
    wanted = set()
    for path in (simulated / "images").iterdir():
        truth = read_truth(path)
        assert truth is not None
        wanted |= {
            (path.stem, finding, box.x, box.y, box.w, box.h) for finding, boxes in truth.boxes.items() for box in boxes
        }
    assert len(wanted) > 20
    assert len(found) == len(wanted)
    for one, other in zip(sorted(found), sorted(wanted), strict=True):
        assert one[:2] == other[:2]
        assert one[2:] == pytest.approx(other[2:], abs=1e-4)
