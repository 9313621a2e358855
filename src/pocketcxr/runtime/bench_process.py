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

import numpy as np
from numpy.typing import NDArray

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


def _image() -> NDArray[np.uint8]:
    """A smooth picture with some noise, as large as most public chest X-rays."""
    side = np.arange(IMAGE_SIDE_PX)
    smooth = np.add.outer(np.sin(side / 90) + 1, np.cos(side / 70) + 1) * 60
    noise = np.random.default_rng(0).normal(0, 3, smooth.shape)
    image: NDArray[np.uint8] = np.clip(smooth + noise, 0, 255).astype(np.uint8)
    return image


def _cold(bundle: Path, threads: int) -> dict[str, float]:
    """Seconds to import, to open the bundle and to answer the first file, PNG decoding included; peak memory."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.png"
        Image.fromarray(_image()).save(path)
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
    """Milliseconds of each answer to one decoded image: preparing it, and the model alone; peak memory."""
    from pocketcxr.runtime.bundle import Bundle, open_bundle
    from pocketcxr.runtime.session import open_engine

    opened: Bundle = open_bundle(bundle)
    image = _image()
    onnxruntime = open_engine(opened, threads)
    run: Callable[[NDArray[np.float32]], object] = onnxruntime.run
    if engine == "openvino":
        run = _openvino(opened.files[opened.card.builds.to_run.file], threads)
    images = onnxruntime.prepare(image)
    return {
        "prepare_ms": _milliseconds(lambda: onnxruntime.prepare(image), seconds / 4),
        "model_ms": _milliseconds(lambda: run(images), seconds),
        "peak_mb": _peak_mb(),
    }


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
