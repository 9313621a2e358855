"""A grid of small nets: trained once, gone on with, mended; its figures; what happens when a cell fails."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pocketcxr.domain.errors import ConfigError, PocketCxrError
from pocketcxr.domain.progress import NO_FIGURES, silent
from pocketcxr.evaluate.differences import compare as compare_tables
from pocketcxr.evaluate.scores import read_scores
from pocketcxr.manifest.schema import read_manifest, write_manifest
from pocketcxr.recipes import compare_cells
from pocketcxr.recipes.compare import CELLS, CompareResult, compare, dry_run
from pocketcxr.recipes.compare_config import GridConfig
from pocketcxr.recipes.config import load_config
from pocketcxr.recipes.export import export
from pocketcxr.recipes.run_config import RunConfig

MakeGrid = Callable[..., GridConfig]
OPTIM = {"steps": 3, "batch_size": 4, "warmup_steps": 1, "evaluate_every": 2, "checkpoint_every": 1, "ema_decay": 0.5}
NUM_CELLS = 1 + 2 * (1 + 2)


@pytest.fixture
def make_grid(manifest: Path, tmp_path: Path) -> MakeGrid:
    """(settings) -> a grid of one teacher, one student, two objectives and two seeds on small pictures."""
    whole = read_manifest(manifest)
    whole.table["split"] = ["train"] * 16 + ["validation"] * 10 + ["test"] * 10
    write_manifest(whole, manifest)
    grid = {
        "manifest": str(manifest),
        "base": {
            "preprocess": {"size": 32},
            "findings": ["Effusion", "Mass", "Hernia"],
            "augment": {"num_views": 1},
            "optim": OPTIM,
            "device": "cpu",
        },
        "teachers": {"big": {"net": {"name": "test_efficientnet"}, "optim": {"learning_rate": 0.01}}},
        "students": {"small": {"net": {"name": "test_efficientnet"}}},
        "objectives": {"soft": "soft-bce", "mine": {"terms": [{"kind": "bce"}, {"kind": "mld", "weight": 0.5}]}},
        "seeds": [0, 1],
        "num_resamples": 60,
    }
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(grid, sort_keys=False))

    def make(*settings: str) -> GridConfig:
        return load_config(GridConfig, path, settings)

    return make


class Counting:
    """Counts trainings by the folder they begin in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trained: list[str] = []
        for name in ("train", "distill"):
            monkeypatch.setattr(compare_cells, name, self._counted(getattr(compare_cells, name)))

    def _counted(self, recipe: Callable[..., Path]) -> Callable[..., Path]:
        def run(config: RunConfig, out: Path, progress: object) -> Path:
            if compare_cells.RunDir(out).best.exists() and compare_cells.RunDir(out).is_finished():
                return out
            self.trained.append(out.name if out.parent.name == "teachers" else "/".join(out.parts[-3:]))
            return recipe(config, out, progress)

        return run


def figures(result: CompareResult) -> dict[str, object]:
    """All that does not depend on the clock."""
    arms = [arm.model_dump(exclude={"cost"}) for arm in result.report.arms]
    return {"arms": arms, "failures": [failure.cell for failure in result.report.failures]}


def test_every_cell_is_trained_once_and_the_teacher_is_shared(
    make_grid: MakeGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch)
    result = compare(make_grid(), tmp_path / "out")
    assert len(counting.trained) == len(set(counting.trained)) == NUM_CELLS
    assert counting.trained[0] == "big-shared"
    arms = {arm.name: arm for arm in result.report.arms}
    assert list(arms) == ["teacher big", "small alone", "small big soft", "small big mine"]
    assert sum(arm.is_chosen for arm in arms.values()) == 1
    assert arms["small big soft"].seeds == (0, 1)
    assert arms["teacher big"].seeds == ()
    chosen = next(arm for arm in arms.values() if arm.is_chosen)
    assert chosen.choosing_auroc == max(arms[f"small big {name}"].choosing_auroc or 0 for name in ("soft", "mine"))
    assert not (tmp_path / "out" / "failures.json").exists()


