"""The loop learns, stops when it should, and a resumed run equals an unbroken one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pocketcxr.data.loaders import LoaderConfig
from pocketcxr.distill.config import BceTerm, HintTerm, MldTerm, ObjectiveConfig
from pocketcxr.distill.objectives import build_adapters
from pocketcxr.domain.errors import CheckpointError, PocketCxrError
from pocketcxr.models.outputs import ModelOutput
from pocketcxr.train.checkpoint import read_counters
from pocketcxr.train.devices import Precision
from pocketcxr.train.job import FitJob
from pocketcxr.train.log import read_metrics
from pocketcxr.train.loop import fit
from pocketcxr.train.run_dir import RunDir
from pocketcxr.train.team import Team
from pocketcxr.train.validate import validate
from pocketcxr.train.weights import read_weights

MakeJob = Callable[..., FitJob]
DISTILLED = ObjectiveConfig(terms=(BceTerm(imbalance="balanced"), MldTerm(), HintTerm(weight=0.1, stride=4)))


def teacher(pixels: Tensor, indices: Tensor, view: int) -> ModelOutput:
    """Knows the first finding from the left half; says nothing of the second."""
    left = pixels[..., :16].mean((1, 2, 3)) * 8 - 3
    logits = torch.stack([left, torch.full_like(left, torch.nan)], dim=1)
    return ModelOutput(logits, logits[:, :, None, None].expand(-1, -1, 2, 2), torch.ones(len(pixels), 5, 8, 8))


class StopAt:
    """A listener that stands in for a kill: it raises once `step` steps are done."""

    def __init__(self, step: int, error: type[BaseException]) -> None:
        self.step, self.error = step, error

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float] = {}) -> None:
        if done == self.step:
            raise self.error


def distilled(make_job: MakeJob) -> FitJob:
    return make_job(objective=DISTILLED, teacher=teacher, adapters=build_adapters(DISTILLED, 8, 5))


def tensors(path: Path) -> dict[str, Tensor]:
    return load_file(path)


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_training_learns_what_can_be_seen(make_job: MakeJob, run: RunDir) -> None:
    job = make_job()
    result = fit(replace(job, optim=job.optim.model_copy(update={"steps": 80, "evaluate_every": 20})), run)
    assert result.steps == 80
    assert result.best_auroc is not None
    assert result.best_auroc > 0.75
    losses = [record["loss"] for record in read_metrics(run.metrics) if "loss" in record]
    assert sum(losses[-10:]) < sum(losses[:10])  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [lambda m: m(), distilled], ids=["alone", "distilled with a hint"])
def test_a_resumed_run_ends_bit_for_bit_like_an_unbroken_one(
    make: Callable[[MakeJob], FitJob], make_job: MakeJob, tmp_path: Path
) -> None:
    unbroken, broken = RunDir(tmp_path / "unbroken"), RunDir(tmp_path / "broken")
    for run in (unbroken, broken):
        run.root.mkdir()
    fit(make(make_job), unbroken)
    for step in (1, 5, 8, 11):
        with pytest.raises(InterruptedError):
            fit(make(make_job), broken, StopAt(step, InterruptedError))
    fit(make(make_job), broken)
    assert_same(tensors(unbroken.last), tensors(broken.last))
    assert unbroken.best.read_bytes() == broken.best.read_bytes()
    told = [(record["step"], record.get("loss")) for record in read_metrics(broken.metrics)]
    assert told == [(record["step"], record.get("loss")) for record in read_metrics(unbroken.metrics)]


def test_a_finished_run_is_not_trained_again(make_job: MakeJob, run: RunDir) -> None:
    first = fit(make_job(), run)
    before = run.last.read_bytes()
    again = fit(make_job(), run)
    assert run.last.read_bytes() == before
    assert (again.steps, again.best_step, again.best_auroc) == (first.steps, first.best_step, first.best_auroc)


def test_every_step_logs_every_term_and_every_evaluation_its_auroc(make_job: MakeJob, run: RunDir) -> None:
    fit(distilled(make_job), run)
    records = read_metrics(run.metrics)
    steps = [record for record in records if "loss" in record]
    assert [record["step"] for record in steps] == list(range(1, 13))
    for record in steps:
        parts = [record["bce"], record["mld"], record["hint"]]
        assert record["loss"] == pytest.approx(sum(parts), rel=1e-5)  # type: ignore[arg-type]
        assert record["learning_rate"]
        assert record["images_per_second"]
    assert [record["step"] for record in records if "validation_auroc" in record] == [4, 8, 12]


def test_the_kept_weights_are_those_of_the_best_evaluation(make_job: MakeJob, run: RunDir) -> None:
    result = fit(make_job(), run)
    header, weights, _ = read_weights(run.best)
    evaluations = [record for record in read_metrics(run.metrics) if "validation_auroc" in record]
    best = max(evaluations, key=lambda record: (record["validation_auroc"] or 0, -(record["step"] or 0)))
    assert (header.step, header.validation_auroc) == (best["step"], best["validation_auroc"])
    assert (result.best_step, result.best_auroc) == (header.step, header.validation_auroc)
    assert header.is_averaged
    assert weights.keys() == make_job().net.state_dict().keys()


def test_the_reference_that_is_kept_is_of_the_kept_weights(make_job: MakeJob, run: RunDir) -> None:
    job = make_job()
    fit(job, run)
    header, weights, reference = read_weights(run.best)
    assert header.num_reference_images == len(job.validation)
    torch.testing.assert_close(reference, validate(make_job().net, weights, job.validation, 8).reference)


def test_adapters_are_checkpointed_but_not_kept(make_job: MakeJob, run: RunDir) -> None:
    job = distilled(make_job)
    before = job.adapters["hint"].weight.detach().clone()
    fit(job, run)
    assert not torch.equal(job.adapters["hint"].weight, before)
    assert any(name.startswith("adapters/hint") for name in tensors(run.last))
    assert not any("hint" in name for name in tensors(run.best))


def test_patience_ends_a_run_that_no_longer_gets_better(make_job: MakeJob, run: RunDir) -> None:
    job = make_job()
    still = job.optim.model_copy(update={"learning_rate": 1e-12, "steps": 40, "patience": 2})
    result = fit(replace(job, optim=still), run)
    assert result.steps < 40
    assert result.steps - result.best_step == 2 * job.optim.evaluate_every
    assert read_counters(run.last).is_finished


def test_an_undefined_auroc_keeps_the_latest_weights(make_job: MakeJob, run: RunDir) -> None:
    job = make_job()
    blind = replace(job.validation, labels=job.validation.labels * torch.nan)
    result = fit(replace(job, validation=blind), run)
    assert result.best_auroc is None
    assert result.best_step == result.steps == 12


def test_a_loss_that_is_no_number_stops_with_its_step_and_keeps_the_last_checkpoint(
    make_job: MakeJob, run: RunDir
) -> None:
    job = distilled(make_job)
    calls = []

    def failing(pixels: Tensor, indices: Tensor, view: int) -> ModelOutput:
        calls.append(1)
        answer = teacher(pixels, indices, view)
        return answer if len(calls) < 5 else answer._replace(features=answer.features * torch.nan)

    with pytest.raises(PocketCxrError, match=r"step 5: loss nan.*hint nan.*learning_rate"):
        fit(replace(job, teacher=failing), run)
    assert read_counters(run.last).step == 3
    assert all(value.isfinite().all() for value in tensors(run.last).values())


def test_other_inputs_are_not_resumed_on(make_job: MakeJob, run: RunDir) -> None:
    with pytest.raises(InterruptedError):
        fit(make_job(), run, StopAt(5, InterruptedError))
    with pytest.raises(CheckpointError, match="another manifest"):
        fit(make_job(inputs_digest="1"), run)


def test_training_leaves_the_global_generator_as_found(make_job: MakeJob, run: RunDir) -> None:
    before = torch.get_rng_state()
    fit(make_job(), run)
    assert torch.equal(torch.get_rng_state(), before)


def test_bf16_trains_and_keeps_float32_weights(
    make_job: MakeJob, run: RunDir, lone_team_of: Callable[[Precision], Team]
) -> None:
    result = fit(replace(distilled(make_job), team=lone_team_of("bf16")), run)
    assert result.best_auroc is not None
    assert {value.dtype for value in tensors(run.best).values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize("num_workers", [1, 3])
def test_a_run_is_the_same_with_any_number_of_workers(make_job: MakeJob, tmp_path: Path, num_workers: int) -> None:
    alone, helped = RunDir(tmp_path / "alone"), RunDir(tmp_path / "helped")
    for run, workers in ((alone, 0), (helped, num_workers)):
        run.root.mkdir()
        fit(replace(distilled(make_job), loader=LoaderConfig(num_workers=workers)), run)
    assert_same(tensors(alone.last), tensors(helped.last))
    assert alone.best.read_bytes() == helped.best.read_bytes()
    losses = [[record.get("loss") for record in read_metrics(run.metrics)] for run in (alone, helped)]
    assert losses[0] == losses[1]


def test_a_run_may_go_on_with_another_number_of_workers(make_job: MakeJob, tmp_path: Path) -> None:
    unbroken, broken = RunDir(tmp_path / "unbroken"), RunDir(tmp_path / "broken")
    for run in (unbroken, broken):
        run.root.mkdir()
    fit(make_job(), unbroken)
    with pytest.raises(InterruptedError):
        fit(make_job(loader=LoaderConfig(num_workers=3)), broken, StopAt(5, InterruptedError))
    fit(make_job(loader=LoaderConfig(num_workers=1, prefetch=1)), broken)
    assert_same(tensors(unbroken.last), tensors(broken.last))
