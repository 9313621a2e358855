"""The page inside wheels and source archives: built when it has to be, and only then; and the real build itself."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
LIMIT_S = 900

_NPM = """#!/bin/sh
echo "$*" >> "{log}"
[ "$1" = ci ] && exit {ci}
mkdir -p ../src/pocketcxr/apps/web/site/icons
echo built > ../src/pocketcxr/apps/web/site/icons/icon.svg
echo built > ../src/pocketcxr/apps/web/site/index.html
"""


@pytest.fixture(scope="module")
def hatchling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the build backend, as pip would fetch it."""
    folder = tmp_path_factory.mktemp("hatchling")
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), "hatchling>=1.27", "editables"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=LIMIT_S)
    if done.returncode != 0:
        pytest.skip(f"no package index to fetch hatchling from: {done.stderr[-200:]}")
    return folder


@dataclass(frozen=True)
class Checkout:
    """A small copy of the repository with an npm of our own, or none."""

    folder: Path
    hatchling: Path
    tools: Path

    @property
    def site(self) -> Path:
        return self.folder / "src/pocketcxr/apps/web/site"

    @property
    def log(self) -> str:
        path = self.tools / "log"
        return path.read_text() if path.exists() else ""

    def give_npm(self, ci: int = 0) -> None:
        npm = self.tools / "npm"
        npm.write_text(_NPM.format(log=self.tools / "log", ci=ci))
        npm.chmod(0o755)

    def build(self, target: str, folder: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.tools}:/usr/bin:/bin" if (self.tools / "npm").exists() else str(self.tools)
        command = [sys.executable, "-m", "hatchling", "build", "--target", *target.split(), "--directory", "dist"]
        environment = {"PATH": path, "PYTHONPATH": str(self.hatchling), "HOME": str(self.tools), **more}
        where = folder or self.folder
        return subprocess.run(
            command, check=False, cwd=where, env=environment, capture_output=True, text=True, timeout=LIMIT_S
        )


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(command, check=False, cwd=folder, env=environment, text=True, timeout=LIMIT_S, **pipes)


@pytest.fixture
def checkout(tmp_path: Path, hatchling: Path) -> Checkout:
    folder, tools = tmp_path / "checkout", tmp_path / "tools"
    tools.mkdir()
    (folder / "src/pocketcxr/apps/web").mkdir(parents=True)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"):
        shutil.copy(REPOSITORY / name, folder / name)
    for name in ("__init__.py", "_version.py"):
        shutil.copy(REPOSITORY / "src/pocketcxr" / name, folder / "src/pocketcxr" / name)
    (folder / "page/node_modules/left-pad").mkdir(parents=True)
    (folder / "page/node_modules/left-pad/index.js").write_text("0")
    (folder / "page/build.mjs").write_text("0")
    return Checkout(folder, hatchling, tools)


def _names(folder: Path, pattern: str) -> list[str]:
    (archive,) = (folder / "dist").glob(pattern)
    if archive.suffix == ".whl":
        return zipfile.ZipFile(archive).namelist()
    with tarfile.open(archive) as opened:
        return [name.split("/", 1)[1] for name in opened.getnames()]


def test_a_wheel_carries_the_page_which_is_built_once(checkout: Checkout) -> None:
    checkout.give_npm()
    assert checkout.build("wheel").returncode == 0
    assert checkout.log == "ci\nrun build\n"
    names = _names(checkout.folder, "*.whl")
    assert {"pocketcxr/apps/web/site/index.html", "pocketcxr/apps/web/site/icons/icon.svg"} <= set(names)
    assert not any("node_modules" in name or name.startswith("page") for name in names)
    checkout.build("wheel")
    assert checkout.log == "ci\nrun build\n"


def test_a_page_older_than_its_sources_is_built_again(checkout: Checkout) -> None:
    checkout.give_npm()
    checkout.build("wheel")
    built = (checkout.site / "index.html").stat().st_mtime
    os.utime(checkout.folder / "page/node_modules/left-pad/index.js", (built + 9, built + 9))
    checkout.build("wheel")
    assert checkout.log.count("run build") == 1
    os.utime(checkout.folder / "page/build.mjs", (built + 9, built + 9))
    checkout.build("wheel")
    assert checkout.log.count("run build") == 2