def test_the_same_call_again_trains_nothing_and_says_the_same(
    make_grid: MakeGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compare(make_grid(), tmp_path / "out")
    counting = Counting(monkeypatch)
    again = compare(make_grid(), tmp_path / "out")
    assert counting.trained == []
    assert figures(again) == figures(first)
    assert {state for _, state in dry_run(make_grid(), tmp_path / "out")} == {"done"}


def test_stopped_in_the_middle_and_gone_on_with_it_says_the_same(make_grid: MakeGrid, tmp_path: Path) -> None:
    class Stop:
        """Ctrl-C at the `number`-th step of all trainings."""

        def __init__(self, number: int) -> None:
            self.left = number

        def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float] = NO_FIGURES) -> None:
            if stage.endswith(": training"):
                self.left -= 1
                if self.left == 0:
                    raise KeyboardInterrupt

    whole = compare(make_grid(), tmp_path / "whole")
    for number in (2, 8):
        with pytest.raises(KeyboardInterrupt):
            compare(make_grid(), tmp_path / "out", Stop(number))
        assert not (tmp_path / "out" / "results.json").exists()
    assert figures(compare(make_grid(), tmp_path / "out")) == figures(whole)


def test_what_is_written_can_be_read(make_grid: MakeGrid, tmp_path: Path) -> None:
    result = compare(make_grid(), tmp_path / "out")
    rows = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert len(rows) == NUM_CELLS
    assert set(rows["role"]) == {"teacher", "alone", "distilled"}
    assert (rows["energy_proxy_macs"] == rows["macs"] * rows["images_seen"]).all()
    assert (rows["images_seen"] == 12).all()
    assert rows["test_auroc.Hernia"].isna().all()
    assert rows["test_auroc.Effusion"].notna().all()
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert written["schema_version"] == 1
    assert written["is_simulated"]
    assert [arm["name"] for arm in written["arms"]] == [arm.name for arm in result.report.arms]


def test_the_difference_is_that_of_the_scores(make_grid: MakeGrid, tmp_path: Path) -> None:
    result = compare(make_grid("seeds=[1]"), tmp_path / "out")
    arm = next(arm for arm in result.report.arms if arm.objective == "soft")
    runs = tmp_path / "out" / "runs" / "small"
    tables = [read_scores(runs / name / "s1" / "report.scores.parquet") for name in ("big/soft", "alone")]
    plain = compare_tables(tables[0], tables[1], np.random.default_rng(0), 60)
    assert arm.minus_alone is not None
    assert arm.minus_alone.mean is not None
    assert arm.minus_alone.mean.estimate == plain.mean_auroc


