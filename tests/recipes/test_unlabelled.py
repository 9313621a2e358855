"""Images without labels: who hears of them, whose labels count, and a student that teaches itself."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketcxr.domain.errors import CheckpointError, ConfigError, EmptyCohortError, ManifestError
from pocketcxr.manifest.schema import Manifest, read_manifest, write_manifest
from pocketcxr.manifest.unlabelled import was_added
from pocketcxr.recipes.distill import distill
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import load_run, train_summary
from pocketcxr.recipes.train import open_cohorts, train
from pocketcxr.train.log import read_metrics
from pocketcxr.train.run_dir import RunDir

MakeConfig = Callable[..., RunConfig]
TAUGHT = ("teacher={kind: run, run: somewhere, cache: false}", "objective.terms=[{kind: soft-bce}]")
ITSELF = "teacher.kind=self"


@pytest.fixture
def site(manifest: Path, tmp_path: Path) -> Path:
    """A manifest of 24 training and 12 validation images of another place, of the same names."""
    here = read_manifest(manifest)
    root = shutil.copytree(here.header.root, tmp_path / "site")
    header = here.header.model_copy(update={"source": "site", "is_simulated": False, "root": str(root)})
    path = tmp_path / "site.parquet"
    write_manifest(Manifest(here.table.assign(source="site"), here.regions, header), path)
    return path


def test_a_teacher_is_heard_of_them_and_the_same_labels_are_seen(
    make_config: MakeConfig, site: Path, tmp_path: Path
) -> None:
    half = "cohort.labelled_fraction=0.5"
    with_site = open_cohorts(make_config(*TAUGHT, half, f"cohort.unlabelled=[{site}]"), tmp_path).training
    without = open_cohorts(make_config(*TAUGHT, half), tmp_path).training
    assert (len(with_site), len(without)) == (48, 24)
    assert with_site.image_ids[:24] == without.image_ids
    assert np.array_equal(with_site.labels[:24], without.labels, equal_nan=True)
    assert np.isnan(with_site.labels[24:]).all()
    assert len(set(with_site.patient_ids)) == 24
    every = make_config(*TAUGHT, f"cohort.unlabelled=[{site}]", "cohort.unlabelled_splits=all")
    assert was_added(open_cohorts(every, tmp_path).training.image_ids).sum() == 36


def test_a_student_alone_leaves_them_out(make_config: MakeConfig, site: Path, tmp_path: Path) -> None:
    cohorts = open_cohorts(make_config(f"cohort.unlabelled=[{site}]"), tmp_path)
    assert len(cohorts.training) == 24
    assert cohorts.unlabelled == ()


def test_people_of_the_validation_part_are_refused(make_config: MakeConfig, manifest: Path, tmp_path: Path) -> None:
    config = make_config(*TAUGHT, f"cohort.unlabelled=[{manifest}]", "cohort.unlabelled_splits=all")
    with pytest.raises(ManifestError, match=r"12 of 36 show people.*patient 'p12'"):
        open_cohorts(config, tmp_path)


def test_the_run_says_what_came_without_labels(make_config: MakeConfig, site: Path, tmp_path: Path) -> None:
    root = distill(
        make_config(ITSELF, "objective.terms=[{kind: bce}, {kind: mld}]", f"cohort.unlabelled=[{site}]"),
        tmp_path / "run",
    )
    summary = load_run(root).header.training
    assert (summary.num_images, summary.num_labelled, summary.num_from_unlabelled) == (48, 24, 24)
    assert summary.unlabelled_sources == ("site",)
    assert summary.is_simulated
    config = make_config(ITSELF, "objective.terms=[{kind: bce}, {kind: mld}]", "cohort.unlabelled=[]")
    assert load_run(distill(config, tmp_path / "without")).header.training.num_from_unlabelled == 0


def test_phantoms_among_people_mark_the_whole_as_simulated(
    make_config: MakeConfig, manifest: Path, site: Path, tmp_path: Path
) -> None:
    settings = (ITSELF, "objective.terms=[{kind: bce}, {kind: mld}]", f"cohort.unlabelled=[{manifest}]")
    root = distill(make_config(f"manifest={site}", *settings), tmp_path / "run")
    summary = load_run(root).header.training
    assert summary.is_simulated
    assert summary.unlabelled_sources == ("test (simulated)",)


def test_other_unlabelled_images_are_not_resumed_on(make_config: MakeConfig, site: Path, tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int, figures: object = None) -> None:
        if stage == "training" and done == 2:
            raise InterruptedError

    config = make_config(ITSELF, "objective.terms=[{kind: bce}, {kind: mld}]", f"cohort.unlabelled=[{site}]")
    with pytest.raises(InterruptedError):
        train(config, tmp_path / "run", stop)
    there = read_manifest(site)
    write_manifest(Manifest(there.table.iloc[2:].reset_index(drop=True), there.regions, there.header), site)
    with pytest.raises(CheckpointError, match="another manifest"):
        train(config, tmp_path / "run")


def test_without_any_label_a_teacher_alone_teaches_what_it_knows(make_config: MakeConfig, tmp_path: Path) -> None:
    teacher = train(make_config(), tmp_path / "teacher")
    settings = (f"teacher={{kind: run, run: {teacher}}}", "cohort.labelled_fraction=0", "preprocess.size=32")
    root = distill(make_config(*settings, "objective.terms=[{kind: soft-bce}, {kind: dist}]"), tmp_path / "student")
    header = load_run(root).header
    assert (header.training.num_images, header.training.num_labelled) == (24, 0)
    assert header.unlearnt == ("Hernia",)
    losses = [record["loss"] for record in read_metrics(RunDir(root).metrics) if "loss" in record]
    assert all(loss is not None and loss > 0 for loss in losses)


def test_a_manifest_that_never_had_labels_is_enough_beside_a_teacher(
    make_config: MakeConfig, site: Path, tmp_path: Path
) -> None:
    teacher = train(make_config(), tmp_path / "teacher")
    there = read_manifest(site)
    bare = there.table.drop(columns=[name for name in there.table if str(name).startswith("label.")])
    write_manifest(Manifest(bare, there.regions, there.header.model_copy(update={"findings": ()})), site)
    settings = (f"teacher={{kind: run, run: {teacher}}}", "objective.terms=[{kind: soft-bce}]", f"manifest={site}")
    header = load_run(distill(make_config(*settings), tmp_path / "student")).header
    assert (header.training.num_labelled, header.validation_auroc, header.step) == (0, None, 4)
    assert header.unlearnt == ("Hernia",)


def test_labels_that_no_term_looks_at_teach_nothing(make_config: MakeConfig, tmp_path: Path) -> None:
    teacher = train(make_config("findings=[Effusion]"), tmp_path / "teacher")
    settings = (f"teacher={{kind: run, run: {teacher}}}", "objective.terms=[{kind: soft-bce}]")
    assert load_run(distill(make_config(*settings), tmp_path / "student")).header.unlearnt == ("Mass", "Hernia")


@pytest.mark.parametrize(
    "settings",
    [
        (TAUGHT[0], "objective.terms=[{kind: bce}, {kind: soft-bce}]"),
        (ITSELF, "teacher.form=salnas", TAUGHT[1]),
    ],
    ids=["a term on labels", "labels mixed in"],
)
def test_to_learn_from_labels_and_see_none_is_refused(make_config: MakeConfig, settings: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"cohort\.labelled_fraction is 0"):
        make_config(*settings, "cohort.labelled_fraction=0")
    with pytest.raises(ConfigError, match=r"cohort\.labelled_fraction"):
        make_config("cohort.labelled_fraction=-0.1")


def test_a_term_on_labels_where_nobody_labelled_is_an_empty_cohort(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(TAUGHT[0], "objective.terms=[{kind: bce}, {kind: soft-bce}]", "findings=[Hernia]")
    with pytest.raises(EmptyCohortError, match="let a teacher alone teach"):
        open_cohorts(config, tmp_path)


@pytest.mark.parametrize("form", ["ema", "salnas"])
def test_a_self_taught_run_is_told_as_such_and_knows_what_labels_know(
    make_config: MakeConfig, tmp_path: Path, form: str
) -> None:
    terms = "[{kind: bce}, {kind: mld}, {kind: class-map}, {kind: hint}]" if form == "ema" else "[{kind: soft-bce}]"
    settings = (ITSELF, f"teacher.form={form}", f"objective.terms={terms}", "cohort.labelled_fraction=0.5")
    root = distill(make_config(*settings, "cohort.labelled_share=0.5", "augment.num_views=null"), tmp_path / "run")
    header = load_run(root).header
    assert header.training.teacher == "itself"
    assert header.unlearnt == ("Hernia",)
    assert (header.training.num_images, header.training.num_labelled) == (24, 12)
    assert train_summary(root)["teacher"] == {"name": "itself", "form": form, "warmup_steps": 0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("teacher.cache=true", TAUGHT[1]), r"teacher\.cache is not a setting"),
        ((TAUGHT[1],), "learns nothing: add bce"),
        (("objective.terms=[{kind: bce}]",), "no term of the objective learns from it"),
        (("teacher.view=other", "objective.terms=[{kind: bce}, {kind: hint}]"), "hint compares places"),
    ],
)
def test_what_a_self_taught_student_cannot_do_is_said(
    make_config: MakeConfig, settings: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(ITSELF, *settings)
