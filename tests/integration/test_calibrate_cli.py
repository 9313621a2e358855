"""From predictions and a site's labels to decisions at the command line."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.runtime.bundle import open_bundle

from ..tiny_bundles import packed, tiny_net  # noqa: TID252 - tests are no package of the path

FINDINGS = ("Effusion", "Nodule", "Mass")
NUM_FILES = 60


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle without calibration that never learnt Nodule."""
    source = tiny_net(FINDINGS, PreprocessSpec(size=32), gain=100)
    out = tmp_path_factory.mktemp("bundle") / "site.zip"
    return packed(source, out, name="site", is_simulated=False, unlearnt=("Nodule",))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures, the last no image."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:02}.png" for number in range(NUM_FILES)]
    for path in paths:
        image = rng.integers(0, 255, (8, 8), dtype=np.uint8)
        Image.fromarray(image).resize((40, 40)).save(path)
    paths[-1].write_text("no image")
    return paths


@pytest.fixture
def labelled(pocketcxr: Callable[..., Any], bundle: Path, files: list[Path], tmp_path: Path) -> Path:
    """What predict wrote, with labels that mostly follow the logits."""
    rows = list(csv.DictReader(io.StringIO(pocketcxr("predict", bundle, *files, "--csv").out)))
    scored = [row for row in rows if row["status"] == "scored"]
    rng = np.random.default_rng(0)
    for finding in ("Effusion", "Mass"):
        logits = np.array([float(row[f"logit.{finding}"]) for row in scored])
        is_present = logits + rng.normal(scale=logits.std(), size=len(logits)) > np.median(logits)
        for row, present in zip(scored, is_present, strict=True):
            row[f"label.{finding}"] = str(int(present))
    path = tmp_path / "local.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(scored[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_predict_label_calibrate_predict(
    pocketcxr: Callable[..., Any], bundle: Path, files: list[Path], labelled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new.zip"
    ran = pocketcxr("calibrate", bundle, "--scores", labelled, "--out", out)
    assert ran.code == 0
    assert "Effusion" in ran.out
    assert "Nodule stays as it was: no label column" in ran.err
    assert "every image counts as a patient of its own" in ran.err
    assert "left out: 1 rows" in ran.err
    assert "label more before relying on it" in ran.err
    assert str(out) in ran.err
    assert (tmp_path / "new.calibration.html").is_file()

    answers = json.loads(pocketcxr("predict", out, files[0], "--json").out)["results"][0]["findings"]
    effusion, nodule, _ = answers
    assert effusion["is_calibrated"]
    assert [one["operating_point"] for one in effusion["decisions"]] == list(open_bundle(out).card.criteria)
    for one in effusion["decisions"]:
        assert one["is_positive"] == (effusion["probability"] >= one["threshold"])
    assert (nodule["probability"], nodule["decisions"]) == (None, [])

    table = pocketcxr("predict", out, files[0])
    assert "calibrated probability" in table.out
    assert "at sensitivity-90" in table.out
    assert "Probabilities are calibrated (on local.csv: 59 images)." in table.err
    assert "at youden" in pocketcxr("predict", out, files[0], "--operating-point", "youden").out
    row = next(csv.DictReader(io.StringIO(pocketcxr("predict", out, files[0], "--csv").out)))
    assert float(row["Effusion"]) == pytest.approx(effusion["probability"], rel=1e-4)
    assert row["youden.Effusion"] in {"0", "1"}
    assert row["youden.Nodule"] == ""


def test_calibrate_speaks_json(pocketcxr: Callable[..., Any], bundle: Path, labelled: Path, tmp_path: Path) -> None:
    ran = pocketcxr("calibrate", bundle, "--scores", labelled, "--out", tmp_path / "new", "--json")
    document = json.loads(ran.out)
    assert document["refitted"] == ["Effusion", "Mass"]
    assert document["bundle_sha256"] == open_bundle(bundle).digest
    assert document["report"]["findings"][0]["after"]["ece_equal_mass"]["value"] >= 0


@pytest.mark.parametrize(
    ("name", "message"), [("youdn", "did you mean 'youden'"), ("0.5", "available: sensitivity-90")]
)
def test_an_unknown_operating_point_is_wrong_usage(
    name: str,
    message: str,
    pocketcxr: Callable[..., Any],
    bundle: Path,
    labelled: Path,
    files: list[Path],
    tmp_path: Path,
) -> None:
    none = pocketcxr("predict", bundle, files[0], "--operating-point", name)
    assert none.code == 2
    assert "this bundle has none" in none.err
    pocketcxr("calibrate", bundle, "--scores", labelled, "--out", tmp_path / "new")
    ran = pocketcxr("predict", tmp_path / "new", files[0], "--operating-point", name)
    assert ran.code == 2
    assert message in ran.err


def test_too_few_labels_end_with_1_and_no_bundle(
    pocketcxr: Callable[..., Any], bundle: Path, labelled: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few.csv"
    few.write_text("".join(labelled.read_text().splitlines(keepends=True)[:20]))
    ran = pocketcxr("calibrate", bundle, "--scores", few, "--out", tmp_path / "new.zip")
    assert ran.code == 1
    assert "no finding can be re-fitted" in ran.err
    assert not (tmp_path / "new.zip").exists()
