"""A logger shows the rows of metrics.jsonl once, whatever happened to the run, and never stops a training."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from pocketcxr.domain.errors import MissingExtraError, UsageError
from pocketcxr.train.job import FitJob
from pocketcxr.train.log import append_metrics, cut_metrics, read_metrics
from pocketcxr.train.loggers import EVERY, open_loggers
from pocketcxr.train.loop import fit
from pocketcxr.train.run_dir import RunDir, open_run

CONFIG = {"net": {"name": "tiny"}, "findings": ["Mass", "Edema"], "objective": {"terms": [{"kind": "bce"}]}, "seed": 3}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return open_run(tmp_path / "run", CONFIG)


def train(run: RunDir, steps: range, *names: str) -> None:
    """As the training loop does it: each row to metrics.jsonl and to the loggers, an evaluation every 15 steps."""
    cut_metrics(run.metrics, steps.start - 1)
    with open_loggers(names, run) as log:  # type: ignore[arg-type]
        for step in steps:
            rows: list[dict[str, float | None]] = [{"loss": 1 / step, "bce": None}]
            rows += [{"validation_auroc": step / 100, "is_best": float("nan")}] if step % 15 == 0 else []
            for figures in rows:
                append_metrics(run.metrics, step, figures)
                log(step, figures)


def test_nobody_listens_where_no_logger_is_asked_for(run: RunDir) -> None:
    train(run, range(1, 30))
    assert {path.name for path in run.root.iterdir()} == {"config.yaml", "metrics.jsonl"}


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow")])
def test_a_missing_package_is_an_error_that_names_the_extra(
    name: str, package: str, run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"'{package}'.*pocketcxr\[log\]"):
        train(run, range(1, 2), name)


class TestTensorboard:
    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("tensorboard")

    def shown(self, run: RunDir) -> dict[str, list[tuple[int, float]]]:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        accumulator = EventAccumulator(str(run.root / "tensorboard"))
        accumulator.Reload()
        return {
            tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
            for tag in accumulator.Tags()["scalars"]
        }

    def test_it_shows_every_tenth_step_and_every_evaluation(self, run: RunDir) -> None:
        train(run, range(1, 41), "tensorboard")
        shown = self.shown(run)
        assert [step for step, _ in shown["loss"]] == [1, EVERY, 2 * EVERY, 3 * EVERY, 4 * EVERY]
        assert shown["validation_auroc"] == [(15, pytest.approx(0.15)), (30, pytest.approx(0.3))]
        assert set(shown) == {"loss", "validation_auroc"}  # what is None or NaN is left out

    def test_a_resumed_run_shows_each_step_once(self, run: RunDir) -> None:
        train(run, range(1, 41), "tensorboard")
        once = self.shown(run)
        train(run, range(18, 41), "tensorboard")
        assert self.shown(run) == once

    def test_a_run_that_began_without_it_is_shown_whole(self, run: RunDir) -> None:
        train(run, range(1, 25))
        train(run, range(25, 41), "tensorboard")
        assert [step for step, _ in self.shown(run)["loss"]] == [1, 10, 20, 30, 40]

    def test_a_folder_that_cannot_be_written_is_an_error_that_says_what_to_do(self, run: RunDir) -> None:
        (run.root / "tensorboard").write_text("in the way")
        with pytest.raises(UsageError, match=r"tensorboard cannot be written .* leave tensorboard out of log"):
            train(run, range(1, 2), "tensorboard")

    def test_the_training_loop_tells_it_what_it_writes_to_metrics_jsonl(
        self, run: RunDir, make_job: Callable[..., FitJob]
    ) -> None:
        fit(make_job(log=("tensorboard",)), run)
        shown, rows = self.shown(run), read_metrics(run.metrics)
        for name in ("loss", "validation_auroc"):
            wanted = [(row["step"], row[name]) for row in rows if name in row]
            if name == "loss":
                wanted = [pair for pair in wanted if pair[0] in {1, EVERY}]
            assert shown[name] == [(step, pytest.approx(value)) for step, value in wanted]

    def test_the_settings_stand_in_the_table_of_hyperparameters(self, run: RunDir) -> None:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

        train(run, range(1, 2), "tensorboard")
        accumulator = EventAccumulator(str(run.root / "tensorboard"))
        accumulator.Reload()
        data = accumulator.PluginTagToContent("hparams")["_hparams_/session_start_info"]
        settings = HParamsPluginData.FromString(data).session_start_info.hparams
        assert settings["net.name"].string_value == "tiny"
        assert settings["findings"].string_value == "Mass, Edema"
        assert settings["objective.terms.0.kind"].string_value == "bce"
        assert settings["seed"].number_value == 3


class FakeError(Exception):
    """MLflow's own error."""


@dataclass
class FakeStore:
    """What a server of MLflow keeps, and how it is asked; `is_down` makes it refuse figures."""

    runs: dict[str, SimpleNamespace] = field(default_factory=dict)
    experiments: dict[str, SimpleNamespace] = field(default_factory=dict)
    is_down: bool = False
    longest_batch: int = 0

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        return self.experiments.get(name)

    def create_experiment(self, name: str) -> str:
        self.experiments[name] = SimpleNamespace(experiment_id=str(len(self.experiments)))
        return self.experiments[name].experiment_id

    def create_run(self, experiment_id: str, run_name: str) -> SimpleNamespace:
        info = SimpleNamespace(run_id=f"r{len(self.runs)}", run_name=run_name)
        self.runs[info.run_id] = SimpleNamespace(info=info, metrics=[], params={}, status="RUNNING")
        return SimpleNamespace(info=info)

    def get_run(self, run_id: str) -> SimpleNamespace:
        if run_id not in self.runs:
            raise FakeError("no such run\nat length")
        return SimpleNamespace(data=SimpleNamespace(metrics={one.key: one for one in self.runs[run_id].metrics}))

    def get_metric_history(self, run_id: str, name: str) -> list[SimpleNamespace]:
        return [one for one in self.runs[run_id].metrics if one.key == name]

    def update_run(self, run_id: str, status: str) -> None:
        self.runs[run_id].status = status

    def set_terminated(self, run_id: str, status: str) -> None:
        self.runs[run_id].status = status

    def log_batch(
        self, run_id: str, metrics: tuple[SimpleNamespace, ...] = (), params: tuple[object, ...] = ()
    ) -> None:
        if self.is_down:
            raise FakeError("unreachable\nat length")
        self.longest_batch = max(self.longest_batch, len(metrics))
        self.runs[run_id].metrics += list(metrics)
        self.runs[run_id].params |= dict(params)  # type: ignore[arg-type]

    def steps(self, run_id: str, name: str) -> list[int]:
        return [one.step for one in self.get_metric_history(run_id, name)]


