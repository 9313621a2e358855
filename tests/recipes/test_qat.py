"""Quantisation-aware training gives a net that INT8 breaks its heatmaps back, and is told in the card."""

import logging
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pocketcxr.export.graph import GraphAnswers, answers
from pocketcxr.export.onnx import net_model
from pocketcxr.export.quantize import quantiser
from pocketcxr.imaging.preprocess import normalise
from pocketcxr.models.heads import without_reference
from pocketcxr.models.outputs import Net
from pocketcxr.models.timm_net import TimmNet
from pocketcxr.recipes.export_gate import GateOptions, calibration_inputs
from pocketcxr.recipes.qat import QatOptions, fine_tune
from pocketcxr.recipes.run_calibration import open_validation
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import LoadedRun, load_run
from pocketcxr.recipes.train import train

FINE_MAPS = ("net.output_stride=16", "optim.batch_size=16")


def unbalanced(net: Net) -> Net:
    """The same function, its channels between blocks of very different sizes: one range for all suits few of them."""
    assert isinstance(net, TimmNet)
    changed = deepcopy(net)
    blocks = changed.get_submodule("trunk.blocks")
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for before, after in ((1, 2), (2, 3), (3, 4)):
            norm = f"{before}.0.{'bn3' if before == 3 else 'bn2'}"
            reader = f"{after}.0.{'conv_exp' if after == 2 else 'conv_pw'}.weight"
            scale = blocks.get_parameter(f"{norm}.weight")
            factors = torch.from_numpy(np.exp(rng.normal(0, 1.8, len(scale)))).float()
            scale.mul_(factors)
            blocks.get_parameter(f"{norm}.bias").mul_(factors)
            blocks.get_parameter(reader).div_(factors[None, :, None, None])
    return changed


def correlation(ours: GraphAnswers, theirs: GraphAnswers) -> float:
    """Mean over all heatmaps of the correlation of their cells."""
    pairs = zip(*(one.heatmaps.reshape(-1, 4) for one in (ours, theirs)), strict=True)
    return float(np.mean([np.corrcoef(one, other)[0, 1] for one, other in pairs if one.std() and other.std()]))


def with_plain_maps(loaded: LoadedRun) -> LoadedRun:
    """The run without the reference of its heatmaps."""
    return replace(loaded, net=without_reference(loaded.net))


def float32(loaded: LoadedRun, images: NDArray[np.float32]) -> GraphAnswers:
    return answers(net_model(loaded.net, loaded.spec, loaded.findings).SerializeToString(), images)


def int8(loaded: LoadedRun, images: NDArray[np.float32]) -> GraphAnswers:
    ranges = calibration_inputs(loaded, GateOptions(), lambda *_: None)
    with quantiser(net_model(loaded.net, loaded.spec, loaded.findings), ranges) as it:
        return answers(it.build().SerializeToString(), images)


@pytest.mark.slow
def test_a_net_that_int8_breaks_gets_its_heatmaps_and_probabilities_back(
    make_config: Callable[..., RunConfig], tmp_path: Path
) -> None:
    steps = ("optim.steps=30", "optim.evaluate_every=30", "optim.learning_rate=0.003")
    loaded = load_run(train(make_config(*FINE_MAPS, *steps), tmp_path / "runs" / "student"))
    validation = open_validation(loaded)
    assert validation is not None
    images = normalise(validation.pixels(slice(None)), loaded.spec)[:, None]
    broken = replace(loaded, net=unbalanced(loaded.net))
    meant, before = float32(loaded, images), int8(broken, images)
    np.testing.assert_allclose(float32(broken, images).logits, meant.logits, atol=1e-3)
    assert correlation(int8(loaded, images), meant) > 0.95
    assert correlation(before, meant) < 0.3
    plain = float32(with_plain_maps(loaded), images)
    assert correlation(int8(with_plain_maps(broken), images), plain) < 0.7
    weights = deepcopy(broken.net.state_dict())
    tuned = fine_tune(broken, QatOptions(steps=100, learning_rate=1e-3))
    mended = replace(loaded, net=tuned.net)
    after = int8(mended, images)
    assert correlation(int8(with_plain_maps(mended), images), plain) > 0.85
    # Of the differences from the reference, which are small in a net of 30 steps, more than nothing comes back.
    assert correlation(after, meant) > 0.4
    assert np.abs(after.logits - meant.logits).mean() < 0.5 * np.abs(before.logits - meant.logits).mean()
    assert (tuned.facts.method, tuned.facts.steps, tuned.facts.teacher) == ("qat", 100, None)
    for name, value in broken.net.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0)


@pytest.mark.slow
def test_the_runs_teacher_is_heard_while_it_can_be_opened(
    make_config: Callable[..., RunConfig], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    teacher = train(make_config(), tmp_path / "runs" / "teacher")
    taught = (f"teacher={{kind: run, run: {teacher}}}", "objective.terms=[{kind: bce}, {kind: soft-bce}]")
    loaded = load_run(train(make_config(*taught), tmp_path / "runs" / "student"))
    two = QatOptions(steps=2)
    heard = fine_tune(loaded, two)
    assert heard.facts.teacher == "test_efficientnet"
    again = fine_tune(loaded, two)
    for name, value in heard.net.state_dict().items():
        torch.testing.assert_close(again.net.state_dict()[name], value, rtol=0, atol=0)
    shutil.rmtree(teacher)
    with caplog.at_level(logging.WARNING):
        assert fine_tune(loaded, two).facts.teacher is None
    assert "without the run's teacher" in caplog.text
