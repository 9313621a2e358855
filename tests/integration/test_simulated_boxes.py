"""The boxes of simulated data sets come back through the readers of CheXpert, PadChest and ChestMNIST."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.sources import chestmnist, chexpert, padchest
from pocketcxr.phantom.config import LabelNoise, PhantomConfig
from pocketcxr.phantom.picture import read_truth
from pocketcxr.phantom.write import simulate

READ: dict[str, Callable[[Path], Manifest]] = {
    "chexpert": lambda root: chexpert.read(root, chexpert.ChexpertConfig(clean=True)),
    "padchest": lambda root: padchest.read(root, padchest.PadchestConfig(clean=True)),
    "chestmnist": lambda root: chestmnist.read(root, chestmnist.ChestmnistConfig(clean=True)),
}
NEVER_BOXED = {"No_Finding", "Support_Devices"}
"""Observations without a place, or of devices: boxes.csv is of findings."""


@pytest.fixture(scope="module", params=READ)
def simulated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    config = PhantomConfig(
        layout=request.param, images=40, size=64, seed=2, prevalence_scale=4, label_noise=LabelNoise(strength=1)
    )
    return request.param, simulate(tmp_path_factory.mktemp("simulated") / "out", config)


def test_every_finding_that_is_truly_there_has_a_box_and_no_other(simulated: tuple[str, Path]) -> None:
    layout, root = simulated
    manifest = READ[layout](root)
    boxed = set(zip(manifest.regions["image_id"], manifest.regions["finding"], strict=True))
    findings = {finding for _, finding in boxed}
    assert {"Effusion", "Cardiomegaly"} <= findings
    if layout == "chexpert":
        assert {"Lung_Opacity", "Enlarged_Cardiomediastinum"} <= findings
    present = {
        (row["image_id"], finding)
        for _, row in manifest.table.iterrows()
        for finding in manifest.findings
        if row[f"label.{finding}"] == LabelState.PRESENT.value and finding not in NEVER_BOXED
    }
    if layout == "padchest":  # its labels also name devices, which are findings there
        present = {(image, finding) for image, finding in present if finding in findings}
    assert boxed == present


def test_boxes_are_those_that_the_pictures_carry(simulated: tuple[str, Path]) -> None:
    layout, root = simulated
    manifest = READ[layout](root)
    if layout == "chestmnist":  # its pictures are unpacked from an archive and carry nothing
        assert (manifest.regions[["w", "h"]] > 0).all(axis=None)
        return
    path_of = manifest.table.set_index("image_id")["path"]
    for finding in ("Effusion", "Cardiomegaly"):
        for image_id, rows in manifest.regions[manifest.regions["finding"] == finding].groupby("image_id"):
            truth = read_truth(manifest.file_of(path_of[image_id]))
            assert truth is not None
            wanted = [(box.x, box.y, box.w, box.h) for box in truth.boxes[finding]]
            assert rows[["x", "y", "w", "h"]].to_numpy() == pytest.approx(np.array(wanted), abs=1e-4)


def test_a_box_counts_for_every_broader_finding(simulated: tuple[str, Path]) -> None:
    layout, root = simulated
    manifest = READ[layout](root)
    regions = manifest.regions
    assert not regions.duplicated().any()
    if "Lung_Opacity" not in manifest.findings:
        return
    opacity = set(map(tuple, regions.loc[regions["finding"] == "Lung_Opacity", ["image_id", "x", "y"]].to_numpy()))
    for narrow in ("Atelectasis", "Lung_Lesion", "Consolidation", "Edema", "Pneumonia"):
        boxes = set(map(tuple, regions.loc[regions["finding"] == narrow, ["image_id", "x", "y"]].to_numpy()))
        assert boxes <= opacity


def test_a_damaged_table_is_refused_and_an_unmarked_one_is_nobodys_business(simulated: tuple[str, Path]) -> None:
    layout, root = simulated
    table = root / "boxes.csv"
    text = table.read_text()
    try:
        table.write_text(text.replace(text.splitlines()[1].split(",")[2], "left", 1))
        with pytest.raises(ManifestError, match=r"boxes.csv: 1 rows have no four numbers \(first: line 2\)"):
            READ[layout](root)
        table.unlink()
        assert READ[layout](root).regions.empty
    finally:
        table.write_text(text)
    if layout == "chexpert":  # a stranger's boxes.csv beside the official files
        (root / "SIMULATED.txt").rename(root / "mark")
        try:
            assert chexpert.read(root, chexpert.ChexpertConfig()).regions.empty
        finally:
            (root / "mark").rename(root / "SIMULATED.txt")
