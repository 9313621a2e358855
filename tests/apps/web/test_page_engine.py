"""The page's engine, run by node, against Python's: the same scores, heatmaps, decisions and refusals."""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from numpy.typing import NDArray

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.dicom_facts import NOTHING_KNOWN
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.phantom.handling import screen_photograph
from pocketcxr.recipes.input_gate_pictures import SHARES, draw_chests, picture
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.card_calibration import Calibration, FindingCalibration, OperatingPoint
from pocketcxr.runtime.input_gate import KINDS, check, gate_of
from pocketcxr.runtime.predict import Scored, score
from pocketcxr.runtime.session import Engine, open_engine

from ...tiny_bundles import packed, tiny_net  # noqa: TID252 - tests are no package of the path

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = REPOSITORY / "page"
GOLDENS = REPOSITORY / "tests" / "golden" / "page_engine"
FINDINGS = CHESTXRAY14[:5]
UNLEARNT = FINDINGS[3]
NUM_IMAGES = 200
MOST_PROBABILITY = 1e-3
SAME_RESAMPLING = 13
"""Pillow before this version resizes in another order, and differs by a gray level now and then."""
NODE_SECONDS = 300

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (PAGE / "node_modules" / "onnxruntime-web").is_dir(),
    reason="needs node and the page's packages: cd page && npm ci",
)


@dataclass(frozen=True, eq=False)
class Case:
    """A bundle in a folder, its engine in Python, and gray images with their files."""

    folder: Path
    engine: Engine
    images: tuple[NDArray[np.uint8], ...]
    files: tuple[Path, ...]


def made_images() -> Iterable[NDArray[np.uint8]]:
    """Pictures of every kind that the gate tells apart, of odd sizes; every tenth photographed from a screen."""
    rng = np.random.default_rng(7)
    chests = draw_chests(12, seed=91)
    kinds = rng.choice(len(KINDS), NUM_IMAGES, p=SHARES)
    for place, kind in enumerate(kinds):
        side = int(rng.integers(41, 160)) if place % 4 else int(rng.integers(257, 700))
        pixels = picture(KINDS[kind], chests, rng, side)
        yield np.ascontiguousarray(screen_photograph(pixels, rng) if place % 10 == 0 and side > 60 else pixels)


def calibration() -> tuple[Calibration, tuple[OperatingPoint, ...]]:
    """A line for every second learnt finding, two thresholds for each."""
    learnt = [finding for finding in FINDINGS if finding != UNLEARNT]
    lines = tuple(
        FindingCalibration(
            finding=finding,
            method="platt",
            slope=0.5 + place / 3,
            offset=0.3 - place / 5,
            fitted_on="a test",
            fitted=datetime(2026, 1, 2, tzinfo=UTC),
            num_images=9,
            num_positives=3,
        )
        for place, finding in enumerate(learnt)
        if place % 2 == 0
    )
    others = {finding: "a test" for place, finding in enumerate(learnt) if place % 2}
    points = tuple(
        OperatingPoint(finding=finding, threshold=threshold, criterion=criterion, chosen_on="a test")
        for finding in learnt
        for criterion, threshold in (("youden", 0.5), ("sensitivity-90", 0.4))
    )
    return Calibration(findings=lines, not_calibrated=others), points


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    lines, points = calibration()
    work = tmp_path_factory.mktemp("page")
    folder = packed(
        tiny_net(FINDINGS, PreprocessSpec(size=64), gain=100),
        work / "bundle",
        has_gate=True,
        unlearnt=(UNLEARNT,),
        calibration=lines,
        operating_points=points,
        training={"source": "phantom"},
    )
    images = tuple(made_images())
    files = tuple(work / f"{place}.npy" for place in range(len(images)))
    for path, image in zip(files, images, strict=True):
        np.save(path, image)
    return Case(folder, open_engine(open_bundle(folder), num_threads=1), images, files)