@pytest.mark.slow
def test_only_what_changed_is_trained_again_and_the_old_run_is_kept(
    make_grid: MakeGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(make_grid(), tmp_path / "out")
    counting = Counting(monkeypatch)
    changed = make_grid("objectives.mine.terms.1.weight=2", "seeds=[0, 1, 2]")
    states = {cell.name: state for cell, state in dry_run(changed, tmp_path / "out")}
    assert states["small big mine s0"] == "outdated"
    assert states["small big mine s2"] == "new"
    compare(changed, tmp_path / "out")
    assert sorted(counting.trained) == ["big/mine/s0", "big/mine/s1", "big/mine/s2", "big/soft/s2", "small/alone/s2"]
    assert (tmp_path / "out" / "outdated" / "runs" / "small" / "big" / "mine" / "s0-1" / "best.safetensors").exists()


@pytest.mark.slow
def test_a_changed_teacher_is_trained_again_with_all_it_taught(
    make_grid: MakeGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(make_grid(), tmp_path / "out")
    counting = Counting(monkeypatch)
    changed = make_grid("teachers.big.optim.learning_rate=0.02")
    states = {cell.name: state for cell, state in dry_run(changed, tmp_path / "out")}
    assert [name for name, state in states.items() if state == "done"] == ["small alone s0", "small alone s1"]
    compare(changed, tmp_path / "out")
    assert len(counting.trained) == 5
    assert not any("alone" in name for name in counting.trained)


@pytest.mark.slow
def test_another_truth_changes_the_report_and_trains_nothing(
    make_grid: MakeGrid, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compare(make_grid(), tmp_path / "out")
    whole = read_manifest(manifest)
    swapped = whole.table["label.Effusion"].map({"present": "absent", "absent": "present"})
    whole.table["label.Effusion"] = swapped
    truth = tmp_path / "truth.parquet"
    write_manifest(whole, truth)
    counting = Counting(monkeypatch)
    second = compare(make_grid(f"truth={truth}"), tmp_path / "out")
    assert counting.trained == []
    for before, after in zip(first.report.arms, second.report.arms, strict=True):
        assert after.choosing_auroc == before.choosing_auroc
        values = [arm.reported.findings["Effusion"].estimate.value for arm in (before, after)]  # type: ignore[union-attr]
        assert sum(values) == pytest.approx(1)


def test_a_cell_that_fails_is_reported_and_the_others_go_on(make_grid: MakeGrid, tmp_path: Path) -> None:
    grid = make_grid("objectives.soft={objective: soft-bce, optim: {learning_rate: 1.0e+30, clip_norm: null}}")
    result = compare(grid, tmp_path / "out")
    assert [failure.cell for failure in result.report.failures] == ["small big soft s0", "small big soft s1"]
    listed = json.loads((tmp_path / "out" / "failures.json").read_text())
    assert "diverged" in listed[0]["message"]
    assert "Traceback" in listed[0]["traceback"]
    assert [arm.name for arm in result.report.arms] == ["teacher big", "small alone", "small big mine"]
    mended = compare(make_grid(), tmp_path / "out")
    assert not mended.report.failures
    assert not (tmp_path / "out" / "failures.json").exists()


def test_a_seed_that_failed_is_missing_and_the_arm_is_not_chosen(
    make_grid: MakeGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = compare_cells.distill

    def out_of_memory(config: RunConfig, out: Path, progress: object) -> Path:
        if out.parts[-2:] == ("soft", "s1"):
            raise MemoryError("no memory")
        return trained(config, out, silent)

    monkeypatch.setattr(compare_cells, "distill", out_of_memory)
    arms = {arm.name: arm for arm in compare(make_grid(), tmp_path / "out").report.arms}
    assert (arms["small big soft"].seeds, arms["small big soft"].missing_seeds) == ((0,), (1,))
    assert arms["small big mine"].is_chosen
    difference = arms["small big soft"].minus_alone
    assert difference is not None
    assert difference.seeds == (0,)


def test_without_its_teacher_nobody_is_taught(
    make_grid: MakeGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = make_grid("teachers.big.optim.learning_rate=1.0e+30", "teachers.big.optim.clip_norm=null")
    counting = Counting(monkeypatch)
    result = compare(broken, tmp_path / "out")
    assert len(result.report.failures) == 5
    assert "its teacher big-shared failed" in result.report.failures[1].message
    assert [arm.name for arm in result.report.arms] == ["small alone"]
    assert len(counting.trained) == 3


def test_when_nothing_has_a_result_the_first_reason_is_told(make_grid: MakeGrid, tmp_path: Path) -> None:
    with pytest.raises(PocketCxrError, match=r"no cell .* teacher big: .*diverged"):
        compare(
            make_grid("base.optim.learning_rate=1.0e+30", "base.optim.clip_norm=null", "teachers.big.optim={}"),
            tmp_path / "out",
        )
    assert (tmp_path / "out" / "failures.json").exists()


@pytest.mark.slow
def test_a_teacher_for_every_seed(make_grid: MakeGrid, tmp_path: Path) -> None:
    result = compare(make_grid("teacher_seed=each"), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "teachers").iterdir()) == ["big-s0", "big-s1"]
    teacher = result.report.arm("teacher", None, "big")
    assert teacher is not None
    assert teacher.seeds == (0, 1)


@pytest.mark.slow
def test_teachers_that_exist_and_ensembles_are_scored_beside_their_students(
    make_grid: MakeGrid, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = compare(make_grid("seeds=[0]"), out)
    bundle = tmp_path / "b.zip"
    export(out / "teachers" / "big-shared", bundle)
    run = shutil.copytree(out / "teachers" / "big-shared", tmp_path / "elsewhere")
    grid = make_grid(
        "seeds=[0]",
        f"teachers.run={{kind: run, run: {run}}}",
        f"teachers.bundle={{kind: bundle, bundle: {bundle}}}",
        "teachers.both={kind: ensemble, members: [big, bundle], weighting: validation}",
        "teachers.mean={kind: ensemble, members: [big, run]}",
    )
    result = compare(grid, out)
    assert not result.report.failures
    levels = {arm.teacher: arm for arm in result.report.arms if arm.role == "teacher"}
    assert set(levels) == {"big", "run", "bundle", "both", "mean"}
    trained = first.report.arm("teacher", None, "big")
    assert trained is not None
    for name in ("big", "run", "bundle", "mean"):
        assert levels[name].reported == trained.reported
    assert levels["both"].cost.macs == 2 * (trained.cost.macs or 0)


def test_a_typo_is_found_before_anything_is_trained(make_grid: MakeGrid, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"objectives\.mine\.terms\.1\.wieght"):
        compare(make_grid("objectives.mine.terms.1.wieght=2"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_progress_counts_cells_and_names_each(make_grid: MakeGrid, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    def listen(stage: str, done: int, total: int, figures: Mapping[str, float] = NO_FIGURES) -> None:
        told.append((stage, done, total))

    compare(make_grid("seeds=[0]"), tmp_path / "out", listen)
    assert [done for stage, done, _ in told if stage == CELLS] == [0, 1, 2, 3, 4]
    assert ("small big soft s0: training", 3, 3) in told
