"""A student that teaches itself: killed and resumed it ends alike, and only its average speaks of unlabelled images."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pocketcxr.data.batches import pixels_at
from pocketcxr.distill.config import BceTerm, ClassMapTerm, HintTerm, MldTerm, ObjectiveConfig, SoftBceTerm
from pocketcxr.distill.objectives import build_adapters
from pocketcxr.distill.self_teacher import SelfLessons, SelfTeacher
from pocketcxr.train.job import FitJob
from pocketcxr.train.log import read_metrics
from pocketcxr.train.loop import fit
from pocketcxr.train.run_dir import RunDir

MakeJob = Callable[..., FitJob]
BESIDE = ObjectiveConfig(terms=(BceTerm(), MldTerm(), ClassMapTerm(weight=0.1), HintTerm(weight=0.1, stride=4)))
MIXED = ObjectiveConfig(terms=(SoftBceTerm(),))
FORMS = {
    "ema": (SelfTeacher(), BESIDE),
    "ema, another view": (SelfTeacher(view="other"), ObjectiveConfig(terms=(BceTerm(), MldTerm()))),
    "salnas": (SelfTeacher(form="salnas"), MIXED),
    "ps-kd": (SelfTeacher(form="ps-kd"), MIXED),
}


def self_taught(make_job: MakeJob, config: SelfTeacher, objective: ObjectiveConfig, **changes: object) -> FitJob:
    """A job of 12 steps, 3 of them to warm up."""
    job = make_job(objective=objective, adapters=build_adapters(objective, 8, 8), **changes)
    training = job.training
    shown = partial(pixels_at, training, job.batches)
    lessons = SelfLessons(config, objective, training.spec, shown, training.labels, warmup_steps=3, steps=12)
    return replace(job, teacher=lessons)


def weights(run: RunDir) -> dict[str, Tensor]:
    return {name: value for name, value in load_file(run.last).items() if name.startswith("net/")}


def trained(job: FitJob, root: Path) -> RunDir:
    root.mkdir()
    fit(job, RunDir(root))
    return RunDir(root)


def stop_at(last: int, stage: str, done: int, total: int, figures: object = None) -> None:
    """A listener that stands in for a kill."""
    if done == last:
        raise InterruptedError


@pytest.mark.parametrize("form", FORMS)
def test_a_resumed_run_ends_bit_for_bit_like_an_unbroken_one(make_job: MakeJob, tmp_path: Path, form: str) -> None:
    unbroken = trained(self_taught(make_job, *FORMS[form]), tmp_path / "unbroken")
    broken = RunDir(tmp_path / "broken")
    broken.root.mkdir()
    for step in (2, 5, 7, 11):
        with pytest.raises(InterruptedError):
            fit(self_taught(make_job, *FORMS[form]), broken, partial(stop_at, step))
    fit(self_taught(make_job, *FORMS[form]), broken)
    one, other = load_file(unbroken.last), load_file(broken.last)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert unbroken.best.read_bytes() == broken.best.read_bytes()


def test_nothing_is_kept_for_it(make_job: MakeJob, tmp_path: Path) -> None:
    alone = trained(make_job(), tmp_path / "alone")
    taught = trained(self_taught(make_job, *FORMS["salnas"]), tmp_path / "taught")
    assert load_file(alone.last).keys() == load_file(taught.last).keys()
    assert load_file(alone.best).keys() == load_file(taught.best).keys()


def test_it_learns_what_can_be_seen_from_half_the_labels(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job()
    labels = job.training.labels.copy()
    labels[::2] = np.nan
    training = replace(job.training, labels=labels)
    optim = job.optim.model_copy(update={"steps": 80, "evaluate_every": 80})
    run = trained(self_taught(make_job, SelfTeacher(), BESIDE, training=training, optim=optim), tmp_path / "run")
    last = read_metrics(run.metrics)[-1]["validation_auroc"]
    assert last is not None
    assert last > 0.75


@pytest.mark.parametrize("form", ["ema", "salnas"])
def test_images_nobody_labelled_move_the_weights_by_the_average_alone(
    make_job: MakeJob, tmp_path: Path, form: str
) -> None:
    """Of two cohorts that differ in the pixels of unlabelled rows, drop-out and batch norm held still."""
    config, objective = FORMS[form]
    moved = {}
    for name, terms in (("labels alone", ObjectiveConfig(terms=(BceTerm(),))), ("average too", objective)):
        for brightness in (0, 60):
            job = still(make_job, brightness)
            taught = self_taught(make_job, config, terms, net=job.net, training=job.training)
            chosen = taught if name == "average too" else replace(taught, teacher=None)
            moved[name, brightness] = weights(trained(chosen, tmp_path / f"{name} {brightness}"))
    assert same(moved["labels alone", 0], moved["labels alone", 60])
    assert not same(moved["average too", 0], moved["average too", 60])


def still(make_job: MakeJob, brightness: int) -> FitJob:
    """A job whose net has neither drop-out nor running statistics, half of its images unlabelled and brightened."""
    job = make_job()
    labels = job.training.labels.copy()
    labels[::2] = np.nan
    pixels = job.training.images.pixels.copy()
    pixels[::2] = pixels[::2] // 2 + brightness
    images = replace(job.training.images, pixels=pixels)
    net = job.net
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, torch.nn.BatchNorm2d | torch.nn.Dropout):
                setattr(module, name, torch.nn.Identity())
    return replace(job, net=net, training=replace(job.training, labels=labels, images=images))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())