def page_answers(case: Case, checks_input: bool) -> dict[str, Any]:
    """What page/tests/score_files.ts prints for the case's files."""
    request = {"files": [str(path) for path in case.files], "checksInput": checks_input, "verifies": True}
    finished = subprocess.run(
        ["node", "tests/run.mjs", "tests/score_files.ts", str(case.folder)],
        cwd=PAGE,
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=NODE_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    answers: dict[str, Any] = json.loads(finished.stdout)
    return answers


def radiograph_of(case: Case, place: int) -> Radiograph:
    return Radiograph(case.images[place], str(case.files[place]), "png", 8, None, ViewPosition.UNKNOWN)


def python_answer(case: Case, place: int) -> tuple[str, ...]:
    """The refusal's code, or the warnings' codes."""
    gate = gate_of(case.engine.bundle)
    assert gate is not None
    answer = check(gate, radiograph_of(case, place), NOTHING_KNOWN)
    return (answer.code.value,) if isinstance(answer, Refusal) else tuple(warning.code for warning in answer)


@pytest.mark.slow
def test_the_page_scores_as_python_does(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    told = page_answers(case, checks_input=False)
    card = case.engine.bundle.card
    assert told["facts"] | {"loadMs": 0} == {
        "digest": case.engine.bundle.digest,
        "precision": card.builds.shipped,
        "hasGate": True,
        "threads": 1,
        "loadMs": 0,
    }
    ours = [score(case.engine, radiograph_of(case, place)) for place in range(NUM_IMAGES)]
    differences = [scores_difference(one, answer) for one, answer in zip(ours, told["answers"], strict=True)]
    with capsys.disabled():
        print(f"\nlargest probability difference of {NUM_IMAGES} images, Python and page: {max(differences):.2g}")
    assert max(differences) <= MOST_PROBABILITY


def scores_difference(ours: Scored, page: dict[str, Any]) -> float:
    """The largest difference of probabilities; everything else is the same, or the assertion fails."""
    maps = page["heatmaps"]
    assert tuple(maps["shape"]) == ours.class_maps.shape
    np.testing.assert_allclose(np.reshape(maps["values"], maps["shape"]), ours.class_maps, atol=5e-3)
    largest = 0.0
    for one, other in zip(ours.prediction.scores, page["scores"], strict=True):
        assert (one.finding, one.is_calibrated) == (other["finding"], other["isCalibrated"])
        assert (one.probability is None) == (other["probability"] is None) == (one.finding == UNLEARNT)
        if one.probability is None or one.logit is None:
            assert (other["logit"], other["decisions"]) == (None, [])
            continue
        assert other["logit"] == pytest.approx(one.logit, abs=5e-3)
        largest = max(largest, abs(one.probability - other["probability"]))
        assert [(point.operating_point, point.threshold) for point in one.decisions] == [
            (point["criterion"], point["threshold"]) for point in other["decisions"]
        ]
        near = [abs(one.probability - point.threshold) <= MOST_PROBABILITY for point in one.decisions]
        same = [a.is_positive == b["isPositive"] for a, b in zip(one.decisions, other["decisions"], strict=True)]
        assert all(told or is_near for told, is_near in zip(same, near, strict=True))
    return largest


@pytest.mark.slow
def test_the_page_refuses_and_warns_as_python_does(case: Case) -> None:
    told = page_answers(case, checks_input=True)["answers"]
    page = [(answer["code"],) if "code" in answer else tuple(answer["warnings"]) for answer in told]
    ours = [python_answer(case, place) for place in range(NUM_IMAGES)]
    assert page == ours
    assert {"lateral", "inverted", "rotated", "not-a-chest-radiograph", "too-small", "photograph-of-a-screen"} <= {
        code for answer in ours for code in answer
    }
    assert ours.count(()) > NUM_IMAGES / 4


def test_the_page_keeps_the_golden_vectors(case: Case) -> None:
    some = Case(case.folder, case.engine, case.images[:1], case.files[:1])
    golden: Sequence[dict[str, Any]] = page_answers(some, checks_input=False)["golden"]
    assert len(golden) == 5
    tolerance = case.engine.bundle.card.builds.to_run.tolerance
    for one in golden:
        assert one["pixels"] <= 1.01, one
        assert max(one["logits"], one["heatmaps"]) <= tolerance, one


def test_the_goldens_of_the_page_are_what_python_says() -> None:
    if int(PIL.__version__.split(".")[0]) < SAME_RESAMPLING:
        pytest.skip(f"the goldens are of Pillow {SAME_RESAMPLING} and later")
    spec = importlib.util.spec_from_file_location("make_goldens", GOLDENS / "make_goldens.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stored, made = json.loads((GOLDENS / "goldens.json").read_text()), module.goldens()
    assert stored["resizes"] == made["resizes"]
    assert stored["headers"] == made["headers"]
    for one, other in zip(stored["pictures"], made["pictures"], strict=True):
        assert one | {"grid_peak": 0, "net_input": ""} == other | {"grid_peak": 0, "net_input": ""}
        assert one["grid_peak"] == pytest.approx(other["grid_peak"], abs=1e-3)
