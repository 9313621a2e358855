"""A run: one execution's directory, the only thing stages hand to one another."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from pocketcxr.domain.errors import CheckpointError, ConfigError, UsageError
from pocketcxr.train.atomic import write_atomically
from pocketcxr.train.checkpoint import read_counters

Data = Mapping[str, object]

_FREE = ("loader", "log")
"""Settings that change how long a run takes or who watches it, nothing that it learns: they may differ later."""


@dataclass(frozen=True)
class RunDir:
    """Where everything in a run lies."""

    root: Path

    @property
    def config(self) -> Path:
        """Every setting, defaults included."""
        return self.root / "config.yaml"

    @property
    def environment(self) -> Path:
        """Versions, machine, times, what came out."""
        return self.root / "env.json"

    @property
    def metrics(self) -> Path:
        """One line a step and an evaluation."""
        return self.root / "metrics.jsonl"

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.root / "last.safetensors"

    @property
    def best(self) -> Path:
        """The weights of the best evaluation."""
        return self.root / "best.safetensors"

    @property
    def scores(self) -> Path:
        """Scores of the last evaluation by image."""
        return self.root / "scores.parquet"

    @property
    def report_json(self) -> Path:
        """Figures of the last evaluation."""
        return self.root / "report.json"

    @property
    def report_html(self) -> Path:
        """The same, to read."""
        return self.root / "report.html"

    def is_finished(self) -> bool:
        """Whether training came to its end here. Raises CheckpointError when the checkpoint cannot be read."""
        return self.last.exists() and self.best.exists() and read_counters(self.last).is_finished


def open_run(root: Path, config: Data) -> RunDir:
    """The run at `root`: made with `config`, or gone on with, where its config.yaml says the same (but of the loader).

    Raises ConfigError that names every differing key, UsageError where `root` cannot be a folder.
    """
    run = RunDir(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {root} cannot be made ({error.strerror or error}); choose another folder") from error
    if run.config.exists():
        _check_same(run, config)
    else:
        write_atomically(run.config, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True).encode())
    return run


def existing_run(root: Path) -> RunDir:
    """The run at `root`. Raises UsageError when there is none."""
    run = RunDir(root)
    if not run.config.exists():
        raise UsageError(
            f"{root} is no run: it has no config.yaml; give the --out folder of pocketcxr train or distill"
        )
    return run


def read_config(run: RunDir) -> Data:
    """What config.yaml holds. Raises ConfigError when it is damaged."""
    try:
        data = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{run.config} cannot be read ({error}); choose another --out") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{run.config} holds no settings; choose another --out")
    return data


def write_environment(run: RunDir, facts: Data) -> None:
    """Replace env.json."""
    write_atomically(run.environment, (json.dumps(facts, indent=2) + "\n").encode())


def read_environment(run: RunDir) -> dict[str, object]:
    """What env.json holds. Raises CheckpointError when it is missing or damaged."""
    try:
        facts = json.loads(run.environment.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{run.environment} cannot be read ({error}); run training again to write it") from error
    return dict(facts)


def _check_same(run: RunDir, config: Data) -> None:
    before, now = _flat(read_config(run)), _flat(config)
    keys = [key for key in sorted(before.keys() | now.keys()) if key.split(".")[0] not in _FREE]
    changed = [key for key in keys if before.get(key) != now.get(key)]
    if changed:
        named = ", ".join(f"{key} (was {before.get(key)!r}, is {now.get(key)!r})" for key in changed)
        raise ConfigError(
            f"{run.root} was started with other settings: {named}; "
            "choose another --out for the new ones, or take them back to go on with this run"
        )


def _flat(value: object, name: str = "") -> dict[str, object]:
    """Every single setting by its dotted name."""
    if isinstance(value, Mapping):
        inner: Mapping[object, object] = value
    elif isinstance(value, list):
        inner = dict(enumerate(value))
    else:
        return {name: value}
    if not inner:
        return {name: value}
    return {k: v for key, item in inner.items() for k, v in _flat(item, f"{name}.{key}" if name else str(key)).items()}
