"""The fuzz targets run: their seeds and a few hundred mutations raise nothing uncaught."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed: pip install atheris"),
]


def test_loading_images(tmp_path: Path) -> None:
    target = Path(__file__).with_name("fuzz_load.py")
    command = [sys.executable, str(target), str(tmp_path / "corpus"), "-runs=300", "-seed=1", "-max_len=4096"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Done 300 runs" in done.stderr
