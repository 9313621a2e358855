#!/usr/bin/env bash
# The base install scores X-rays and stays small: `.ci/lean_install.sh BUNDLE` installs it alone into a new environment
# and measures. Ends with 1 when a limit is broken. Needs a package index and /proc (Linux).
set -euo pipefail
bundle=$(realpath "${1:?usage: .ci/lean_install.sh BUNDLE}")
repository=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
max_install_mb=300 max_import_seconds=0.7 max_peak_mb=300

if ! command -v npm > /dev/null && [ ! -f "$repository/src/pocketcxr/apps/web/site/index.html" ]; then
  echo "npm is not installed: the base install is measured without its page"
  export POCKETCXR_WITHOUT_PAGE=1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "$repository"
cd "$folder"

BUNDLE=$bundle MAX_INSTALL_MB=$max_install_mb MAX_IMPORT_SECONDS=$max_import_seconds MAX_PEAK_MB=$max_peak_mb \
  "$folder/venv/bin/python" - <<'PYTHON'
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

failures = []


def check(what: str, value: float, limit: float, unit: str) -> None:
    is_kept = value <= limit
    print(f"{'ok  ' if is_kept else 'OVER'} {what}: {value:.2f} {unit} (at most {limit:g})")
    if not is_kept:
        failures.append(what)


for module in ("torch", "torchvision", "timm", "lightning", "pandas", "scipy", "sklearn", "matplotlib", "onnx"):
    if importlib.util.find_spec(module) is not None:
        failures.append(f"{module} is installed")

packages = Path(sysconfig.get_paths()["purelib"])
own_tools = {"pip", "setuptools"}  # of the environment itself
size = sum(
    path.stat().st_size
    for path in packages.rglob("*")
    if path.is_file() and path.relative_to(packages).parts[0].split("-")[0] not in own_tools
)
check("site-packages", size / 1e6, float(os.environ["MAX_INSTALL_MB"]), "MB")

script = "import time; start = time.perf_counter(); import pocketcxr.runtime.predict; print(time.perf_counter() - start)"
seconds = min(float(subprocess.check_output([sys.executable, "-c", script])) for _ in range(5))
check("import pocketcxr.runtime.predict, best of 5", seconds, float(os.environ["MAX_IMPORT_SECONDS"]), "s")

# In a process of its own: Linux counts what a parent held when it forked among the child's peak memory.
image = """
import numpy as np
from PIL import Image
rows, columns = np.mgrid[-1:1:2048j, -1:1:2500j]
pixels = 200 - 60 * rows**2 - 130 * np.exp(-((abs(columns) - 0.45) / 0.3) ** 2 - (rows / 0.6) ** 2)
Image.fromarray(pixels.astype(np.uint8)).save("made.png")
"""
subprocess.run([sys.executable, "-c", image], check=True)
command = [str(Path(sys.executable).parent / "pocketcxr"), "predict", os.environ["BUNDLE"], "made.png", "--json"]
command += ["--heatmaps", "heatmaps", "--top", "all"]
start = time.perf_counter()
with open("answer.json", "wb") as answer:
    process = subprocess.Popen(command, stdout=answer)
    _, status, usage = os.wait4(process.pid, 0)
elapsed = time.perf_counter() - start
if os.waitstatus_to_exitcode(status) != 0:
    failures.append("predict")
else:
    findings = json.loads(Path("answer.json").read_text())["results"][0]["findings"]
    print(f"     predict scored {len(findings)} findings with heatmaps on 2500 x 2048 pixels in {elapsed:.2f} s")
check("peak memory of predict with heatmaps", usage.ru_maxrss / 1024, float(os.environ["MAX_PEAK_MB"]), "MiB")

if os.environ.get("POCKETCXR_WITHOUT_PAGE") != "1":
    command = [str(Path(sys.executable).parent / "pocketcxr"), "serve", os.environ["BUNDLE"], "--export", "site"]
    if subprocess.run(command).returncode != 0 or not Path("site/index.html").is_file():
        failures.append("serve --export")

if failures:
    sys.exit("lean install: " + "; ".join(failures))
PYTHON
