"""SIMULATED.txt: tells people what the folder is, and the next run whether it may go on in it."""

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path

from pocketcxr._version import __version__
from pocketcxr.domain.errors import UsageError
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.layouts.choice import layout_named

FILE_NAME = "SIMULATED.txt"

TEXT = """\
SIMULATED chest radiographs
===========================

{about}

Research use only. A figure measured on these images says how software behaves, not how it does on patients. A model
trained on them alone must not be used on patients.

{contents}
"""
ABOUT = (
    "Nothing in this folder comes from a patient. Every image was computed by pocketcxr, and every label, age and sex "
    "was drawn at random. The files follow {follows}, so that its readers read them."
)
STATE, VERSION, CONFIG = "state: ", "version: ", "config: "
UNFINISHED, COMPLETE = "unfinished", "complete"


@dataclass(frozen=True)
class Notice:
    """What SIMULATED.txt says."""

    state: str
    version: str
    config: str


def claim(out: Path, config: PhantomConfig) -> bool:
    """Whether `out` already holds the whole simulation of `config`; otherwise marks it as its place, unfinished.

    Raises UsageError where the folder holds anything else.
    """
    path = out / FILE_NAME
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder for the simulated data set")
    if path.exists():
        return _read_own(path, config).state == COMPLETE
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} holds files that are no simulation of pocketcxr; name a new or an empty folder")
    out.mkdir(parents=True, exist_ok=True)
    _write(out, config, UNFINISHED)
    return False


def finish(out: Path, config: PhantomConfig) -> None:
    """Marks the simulation in `out` as complete."""
    _write(out, config, COMPLETE)


def _read_own(path: Path, config: PhantomConfig) -> Notice:
    """The notice in `path`. Raises UsageError if it tells of another configuration or version."""
    found = _read(path)
    wanted = config.told()
    next_step = f"name another folder, or delete {path.parent}"
    if found.version != __version__:
        message = f"{path.parent} was simulated by pocketcxr {found.version}, this is {__version__}: images may differ"
        raise UsageError(f"{message}; {next_step}")
    if found.config != wanted:
        difference = _difference(found.config, wanted)
        raise UsageError(f"{path.parent} holds a simulation with another configuration ({difference}); {next_step}")
    return found


def _read(path: Path) -> Notice:
    values: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        for key in (STATE, VERSION, CONFIG):
            if line.startswith(key):
                values[key] = line.removeprefix(key)
    if len(values) != 3:
        raise UsageError(f"{path} has no state, version or config line; name another folder, or delete {path.parent}")
    return Notice(values[STATE], values[VERSION], values[CONFIG])


def _difference(found: str, wanted: str) -> str:
    """The settings that differ, as 'size 64 there, 96 asked for'."""
    try:
        there: dict[str, object] = json.loads(found)
    except json.JSONDecodeError:
        return "its config line is damaged"
    asked: dict[str, object] = json.loads(wanted)
    keys = [key for key in {**asked, **there} if there.get(key) != asked.get(key)]
    return ", ".join(_told(key, there.get(key), asked.get(key)) for key in keys)


def _told(key: str, there: object, asked: object) -> str:
    if isinstance(there, dict) and isinstance(asked, dict):
        parts = [part for part in {**asked, **there} if there.get(part) != asked.get(part)]
        return ", ".join(_told(f"{key}.{part}", there.get(part), asked.get(part)) for part in parts)
    return f"{key} {there} there, {asked} asked for"


def _write(out: Path, config: PhantomConfig, state: str) -> None:
    layout = layout_named(config.layout)
    about = textwrap.fill(ABOUT.format(follows=layout.follows), width=120)
    text = TEXT.format(about=about, contents=layout.contents)
    text += f"{STATE}{state}\n{VERSION}{__version__}\nseed: {config.seed}\n{CONFIG}{config.told()}\n"
    part = out / f"{FILE_NAME}.part"
    part.write_text(text, encoding="utf-8")
    part.replace(out / FILE_NAME)
