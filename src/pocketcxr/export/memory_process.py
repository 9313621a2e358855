"""Prints what a model adds to the peak memory of this process, MiB, or 'unknown': of a fresh process, nothing else.

python -m pocketcxr.export.memory_process MODEL.onnx
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

NUM_ANSWERS = 5


def main() -> None:
    """Prints the figure."""
    before = _peak_mb()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    (wanted,) = session.get_inputs()
    image = np.zeros((1, *wanted.shape[1:]), np.float32)
    for _ in range(NUM_ANSWERS):
        session.run(None, {wanted.name: image})
    after = _peak_mb()
    sys.stdout.write("unknown\n" if before is None or after is None else f"{after - before:.1f}\n")


def _peak_mb() -> float | None:
    """The peak of this very process: getrusage would tell that of the one that started it, where that was larger."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kilobytes[0]) / 1024 if kilobytes else None


if __name__ == "__main__":
    main()
