"""The packaged gate: chests pass, other pictures do not, what it says is coded, and bundles without it still work."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from pocketcxr.domain.errors import BundleError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.dicom_facts import NOTHING_KNOWN
from pocketcxr.imaging.load import load
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.drawing import request_of
from pocketcxr.phantom.handling import inverted, screen_photograph
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.render import render
from pocketcxr.phantom.strokes import Pixels
from pocketcxr.runtime.bulk import BulkSettings, score_files
from pocketcxr.runtime.bulk_files import Source
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.input_gate import (
    FACTS_KEY,
    FRONTAL,
    KINDS,
    Gate,
    check,
    facts_of_source,
    gate_of,
    kind_of,
    open_gate,
    packaged_gate,
)
from pocketcxr.runtime.predict import Scored, predict_files
from pocketcxr.runtime.session import Engine, open_engine

SEED = 77


@pytest.fixture(scope="session")
def gate() -> Gate:
    return open_gate(packaged_gate(), "this program")


@pytest.fixture(scope="session")
def chests() -> tuple[Pixels, ...]:
    """Twelve phantoms that the gate did not learn from, 128 px."""
    config = PhantomConfig(images=12, size=128, seed=SEED)
    return tuple(render(request_of(config, image)).pixels for image in plan(config))


@pytest.fixture(scope="session")
def gated(gated_bundle: Bundle) -> Engine:
    return open_engine(gated_bundle, 1)


def answer_to(gate: Gate, pixels: Pixels) -> str:
    """The refusal's code, or frontal."""
    radiograph = Radiograph(np.ascontiguousarray(pixels), "a.png", "png", 8, None, ViewPosition.UNKNOWN)
    answer = check(gate, radiograph, NOTHING_KNOWN)
    return answer.code.value if isinstance(answer, Refusal) else FRONTAL


def write(path: Path, pixels: Pixels) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_it_is_small_and_every_kind_but_the_first_is_a_refusal_code() -> None:
    assert len(packaged_gate()) <= 300_000
    assert KINDS[0] == FRONTAL
    assert {RefusalCode(kind) for kind in KINDS[1:]} <= set(RefusalCode)


def test_chests_pass(gate: Gate, chests: tuple[Pixels, ...]) -> None:
    assert [answer_to(gate, pixels) for pixels in chests] == [FRONTAL] * len(chests)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (inverted, "inverted"),
        (lambda pixels: np.rot90(pixels), "rotated"),
        (lambda pixels: np.rot90(pixels, 2), "rotated"),
        (lambda pixels: pixels[:40], "too-small"),
        (lambda pixels: pixels // 100 + 100, "blank"),
        (lambda pixels: np.where(np.arange(128) < 122, 255, pixels).astype(np.uint8), "over-exposed"),
    ],
)
def test_what_was_done_to_a_chest_is_named(
    change: Callable[[Pixels], Pixels], code: str, gate: Gate, chests: tuple[Pixels, ...]
) -> None:
    found = [answer_to(gate, change(pixels)) for pixels in chests]
    assert found.count(code) >= 0.8 * len(found)


def test_a_piece_of_a_chest_is_refused(gate: Gate, chests: tuple[Pixels, ...]) -> None:
    found = [answer_to(gate, pixels[40:90, 6:56]) for pixels in chests]
    assert sum(code in {"heavily-cropped", "not-a-chest-radiograph"} for code in found) >= 0.8 * len(found)


def test_a_colour_picture_is_refused_and_a_tinted_film_is_not(
    gate: Gate, chests: tuple[Pixels, ...], tmp_path: Path
) -> None:
    blue = np.stack([chests[0] // 2, chests[0] // 2, chests[0]], axis=2)
    tinted = np.stack([chests[0], chests[0], np.maximum(chests[0], 12) - 12], axis=2)
    answers = []
    for name, colours in (("blue.png", blue), ("tinted.jpg", tinted)):
        radiograph = load(write(tmp_path / name, colours))
        answers.append(check(gate, radiograph, facts_of_source(radiograph)))
    assert isinstance(answers[0], Refusal)
    assert answers[0].code is RefusalCode.NOT_A_CHEST_RADIOGRAPH
    assert answers[1] == ()


def test_noise_and_tiles_are_no_chest(gate: Gate) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)
    tiles = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((16, 16))).astype(np.uint8) * 255
    assert {answer_to(gate, noise), answer_to(gate, tiles)} <= {"not-a-chest-radiograph", "heavily-cropped"}