def test_a_source_archive_needs_no_npm(checkout: Checkout, tmp_path: Path) -> None:
    checkout.give_npm()
    assert checkout.build("sdist").returncode == 0
    names = _names(checkout.folder, "*.tar.gz")
    assert {"src/pocketcxr/apps/web/site/index.html", "page/build.mjs", "hatch_build.py"} <= set(names)
    assert not any("node_modules" in name for name in names)
    (archive,) = (checkout.folder / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    (root,) = (tmp_path / "unpacked").iterdir()
    os.utime(root / "page/build.mjs")  # unpacked by something that keeps no times
    (checkout.tools / "npm").unlink()
    done = checkout.build("wheel", root)
    assert done.returncode == 0, done.stderr
    assert "pocketcxr/apps/web/site/index.html" in _names(root, "*.whl")


def test_without_npm_a_wheel_fails_and_says_what_to_do(checkout: Checkout) -> None:
    done = checkout.build("wheel")
    assert done.returncode != 0
    assert "npm is not installed; install node 20 or newer" in done.stderr
    assert "POCKETCXR_WITHOUT_PAGE=1" in done.stderr
    assert checkout.build("wheel", POCKETCXR_WITHOUT_PAGE="1").returncode == 0
    assert not any("apps/web/site" in name for name in _names(checkout.folder, "*.whl"))


def test_without_npm_an_editable_install_goes_on_with_a_warning(checkout: Checkout) -> None:
    done = checkout.build("wheel:editable")
    assert done.returncode == 0
    assert "installed without its page" in done.stdout + done.stderr


def test_a_failing_npm_is_quoted(checkout: Checkout) -> None:
    checkout.give_npm(ci=1)
    done = checkout.build("wheel")
    assert done.returncode != 0
    assert re.search(r"npm ci in \S+/page failed", done.stderr)


@pytest.fixture(scope="module")
def real_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as it is now, built."""
    if shutil.which("node") is None or not (REPOSITORY / "page/node_modules/esbuild").is_dir():
        pytest.skip("node or page/node_modules is not here: make page installs them")
    return _really_built(tmp_path_factory.mktemp("site"))


def _really_built(folder: Path) -> Path:
    words: Sequence[str] = ("node", "build.mjs", str(folder))
    subprocess.run(words, cwd=REPOSITORY / "page", check=True, capture_output=True, timeout=LIMIT_S)
    return folder


@pytest.mark.slow
def test_the_real_page_is_whole_and_equal_each_time(real_build: Path, tmp_path: Path) -> None:
    again = _really_built(tmp_path / "again")
    contents = [
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (real_build, again)
    ]
    assert contents[0] == contents[1]
    files = contents[0]
    html = files["index.html"].decode()
    assert len(re.findall(r'integrity="sha384-[A-Za-z0-9+/]{64}"', html)) == 2
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", html)
    for attribute in re.findall(r'(?:src|href)="([^"#]+)"', html):
        assert attribute in files, f"index.html speaks of {attribute}, which the build does not make"
    assert not any(b"sourceMappingURL" in content for name, content in files.items() if name.endswith((".js", ".mjs")))
    assert {"ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.wasm.br", "worker.js.gz"} <= set(files)
    assert not any("jsep" in name or "jspi" in name or "asyncify" in name for name in files)
    for icon in json.loads(files["manifest.webmanifest"])["icons"]:
        assert icon["src"] in files


@pytest.mark.slow
def test_the_licence_of_every_shipped_package_comes_along(real_build: Path) -> None:
    text = (real_build / "third-party-licences.txt").read_text()
    sources = "".join(path.read_text() for path in (REPOSITORY / "page/src").rglob("*.ts"))
    versions = json.loads((REPOSITORY / "page/package.json").read_text())["dependencies"]
    imported = {name for name in versions if re.search(rf"""(from |import\()"{re.escape(name)}["/]""", sources)}
    assert "onnxruntime-web" in imported
    for name in imported:
        assert f"\n{name} {versions[name]} (" in text
    for library in ("CharLS", "OpenJPEG", "libjpeg-turbo", "ONNX Runtime"):
        assert library in text
