"""Hatchling's hook: the wheel and the source archive carry the built page (src/pocketcxr/apps/web/site).

It is built here when it is missing or older than its sources in page/, which takes node and npm. An editable install
goes on without them; a wheel or a source archive does not, unless POCKETCXR_WITHOUT_PAGE=1 asks for one without the
page. A source archive carries the page built: making a wheel of it takes no npm.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WITHOUT_PAGE = "POCKETCXR_WITHOUT_PAGE"
NOT_SOURCES = {"node_modules", "tests"}
TIME_LIMIT_S = 900
"""For each of the two commands; compressing the runtime takes half a minute of a quiet core."""


class PageHook(BuildHookInterface):
    """Builds the page before files are collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling gives it
        """Leaves the site folder as the target needs it. Raises RuntimeError where it cannot."""
        page, site = Path(self.root, "page"), Path(self.root, "src/pocketcxr/apps/web/site")
        is_built = (site / "index.html").is_file()
        if os.environ.get(WITHOUT_PAGE) == "1" or (is_built and (self._is_archive() or not _is_older(site, page))):
            return
        problem = _build(page)
        if problem is None:
            return
        advice = f"{problem}; install node 20 or newer with npm and try again, or set {WITHOUT_PAGE}=1 for none"
        if is_built:
            self.app.display_warning(f"pocketcxr carries a page older than its sources: {advice}")
        elif version == "editable":
            self.app.display_warning(f"pocketcxr is installed without its page, 'serve' will say so: {advice}")
        else:
            raise RuntimeError(f"the page of pocketcxr cannot be built: {advice}")

    def _is_archive(self) -> bool:
        """Whether this is an unpacked source archive: its page is the one it was made with, whatever the times say."""
        return Path(self.root, "PKG-INFO").is_file()


def _is_older(site: Path, page: Path) -> bool:
    built = (site / "index.html").stat().st_mtime
    return any(source.stat().st_mtime > built for source in _sources(page))


def _sources(page: Path) -> list[Path]:
    tops = [top for top in page.iterdir() if top.name not in NOT_SOURCES] if page.is_dir() else []
    return [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top]) if path.is_file()]


def _build(page: Path) -> str | None:
    """Builds the page; why it could not be, in words, or None."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    if not page.is_dir():
        return f"its sources are not in {page}"
    for words in ([] if _is_installed(page) else [["ci"]]) + [["run", "build"]]:
        command = f"npm {' '.join(words)}"
        try:
            done = subprocess.run(
                [npm, *words], check=False, cwd=page, capture_output=True, text=True, timeout=TIME_LIMIT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{command} in {page} did not end well ({error})"
        if done.returncode != 0:
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
            return f"{command} in {page} failed:\n{last}\n"
    return None


def _is_installed(page: Path) -> bool:
    """Whether npm's packages are those of the lock file."""
    installed, lock = page / "node_modules/.package-lock.json", page / "package-lock.json"
    return installed.is_file() and lock.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime


def _run(command: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=TIME_LIMIT_S)
