"""Worker processes: whole patients in order, silent when stopped, gone when their parent is."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.workers import by_patient


def test_chunks_keep_the_order_and_never_split_a_patient(config: PhantomConfig) -> None:
    images = plan(config.model_copy(update={"images": 300}))
    chunks = by_patient(images, least=7)
    assert tuple(image for chunk in chunks for image in chunk) == images
    assert all(len(chunk) >= 7 for chunk in chunks[:-1])
    patients = [{image.patient for image in chunk} for chunk in chunks]
    assert sum(len(group) for group in patients) == len(set().union(*patients))


SCRIPT = """
import signal
import sys
from pathlib import Path
from pocketcxr.apps.cli import console
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.write import simulate
if __name__ == "__main__":
    # Shells start their background jobs with Ctrl-C ignored, and the tests may run in one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    def listen(stage, done, total, figures=None):
        print(done if stage == "simulating" else 0, flush=True)
    try:
        simulate(Path(sys.argv[1]), PhantomConfig(images=3000, size=128, seed=1), 2, listen)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the process table in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_workers_say_nothing_and_leave_no_process(how: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    # A session of its own, and the signal to its whole group where it is Ctrl-C: as a terminal does it.
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    while int(process.stdout.readline()) == 0:
        pass
    if how is signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        process.kill()
    _, errors = process.communicate(timeout=60)
    # Python's own tracker of semaphores warns when its process was killed; that one line is all there may be.
    assert "Traceback" not in errors
    assert errors == "" or how is signal.SIGKILL
    assert process.returncode == (130 if how is signal.SIGINT else -how)
    for _ in range(200):
        if not _session(process.pid):
            break
        time.sleep(0.05)
    assert _session(process.pid) == []


def _session(leader: int) -> list[int]:
    """Processes of a session that still run."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z" and int(fields[3]) == leader:
            alive.append(int(stat.parent.name))
    return alive