def test_the_first_kind_wins_from_its_least_probability_on(gate: Gate) -> None:
    least = gate.facts.least_frontal
    others = np.array([0.1, 0.5, 0.2, 0.1, 0.1], dtype=np.float32)
    assert kind_of(gate, np.concatenate(([least + 1e-4], others))) == FRONTAL
    assert kind_of(gate, np.concatenate(([least - 1e-4], others))) == "inverted"


def test_a_screen_is_warned_of_but_scored(gate: Gate) -> None:
    config = PhantomConfig(images=1, size=384, seed=SEED)
    (image,) = plan(config)
    pixels = screen_photograph(render(request_of(config, image)).pixels, np.random.default_rng(1))
    radiograph = Radiograph(pixels, "a.png", "png", 8, None, ViewPosition.UNKNOWN)
    (warning,) = check(gate, radiograph, NOTHING_KNOWN)
    assert warning.code == "photograph-of-a-screen"
    assert answer_to(gate, render(request_of(config, image)).pixels) == FRONTAL


def test_what_the_header_says_comes_first(gate: Gate, chests: tuple[Pixels, ...]) -> None:
    radiograph = Radiograph(chests[0], "a.dcm", "dicom", 8, None, ViewPosition.LATERAL)
    answer = check(gate, radiograph, replace(NOTHING_KNOWN, age_years=7.0))
    assert isinstance(answer, Refusal)
    assert answer.code is RefusalCode.CHILD


def test_predict_asks_the_gate_of_a_bundle_that_has_one(
    gated: Engine, engine: Engine, chests: tuple[Pixels, ...], tmp_path: Path
) -> None:
    files = [write(tmp_path / "chest.png", chests[0]), write(tmp_path / "negative.png", inverted(chests[0]))]
    scored, refused = predict_files(gated, files)
    assert isinstance(scored, Scored)
    assert scored.warnings == ()
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.path) == (RefusalCode.INVERTED, str(files[1]))
    assert all(isinstance(one, Scored) for one in predict_files(gated, files, checks_input=False))
    assert gate_of(engine.bundle) is None
    assert all(isinstance(one, Scored) for one in predict_files(engine, files))


def test_bulk_scoring_says_the_same(gated: Engine, chests: tuple[Pixels, ...], tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    write(folder / "chest.png", chests[0])
    write(folder / "negative.png", inverted(chests[0]))
    summary = score_files(gated, Source(folder), tmp_path / "a.csv", BulkSettings())
    assert summary.counts == {"scored": 1, "inverted": 1}
    summary = score_files(gated, Source(folder), tmp_path / "b.csv", BulkSettings(checks_input=False))
    assert summary.counts == {"scored": 2}


def test_a_file_that_is_no_gate_is_told() -> None:
    with pytest.raises(BundleError, match="no ONNX model"):
        open_gate(b"not a model", "b")
    model = onnx.load_from_string(packaged_gate())
    helper.set_model_props(model, {FACTS_KEY: '{"version": 2}'})
    buffer = io.BytesIO()
    onnx.save(model, buffer)
    with pytest.raises(BundleError, match="newer version"):
        open_gate(buffer.getvalue(), "b")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("nih14_64px", []),
        ("nih14_hires512", []),
        # One film is framed so that much of the right lung is outside and the left arm inside.
        ("covid_chestxray_256px", ["262a70ca.jpg"]),
    ],
)
def test_real_chests_pass(name: str, known: list[str], gate: Gate, shared_data: Path) -> None:
    files = sorted(path for path in (shared_data / name).rglob("*") if path.suffix in {".png", ".jpg"})
    refused = [path.name for path in files if answer_to(gate, load(path).image) != FRONTAL]
    assert refused == known


def test_real_dicom_files(gate: Gate, shared_data: Path) -> None:
    def code(name: str) -> str:
        radiograph = load(shared_data / "dicom" / name)
        answer = check(gate, radiograph, facts_of_source(radiograph))
        return answer.code.value if isinstance(answer, Refusal) else FRONTAL

    assert code("cr_chest_pa_8bit_jpeg_baseline.dcm") == FRONTAL
    assert code("cr_chest_mono1_10bit_jpegls14.dcm") == FRONTAL
    # Its header was changed without its pixels: what it shows is inverted indeed.
    assert code("same_image_monochrome1_header.dcm") == "inverted"
    assert code("veterinary_dx_dog_thorax_highdicom.dcm") == "child"
