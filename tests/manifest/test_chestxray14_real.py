"""The reader of ChestX-ray14 on real files, where there are any."""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.schema import read_manifest, write_manifest
from pocketcxr.manifest.sources.chestxray14 import Chestxray14Config, read
from pocketcxr.phantom.prevalence import CO_OCCURRENCE, NUM_AP, NUM_IMAGES

OPTIONS = Chestxray14Config()


@pytest.mark.parametrize(
    ("folder", "num_images", "num_patients", "num_boxes", "side"),
    [("nih14_64px", 840, 225, 7, 64), ("nih14_hires512", 37, 20, 0, 512)],
)
def test_real_folders_prepare(
    folder: str, num_images: int, num_patients: int, num_boxes: int, side: int, shared_data: Path, tmp_path: Path
) -> None:
    manifest = read(shared_data / folder, OPTIONS)
    assert (manifest.num_images, manifest.num_patients, len(manifest.regions)) == (num_images, num_patients, num_boxes)
    assert (manifest.table[["height", "width"]] == side).all(axis=None)
    write_manifest(manifest, tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "m.parquet").table, manifest.table)


def test_the_official_table_gives_the_published_counts(tmp_path: Path) -> None:
    """On the complete table, where torchxrayvision, which ships it, is installed."""
    package = find_spec("torchxrayvision")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the official label table comes with torchxrayvision, which is not installed")
    data = Path(package.submodule_search_locations[0]) / "data"
    table = pd.read_csv(data / "Data_Entry_2017_v2020.csv.gz", dtype=str, keep_default_na=False)
    header = pd.read_csv(data / "Data_Entry_2017_v2020.csv.gz", nrows=0).columns
    table.set_axis(header, axis=1).to_csv(tmp_path / "Data_Entry_2017_v2020.csv", index=False)
    (tmp_path / "train_val_list.txt").write_text("\n".join(table["Image Index"]))
    (tmp_path / "test_list.txt").write_text("")
    manifest = read(tmp_path, Chestxray14Config(images=ImagesConfig(labels_only=True)))
    assert manifest.num_images == NUM_IMAGES
    assert (manifest.table["view_position"] == "AP").sum() == NUM_AP
    present = [int((manifest.table[f"label.{finding}"] == "present").sum()) for finding in CHESTXRAY14]
    assert present == [CO_OCCURRENCE[place][place] for place in range(len(CHESTXRAY14))]
