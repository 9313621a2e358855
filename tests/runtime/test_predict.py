"""Scores: the same as the net gives, unknown where nothing was learnt, and no bad file stops the others."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketcxr.domain.errors import BundleError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import prepare
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.golden import golden_cases, verify_golden
from pocketcxr.runtime.pictures import picture, picture_name, strongest
from pocketcxr.runtime.predict import Scored, predict_files, score, sigmoid
from pocketcxr.runtime.session import Engine, open_engine


def test_every_path_gets_one_answer_in_order(engine: Engine, xrays: list[Path], tmp_path: Path) -> None:
    (tmp_path / "corrupt.png").write_bytes(xrays[0].read_bytes()[:200])
    (tmp_path / "photo.jpg").write_bytes(b"this is no image")
    (tmp_path / "empty.dcm").write_bytes(b"")
    bad = [tmp_path / "corrupt.png", tmp_path / "photo.jpg", tmp_path / "empty.dcm", tmp_path, tmp_path / "absent.png"]
    paths = [xrays[0], *bad, xrays[1]]
    answers = list(predict_files(engine, paths))
    refusals = [answer for answer in answers if isinstance(answer, Refusal)]
    assert isinstance(answers[0], Scored)
    assert isinstance(answers[-1], Scored)
    assert [refusal.path for refusal in refusals] == [str(path) for path in bad]
    assert [refusal.code for refusal in refusals] == [
        RefusalCode.CORRUPT,
        RefusalCode.NOT_AN_IMAGE,
        RefusalCode.EMPTY_FILE,
        RefusalCode.IS_A_DIRECTORY,
        RefusalCode.NOT_FOUND,
    ]


def test_scores_are_those_of_the_shared_preprocessing(engine: Engine, xrays: list[Path]) -> None:
    for path in xrays:
        radiograph = load(path)
        expected = engine.run(prepare(radiograph.image, engine.bundle.card.preprocess)[None])
        logits = [s.logit for s in score(engine, radiograph).prediction.scores]
        # A few pixels may differ by one grey level.
        np.testing.assert_allclose([logits[0], logits[2]], expected.logits[0][[0, 2]], atol=0.02)


def test_a_finding_that_was_never_learnt_stays_unknown(engine: Engine, xrays: list[Path]) -> None:
    scores = {s.finding: s for s in score(engine, load(xrays[0])).prediction.scores}
    assert list(scores) == ["Effusion", "Nodule", "Mass"]
    assert scores["Nodule"].logit is None
    assert scores["Nodule"].probability is None
    for finding in ("Effusion", "Mass"):
        assert scores[finding].logit is not None
        assert scores[finding].probability == pytest.approx(1 / (1 + np.exp(-scores[finding].logit)))
        assert not scores[finding].is_calibrated


@pytest.mark.parametrize("size", [None, (30, 20)])
def test_a_heatmap_lies_on_the_radiographs_own_pixels(
    size: tuple[int, int] | None, engine: Engine, xrays: list[Path]
) -> None:
    scored = score(engine, load(xrays[0]))
    heatmap = scored.heatmap("Mass", size)
    assert heatmap.shape == (size or (120, 80))
    assert heatmap.min() >= scored.class_maps[2].min() - 1e-4
    assert heatmap.max() <= scored.class_maps[2].max() + 1e-4
    with pytest.raises(KeyError):
        scored.heatmap("Cat")


@given(st.floats(-1e4, 1e4, width=32), st.floats(-1e4, 1e4, width=32))
def test_probabilities_keep_the_logits_order_and_never_overflow(first: float, second: float) -> None:
    low, high = sigmoid(np.sort(np.array([first, second], dtype=np.float32)))
    assert 0 <= low <= high <= 1
    assert sigmoid(np.array([-first], dtype=np.float32))[0] == pytest.approx(
        1 - sigmoid(np.array([first], dtype=np.float32))[0], abs=1e-12
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4))
def test_a_batch_gives_what_its_images_give_alone(engine: Engine, num: int) -> None:
    images = np.random.default_rng(num).normal(size=(num, 1, 64, 64)).astype(np.float32)
    together = engine.run(images)
    for index in range(num):
        alone = engine.run(images[index : index + 1])
        np.testing.assert_allclose(together.logits[index], alone.logits[0], atol=1e-4)
        np.testing.assert_allclose(together.class_maps[index], alone.class_maps[0], atol=1e-4)


def test_golden_vectors_hold_here_and_another_answer_is_refused(bundle: Bundle, engine: Engine) -> None:
    assert verify_golden(engine) <= 1e-4
    name = f"{golden_cases(bundle)[0]}logits.npy"
    wrong = bundle.files[name][:-4] + np.float32(9).tobytes()
    changed = Bundle(bundle.path, bundle.card, {**bundle.files, name: wrong}, bundle.digest)
    with pytest.raises(BundleError, match="golden"):
        verify_golden(open_engine(changed, 1))
    nothing = Bundle(bundle.path, bundle.card, {n: d for n, d in bundle.files.items() if "golden" not in n}, "")
    with pytest.raises(BundleError, match="no golden vectors"):
        verify_golden(open_engine(nothing, 1))


def test_a_graph_that_cannot_be_loaded_is_a_bundle_error(bundle: Bundle) -> None:
    broken = Bundle(bundle.path, bundle.card, {**bundle.files, "model.onnx": b"nonsense"}, bundle.digest)
    with pytest.raises(BundleError, match=r"cannot load model\.onnx"):
        open_engine(broken, 1)


def test_the_strongest_findings_come_first_and_unlearnt_ones_never(engine: Engine, xrays: list[Path]) -> None:
    scored = score(engine, load(xrays[0]))
    every = strongest(scored, None)
    assert {s.finding for s in every} == {"Effusion", "Mass"}
    logits = [s.logit for s in every if s.logit is not None]
    assert logits == sorted(logits, reverse=True)
    assert strongest(scored, 1) == every[:1]


def test_a_picture_is_small_enough_to_look_at(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (1500, 2200), dtype=np.uint8)).save(path)
    scored = score(engine, load(path))
    drawn = picture(scored, strongest(scored, 1)[0])
    assert drawn.mode == "RGB"
    assert 1024 <= max(drawn.size) <= 1400
    assert scored.radiograph.image.shape == (1500, 2200)


def test_picture_names_differ_unless_name_pixels_and_finding_are_equal(engine: Engine, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (60, 60), dtype=np.uint8) for _ in range(2)]
    names = set()
    for folder, image in (("a", images[0]), ("b", images[1]), ("c", images[0])):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "chest ../x-ray.png".replace("../", "..")
        Image.fromarray(image).save(path)
        scored = score(engine, load(path))
        names |= {picture_name(scored, "Mass"), picture_name(scored, "Effusion")}
    assert len(names) == 4
    assert all(Path(name).name == name and " " not in name for name in names)


def test_the_digest_is_the_cards(bundle: Bundle) -> None:
    assert bundle.digest == hashlib.sha256(bundle.files["card.json"]).hexdigest()


def test_importing_the_runtime_does_not_load_the_engine() -> None:
    script = "import sys, pocketcxr.runtime.predict, pocketcxr.runtime.session; print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
