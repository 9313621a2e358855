"""The recipe from a manifest to a run, alone and taught, and what a run gives back."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pocketcxr.domain.errors import CheckpointError, ConfigError, EmptyCohortError, PocketCxrError, UsageError
from pocketcxr.models.heads import without_reference
from pocketcxr.models.outputs import ModelOutput
from pocketcxr.recipes.distill import distill
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import load_run, train_summary
from pocketcxr.recipes.teacher_config import RunTeacher
from pocketcxr.recipes.teachers import open_teacher
from pocketcxr.recipes.train import open_cohorts, train
from pocketcxr.train.log import read_metrics
from pocketcxr.train.run_dir import RunDir
from pocketcxr.train.weights import read_weights

MakeConfig = Callable[..., RunConfig]

TAUGHT = "objective.terms=[{kind: bce}, {kind: mld}, {kind: hint, weight: 0.1}]"


def test_a_run_holds_what_the_next_stage_needs(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config()
    root = train(config, tmp_path / "runs" / "alone")
    loaded = load_run(root)
    assert (loaded.findings, loaded.spec, loaded.config) == (config.findings, config.preprocess, config)
    assert not loaded.net.training
    answer = loaded.net(torch.zeros(2, 1, 32, 32))
    assert isinstance(answer, ModelOutput)
    assert answer.logits.shape == (2, 3)
    assert loaded.header.unlearnt == ("Hernia",)
    training = loaded.header.training
    assert (training.num_images, training.num_patients, training.is_simulated) == (24, 12, True)
    summary = train_summary(root)
    assert summary["result"]["steps"] == 4  # type: ignore[index]
    assert summary["device"] == "cpu"
    assert (tmp_path / "runs" / "cache").is_dir()


def test_a_loaded_net_shows_the_difference_from_its_reference(make_config: MakeConfig, tmp_path: Path) -> None:
    loaded = load_run(train(make_config(), tmp_path / "run"))
    assert loaded.header.num_reference_images > 0
    images = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    shown = loaded.net(images)
    plain = without_reference(loaded.net)(images)
    assert torch.equal(shown.logits, plain.logits)
    measured = read_weights(loaded.run.best).reference
    assert measured is not None
    level = measured.mean((1, 2), keepdim=True)
    torch.testing.assert_close(shown.class_maps, plain.class_maps - measured + level)


def test_a_finished_run_returns_at_once_and_other_settings_are_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    root = train(make_config(), tmp_path / "run")
    before = {path.name: path.stat().st_mtime_ns for path in root.iterdir()}
    train(make_config(), root)
    assert {path.name: path.stat().st_mtime_ns for path in root.iterdir()} == before
    with pytest.raises(ConfigError, match=r"seed \(was 0, is 1\)"):
        train(make_config("seed=1"), root)


def test_equal_settings_train_equal_weights_and_another_seed_does_not(make_config: MakeConfig, tmp_path: Path) -> None:
    runs = [RunDir(train(make_config(f"seed={seed}"), tmp_path / str(n))) for n, seed in enumerate((0, 0, 1))]
    assert runs[0].best.read_bytes() == runs[1].best.read_bytes()
    assert runs[0].best.read_bytes() != runs[2].best.read_bytes()


def test_a_cached_teacher_teaches_almost_like_a_live_one(make_config: MakeConfig, tmp_path: Path) -> None:
    teacher = train(make_config(), tmp_path / "teacher")
    losses = []
    for cache in ("true", "false"):
        settings = (
            TAUGHT,
            "teacher.kind=run",
            f"teacher.run={teacher}",
            f"teacher.cache={cache}",
            "cohort.labelled_fraction=0.5",
        )
        root = distill(make_config(*settings, "cohort.labelled_share=0.5"), tmp_path / cache)
        losses.append([record["loss"] for record in read_metrics(RunDir(root).metrics) if "loss" in record])
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    header = load_run(root).header
    assert (header.training.teacher, header.training.num_images, header.training.num_labelled) == (
        "test_efficientnet",
        24,
        12,
    )
    assert header.unlearnt == ("Hernia",)


def test_what_a_teacher_never_learnt_it_does_not_teach(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(TAUGHT, "teacher.kind=run", f"teacher.run={train(make_config(), tmp_path / 'teacher')}")
    assert isinstance(config.teacher, RunTeacher)
    teacher = open_teacher(config.teacher, stride=16, device=torch.device("cpu"))
    assert teacher.findings == ("Effusion", "Mass", "unlearnt Hernia")
    assert teacher.name == "test_efficientnet"


def test_a_student_alone_leaves_unlabelled_images_out(make_config: MakeConfig, tmp_path: Path) -> None:
    alone = open_cohorts(make_config("cohort.labelled_fraction=0.5"), tmp_path).training
    taught = open_cohorts(
        make_config("cohort.labelled_fraction=0.5", TAUGHT, "teacher.kind=run", "teacher.run=somewhere"), tmp_path
    ).training
    assert len(alone) == alone.num_labelled == taught.num_labelled == 12
    assert len(taught) == 24
    kept = [row for row in range(24) if taught.image_ids[row] in alone.image_ids]
    assert np.array_equal(taught.pixels(kept), alone.pixels(slice(None)))
    assert np.array_equal(taught.labels[kept], alone.labels, equal_nan=True)


def test_view_positions_choose_the_images(make_config: MakeConfig, tmp_path: Path) -> None:
    assert len(open_cohorts(make_config("cohort.view_positions=[AP]"), tmp_path).training) == 8
    with pytest.raises(EmptyCohortError, match="LATERAL"):
        open_cohorts(make_config("cohort.view_positions=[LATERAL]"), tmp_path)


def test_no_label_at_all_is_an_empty_cohort(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(EmptyCohortError, match="none of the 24 training images"):
        open_cohorts(make_config("findings=[Hernia]"), tmp_path)


def test_changed_inputs_are_not_resumed_on(make_config: MakeConfig, tmp_path: Path, manifest: Path) -> None:
    def stop(stage: str, done: int, total: int, figures: object = None) -> None:
        if stage == "training" and done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(make_config(), tmp_path / "run", stop)
    manifest.write_bytes(manifest.with_name("m.regions.parquet").read_bytes())
    with pytest.raises(PocketCxrError):
        train(make_config(), tmp_path / "run")


def test_distilling_without_a_teacher_is_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"teacher\.kind"):
        distill(make_config(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_no_run_or_has_no_weights_yet_is_named(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no run"):
        load_run(tmp_path)
    root = train(make_config(), tmp_path / "run")
    (root / "best.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"best\.safetensors cannot be read"):
        load_run(root)
    (root / "best.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no best\.safetensors yet"):
        load_run(root)
