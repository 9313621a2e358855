"""A real Chromium on the page of the real program. Skipped, with a reason, where the browser or node is absent."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from pocketcxr.apps.web.site import INSTALLED_PAGE

from .bundles import make_bundle
from .pictures import make_files
from .serving import LIMIT_S, Served, serving
from .visiting import Visit

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "page"
BUILD_LIMIT_S = 600
"""Compressing the runtime takes half a minute of a quiet core."""
_NOT_SOURCES = {"node_modules", "tests"}
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Root may not sandbox; a container's shared memory is small.
_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]

Predicted = Mapping[str, dict[str, Any]]
Visits = Callable[..., Visit]


@pytest.fixture(scope="session")
def site() -> Path:
    """The built page, built here where it is missing or older than its sources."""
    if shutil.which("node") is None or not (PAGE / "node_modules").is_dir():
        pytest.skip("needs node and the page's packages: cd page && npm ci")
    if _CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    # Several processes may test at a time.
    with (Path(tempfile.gettempdir()) / "pocketcxr-page-build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_stale(INSTALLED_PAGE / "index.html"):
            subprocess.run(["node", "build.mjs"], cwd=PAGE, check=True, capture_output=True, timeout=BUILD_LIMIT_S)
    return INSTALLED_PAGE


def _is_stale(index: Path) -> bool:
    tops = [top for top in PAGE.iterdir() if top.name not in _NOT_SOURCES]
    sources = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*"))]
    return not index.is_file() or any(path.stat().st_mtime > index.stat().st_mtime for path in sources)


@pytest.fixture(scope="session")
def bundle(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with the input gate, a finding that was never learnt, and two operating points."""
    return make_bundle(tmp_path_factory.mktemp("browser") / "bundle")


@pytest.fixture(scope="session")
def files(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What is dropped, by name."""
    return make_files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="session")
def predict(bundle: Path, files: Mapping[str, Path]) -> Callable[..., str]:
    """predict(*options): what `pocketcxr predict` prints of all files, which it knows by their plain names."""
    folder = next(iter(files.values())).parent

    def run(*options: str) -> str:
        words = [sys.executable, "-m", "pocketcxr", "predict", str(bundle), *files, *options]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode in {0, 3}, done.stderr  # 3: some are refused, as they must be
        return done.stdout

    return run


@pytest.fixture(scope="session")
def predicted(predict: Callable[..., str]) -> Predicted:
    """What `pocketcxr predict --json` says of each file."""
    return {result["path"]: result for result in json.loads(predict("--json"))["results"]}


@pytest.fixture(scope="session")
def server(bundle: Path) -> Iterator[Served]:
    """The program, which serves the bundle until the last test."""
    with serving(bundle) as served:
        yield served


@contextmanager
def chromium_with(**options: Any) -> Iterator[Browser]:
    """A browser of its own. While it is open no test in this thread may run an event loop."""
    environment = {**os.environ, "LANG": "en_GB.UTF-8"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_CHROMIUM, args=_ARGUMENTS, env=environment, timeout=LIMIT_S * 1000, **options
        )
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def chromium(site: Path) -> Iterator[Browser]:
    """The browser, for one file's tests: its event loop would be in the way of other tests."""
    with chromium_with() as browser:
        yield browser


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visits]:
    """visit(**options of the context): somebody new; at the end nothing unforeseen may have been reported."""
    visits: list[Visit] = []

    def arrive(**options: Any) -> Visit:
        chosen = {"locale": "en-GB", "service_workers": "block", "viewport": {"width": 1440, "height": 900}}
        visits.append(Visit(chromium.new_context(**{**chosen, **options})))
        return visits[-1]

    yield arrive
    for one in visits:
        one.context.close()
    assert [problem for one in visits for problem in one.unexpected] == []
