"""Micro-batches change memory and nothing else; what cannot be shared alike is refused; compiling changes nothing."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pocketcxr.data.batches import Share, batch_at
from pocketcxr.distill.config import (
    BceTerm,
    ClassMapTerm,
    DecoupledTerm,
    DistTerm,
    HintTerm,
    L2dTerm,
    ObjectiveConfig,
    RkdTerm,
    SoftBceTerm,
    Term,
)
from pocketcxr.distill.objectives import build_adapters
from pocketcxr.domain.errors import ConfigError
from pocketcxr.models.outputs import ModelOutput, Net
from pocketcxr.train.job import FitJob
from pocketcxr.train.log import read_metrics
from pocketcxr.train.loop import fit
from pocketcxr.train.optim import OptimConfig
from pocketcxr.train.run_dir import RunDir
from pocketcxr.train.step import Stepper

MakeJob = Callable[..., FitJob]
OBJECTIVES: dict[str, tuple[Term, ...]] = {
    "labels": (BceTerm(imbalance="balanced"),),
    "logits": (SoftBceTerm(), DecoupledTerm()),
    "relations": (BceTerm(), DistTerm(), RkdTerm(stride=4), L2dTerm(stride=4)),
    "maps and a hint": (BceTerm(), ClassMapTerm(), HintTerm(stride=4)),
}


class PlainNet(Net):
    """Without batch norm, whose statistics are a micro-batch's, and without drop-out, which each draws anew."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 5, stride=4, padding=2), nn.GroupNorm(2, 8), nn.SiLU())
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, images: Tensor) -> ModelOutput:
        features = self.stem(images)
        class_maps = self.head(features)
        return ModelOutput(class_maps.mean((2, 3)), class_maps, features)

    def tap(self, stride: int) -> nn.Module:
        return self.stem


def teacher(pixels: Tensor, indices: Tensor, view: int) -> ModelOutput:
    """Knows the second finding of every other image only."""
    left = pixels[..., :16].mean((1, 2, 3)) * 8 - 3
    other = torch.where(indices % 2 == 0, 2 * left, torch.nan)
    logits = torch.stack([left, other], dim=1)
    ramp = torch.linspace(-1, 1, 16).view(1, 1, 4, 4)
    features = functional_features(pixels)
    return ModelOutput(logits, logits[:, :, None, None] * ramp, features)


def functional_features(pixels: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(pixels, 4).expand(-1, 5, -1, -1) * torch.arange(1.0, 6).view(1, 5, 1, 1)


def plain_job(make_job: MakeJob, terms: tuple[Term, ...], accumulate: int) -> FitJob:
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    net = PlainNet()
    torch.random.set_rng_state(torch_state)
    objective = ObjectiveConfig(terms=terms)
    job = make_job()
    return replace(
        job,
        net=net,
        objective=objective,
        teacher=None if terms == OBJECTIVES["labels"] else teacher,
        adapters=build_adapters(objective, 8, 5),
        optim=job.optim.model_copy(update={"batch_size": 8, "accumulate": accumulate}),
        batches=job.batches.model_copy(update={"batch_size": 8}),
    )


def first_step(job: FitJob) -> tuple[dict[str, float], list[Tensor]]:
    """The figures of one step, and all gradients it left."""
    stepper = Stepper(job)
    figures = stepper(0, batch_at(job.training, job.batches, 0))
    return figures, [parameter.grad for parameter in stepper.parameters if parameter.grad is not None]


@pytest.mark.parametrize("terms", OBJECTIVES.values(), ids=OBJECTIVES.keys())
@pytest.mark.parametrize("accumulate", [2, 4])
def test_micro_batches_leave_the_losses_and_gradients_of_every_objective(
    make_job: MakeJob, terms: tuple[Term, ...], accumulate: int
) -> None:
    expected, gradients = first_step(plain_job(make_job, terms, 1))
    figures, in_parts = first_step(plain_job(make_job, terms, accumulate))
    assert figures == pytest.approx(expected, rel=1e-4)
    assert len(gradients) == len(in_parts)
    for ours, theirs in zip(in_parts, gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_micro_batches_count_once_in_batch_norm_and_keep_their_drop_out(make_job: MakeJob) -> None:
    """The pass without a graph leaves no trace, and the second draws what the first drew."""
    job = make_job()
    halves = replace(job, optim=job.optim.model_copy(update={"accumulate": 2}))
    figures, _ = first_step(halves)
    again, _ = first_step(make_job(optim=halves.optim))
    assert figures == again
    assert {int(value) for name, value in halves.net.state_dict().items() if "tracked" in name} == {2}


def test_a_resumed_run_in_micro_batches_ends_like_an_unbroken_one(make_job: MakeJob, tmp_path: Path) -> None:
    ends = []
    for stops in ((), (5,)):
        run = RunDir(tmp_path / str(len(stops)))
        run.root.mkdir()
        optim = make_job().optim.model_copy(update={"accumulate": 2})
        for stop in stops:
            with pytest.raises(InterruptedError):
                fit(make_job(optim=optim), run, stopping_at(stop))
        fit(make_job(optim=optim), run)
        ends.append(load_file(run.last))
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())


def stopping_at(step: int) -> Callable[..., None]:
    def listen(stage: str, done: int, total: int, figures: object = None) -> None:
        if done == step:
            raise InterruptedError

    return listen


def test_shares_of_a_batch_are_its_rows_in_order(make_job: MakeJob) -> None:
    job = make_job()
    whole = batch_at(job.training, job.batches, 3)
    halves = [batch_at(job.training, job.batches, 3, Share(number, 2)) for number in range(2)]
    assert torch.equal(torch.cat([half.indices for half in halves]), whole.indices)
    assert torch.equal(torch.cat([half.pixels for half in halves]), whole.pixels)
    assert {half.view for half in halves} == {whole.view}


def test_a_batch_that_cannot_be_divided_is_refused(make_job: MakeJob) -> None:
    with pytest.raises(ValueError, match="3 equal parts"):
        OptimConfig(batch_size=32, accumulate=3)
    with pytest.raises(ValueError, match="2 images or more"):
        OptimConfig(batch_size=4, accumulate=4)
    job = make_job()
    job = replace(job, optim=job.optim.model_copy(update={"batch_size": 5, "accumulate": 2}))
    with pytest.raises(ConfigError, match=r"batch_size 5 cannot be shared .* multiple of 2 \(4, say\)"):
        Stepper(job)


@pytest.mark.slow
def test_a_compiled_net_learns_the_same(make_job: MakeJob, tmp_path: Path) -> None:
    if not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("torch.compile needs a C++ compiler")
    losses = []
    for is_compiled in (False, True):
        run = RunDir(tmp_path / str(is_compiled))
        run.root.mkdir()
        objective = OBJECTIVES["maps and a hint"]
        fit(replace(plain_job(make_job, objective, 1), is_compiled=is_compiled), run)
        losses.append([record["loss"] for record in read_metrics(run.metrics) if "loss" in record])
        assert not any("_orig_mod" in name for name in load_file(run.last))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