def fake_metric(key: str, value: float, timestamp: int, step: int) -> SimpleNamespace:
    return SimpleNamespace(key=key, value=value, timestamp=timestamp, step=step)


class TestMlflow:
    @pytest.fixture
    def store(self, monkeypatch: pytest.MonkeyPatch) -> FakeStore:
        store = FakeStore()
        package = ModuleType("mlflow")
        entities = SimpleNamespace(Metric=fake_metric, Param=lambda name, value: (name, value))
        package.__dict__.update(
            MlflowClient=lambda: store,
            MlflowException=FakeError,
            entities=entities,
            get_tracking_uri=lambda: "http://nowhere",
        )
        monkeypatch.setitem(sys.modules, "mlflow", package)
        return store

    def test_it_is_told_every_tenth_step_every_evaluation_and_the_settings(self, run: RunDir, store: FakeStore) -> None:
        train(run, range(1, 41), "mlflow")
        [kept] = store.runs.values()
        assert store.steps("r0", "loss") == [1, 10, 20, 30, 40]
        assert store.steps("r0", "validation_auroc") == [15, 30]
        assert kept.params == {
            "net.name": "tiny",
            "findings": "Mass, Edema",
            "objective.terms.0.kind": "bce",
            "seed": "3",
        }
        assert kept.info.run_name == str(run.root)
        assert kept.status == "FINISHED"

    def test_a_resumed_run_goes_on_as_the_same_run_with_each_step_once(self, run: RunDir, store: FakeStore) -> None:
        train(run, range(1, 41), "mlflow")
        train(run, range(18, 61), "mlflow")
        assert list(store.runs) == ["r0"]
        assert store.steps("r0", "loss") == [1, 10, 20, 30, 40, 50, 60]
        assert store.steps("r0", "validation_auroc") == [15, 30, 45, 60]

    def test_a_run_that_the_store_lost_is_told_again_from_the_start(self, run: RunDir, store: FakeStore) -> None:
        train(run, range(1, 31), "mlflow")
        store.runs.clear()
        train(run, range(31, 41), "mlflow")
        assert store.steps("r0", "loss") == [1, 10, 20, 30, 40]

    @pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED")])
    def test_how_the_run_ended_is_told(
        self, error: type[BaseException], status: str, run: RunDir, store: FakeStore
    ) -> None:
        def train_until_it_stops() -> None:
            with open_loggers(["mlflow"], run) as log:
                log(1, {"loss": 1.0})
                raise error

        with pytest.raises(error):
            train_until_it_stops()
        assert store.runs["r0"].status == status
        assert store.steps("r0", "loss") == [1]

    def test_training_goes_on_while_the_store_does_not_answer_and_tells_it_later(
        self, run: RunDir, store: FakeStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        with open_loggers(["mlflow"], run) as log:
            store.is_down = True
            for step in range(EVERY, 12 * EVERY, EVERY):
                log(step, {"loss": 1.0})
            store.is_down = False
        assert store.steps("r0", "loss") == list(range(EVERY, 12 * EVERY, EVERY))
        assert "MLflow did not take 10 figures (unreachable)" in caplog.text
        assert str(run.metrics) in caplog.text

    def test_no_request_is_larger_than_it_takes(self, run: RunDir, store: FakeStore) -> None:
        with open_loggers(["mlflow"], run) as log:
            log(1, {f"term{number}": 1.0 for number in range(2500)})
        assert store.longest_batch == 1000
        assert len(store.runs["r0"].metrics) == 2500

    def test_a_store_that_cannot_be_reached_at_first_is_an_error(self, run: RunDir, store: FakeStore) -> None:
        store.is_down = True
        with pytest.raises(UsageError, match=r"http://nowhere \(unreachable\); set MLFLOW_TRACKING_URI"):
            train(run, range(1, 2), "mlflow")

    def test_a_damaged_note_is_an_error_that_says_what_to_delete(self, run: RunDir, store: FakeStore) -> None:
        (run.root / "mlflow.json").write_text("{")
        with pytest.raises(UsageError, match=r"mlflow\.json cannot be read .* delete it"):
            train(run, range(1, 2), "mlflow")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of MLflow's own packages
def test_the_real_mlflow_keeps_a_resumed_run_once(run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    train(run, range(1, 41), "mlflow")
    train(run, range(18, 61), "mlflow")
    client = mlflow.MlflowClient()
    [experiment] = [one for one in client.search_experiments() if one.name == "pocketcxr"]
    [kept] = client.search_runs([experiment.experiment_id])
    assert kept.data.params["objective.terms.0.kind"] == "bce"
    assert kept.info.status == "FINISHED"
    history = client.get_metric_history(kept.info.run_id, "loss")
    assert sorted(one.step for one in history) == [1, 10, 20, 30, 40, 50, 60]
