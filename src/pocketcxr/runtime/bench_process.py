"""One measurement in a process of its own, so that start-up and peak memory are this engine's: prints JSON.

python -m pocketcxr.runtime.bench_process cold BUNDLE THREADS
python -m pocketcxr.runtime.bench_process warm BUNDLE THREADS ENGINE SECONDS
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pocketcxr.runtime.bundle import Bundle

IMAGE_SIDE_PX = 1024
_WARM_UP = 5
_AT_LEAST = 30


def main() -> None:
    """Prints what was measured."""
    document: Mapping[str, object]
    match sys.argv[1:]:
        case ["cold", bundle, threads]:
            document = _cold(Path(bundle), int(threads))
        case ["warm", bundle, threads, engine, seconds]:
            document = _warm(Path(bundle), int(threads), engine, float(seconds))
        case other:
            raise SystemExit(f"unknown measurement {other}")
    sys.stdout.write(json.dumps(document) + "\n")


def chest_like() -> NDArray[np.uint8]:
    """Two dark fields in a bright one with some noise, as large as most public chest X-rays: an input gate lets it
    through, so that all of its work is measured."""
    side = np.linspace(-1, 1, IMAGE_SIDE_PX)
    rows, columns = side[:, None], side[None, :]
    fields = np.exp(-(((np.abs(columns) - 0.45) / 0.3) ** 2) - (rows / 0.6) ** 2)
    noise = np.random.default_rng(0).normal(0, 3, fields.shape)
    image: NDArray[np.uint8] = np.clip(200 - 60 * rows**2 - 130 * fields + noise, 0, 255).astype(np.uint8)
    return image


def _cold(bundle: Path, threads: int) -> dict[str, float]:
    """Seconds to import, to open the bundle and to answer the first file from decoding on; peak memory."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.png"
        Image.fromarray(chest_like()).save(path)
        began = time.perf_counter()
        from pocketcxr.runtime.bundle import open_bundle
        from pocketcxr.runtime.predict import predict_files
        from pocketcxr.runtime.session import open_engine

        imported = time.perf_counter()
        engine = open_engine(open_bundle(bundle), threads)
        opened = time.perf_counter()
        list(predict_files(engine, [path]))
        answered = time.perf_counter()
    return {
        "import_s": imported - began,
        "open_s": opened - imported,
        "first_s": answered - opened,
        "peak_mb": _peak_mb(),
    }


def _warm(bundle: Path, threads: int, engine: str, seconds: float) -> dict[str, object]:
    """Milliseconds of each answer to one decoded image: checking it, preparing it, and the model alone; peak memory."""
    from pocketcxr.runtime.bundle import open_bundle
    from pocketcxr.runtime.session import open_engine

    opened = open_bundle(bundle)
    image = chest_like()
    onnxruntime = open_engine(opened, threads)
    run: Callable[[NDArray[np.float32]], object] = onnxruntime.run
    if engine == "openvino":
        run = _openvino(opened.files[opened.card.builds.to_run.file], threads)
    images = onnxruntime.prepare(image)
    checking = _checking(opened, image)
    return {
        "check_ms": [] if checking is None else _milliseconds(checking, seconds / 4),
        "prepare_ms": _milliseconds(lambda: onnxruntime.prepare(image), seconds / 4),
        "model_ms": _milliseconds(lambda: run(images), seconds),
        "peak_mb": _peak_mb(),
    }


def _checking(bundle: "Bundle", image: NDArray[np.uint8]) -> Callable[[], object] | None:
    """Asks the bundle's input gate of the image; None where it has none."""
    from pocketcxr.domain.study import ViewPosition
    from pocketcxr.imaging.dicom_facts import NOTHING_KNOWN
    from pocketcxr.imaging.radiograph import Radiograph
    from pocketcxr.runtime.input_gate import check, gate_of

    gate = gate_of(bundle)
    if gate is None:
        return None
    radiograph = Radiograph(image, "made.png", "png", 8, None, ViewPosition.UNKNOWN)
    return lambda: check(gate, radiograph, NOTHING_KNOWN)


def _openvino(graph: bytes, threads: int) -> Callable[[NDArray[np.float32]], object]:
    from pocketcxr.domain.extras import require

    openvino = require("openvino", "openvino", "bench with OpenVINO")
    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(core.read_model(graph), "CPU", options).create_infer_request()
    return lambda images: request.infer({"images": images})


def _milliseconds(run: Callable[[], object], seconds: float) -> list[float]:
    for _ in range(_WARM_UP):
        run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _AT_LEAST or time.perf_counter() < end:
        began = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - began))
    return times


def _peak_mb() -> float:
    """The largest resident memory of this process so far, MiB; NaN where the system does not say."""
    if sys.platform == "win32":
        return float("nan")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


if __name__ == "__main__":
    main()
