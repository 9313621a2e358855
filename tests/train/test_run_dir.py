"""A run goes on with the same settings only, and its log never repeats a step."""

from pathlib import Path

import pytest

from pocketcxr.domain.errors import CheckpointError, ConfigError, UsageError
from pocketcxr.train.log import append_metrics, cut_metrics, read_metrics
from pocketcxr.train.run_dir import existing_run, open_run, read_config, read_environment, write_environment

CONFIG = {"seed": 0, "optim": {"steps": 10}, "objective": {"terms": [{"kind": "bce", "weight": 1.0}]}, "teacher": None}


def test_the_same_settings_open_the_run_again(tmp_path: Path) -> None:
    first = open_run(tmp_path / "run", CONFIG)
    assert read_config(first) == CONFIG
    assert open_run(tmp_path / "run", dict(reversed(CONFIG.items()))) == first == existing_run(tmp_path / "run")


def test_other_settings_are_refused_and_every_differing_key_is_named(tmp_path: Path) -> None:
    open_run(tmp_path, CONFIG)
    changed = {
        **CONFIG,
        "optim": {"steps": 20},
        "objective": {"terms": [{"kind": "mld", "weight": 1.0}]},
        "teacher": {"run": "runs/teacher"},
    }
    with pytest.raises(ConfigError) as caught:
        open_run(tmp_path, changed)
    message = str(caught.value)
    assert "objective.terms.0.kind (was 'bce', is 'mld')" in message
    assert "optim.steps (was 10, is 20)" in message
    assert "teacher.run" in message
    assert "seed" not in message
    assert "choose another --out" in message


def test_a_file_in_the_way_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="choose another folder"):
        open_run(tmp_path / "run", CONFIG)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no run.*config\.yaml"):
        existing_run(tmp_path)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", ""])
def test_a_damaged_config_is_refused(tmp_path: Path, text: str) -> None:
    run = open_run(tmp_path, CONFIG)
    run.config.write_text(text)
    with pytest.raises(ConfigError, match="choose another --out"):
        open_run(tmp_path, CONFIG)


def test_the_environment_is_read_back_and_its_absence_named(tmp_path: Path) -> None:
    run = open_run(tmp_path, CONFIG)
    with pytest.raises(CheckpointError, match=r"env\.json"):
        read_environment(run)
    write_environment(run, {"seed": 3})
    assert read_environment(run) == {"seed": 3}
    assert not run.is_finished()


def test_what_was_logged_after_the_checkpoint_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in range(1, 6):
        append_metrics(path, step, {"loss": 1.0 / step})
    with path.open("a") as file:
        file.write('{"step": 6, "lo')
    assert [record["step"] for record in read_metrics(path)] == [1, 2, 3, 4, 5]
    cut_metrics(path, 3)
    append_metrics(path, 4, {"loss": None})
    assert [record["step"] for record in read_metrics(path)] == [1, 2, 3, 4]


def test_what_is_no_number_is_null_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_metrics(path, 1, {"loss": float("nan"), "hint": float("inf"), "bce": 0.5})
    assert path.read_text() == '{"step": 1, "loss": null, "hint": null, "bce": 0.5}\n'
    assert read_metrics(tmp_path / "absent") == []


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="make room"):
        append_metrics(tmp_path, 1, {})


def test_a_run_may_go_on_with_another_loader(tmp_path: Path) -> None:
    first = open_run(tmp_path, {**CONFIG, "loader": {"num_workers": 2, "prefetch": 2}})
    assert open_run(tmp_path, {**CONFIG, "loader": {"num_workers": None, "prefetch": 4}}) == first
    assert open_run(tmp_path, CONFIG) == first
