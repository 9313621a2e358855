"""Coverage-guided fuzzing of bundle reading: nothing but BundleError may come out of open_bundle.

    python tests/fuzz/fuzz_bundle.py BUNDLE.zip CORPUS -runs=200000 -max_len=65536

The first byte of an input chooses what the rest is: a graph (g, p), the card of a zip sealed anew (c), or else a zip.
The seeds are made from BUNDLE. Needs atheris (pip install atheris).
"""

import contextlib
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["zipfile", "pocketcxr"]):
    from pocketcxr.domain.errors import BundleError
    from pocketcxr.runtime.bundle import open_bundle, seal_bytes
    from pocketcxr.runtime.graphs import Interface, check_graph

PLACE = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)) / "b.zip"
MODEL = Interface({"images": (None, 1, None, None)}, {"logits": (None, None), "heatmaps": (None, None, None, None)})
PREPROCESS = Interface({"image": (None, None)}, {"images": (1, 1, None, None)})


def small_zip(card: bytes, others: dict[str, bytes]) -> bytes:
    """A sealed bundle as a zip."""
    from io import BytesIO
    from zipfile import ZipFile

    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, data in {"card.json": card, "card.sha256": seal_bytes(hashlib.sha256(card).hexdigest())}.items():
            archive.writestr(name, data)
        for name, data in others.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def one(data: bytes) -> None:
    """Opens the bytes as a zip, as the card of a sealed one, or as one of its graphs."""
    kind, rest = data[:1], data[1:]
    with contextlib.suppress(BundleError):
        match kind:
            case b"g":
                check_graph("x", rest, MODEL)
            case b"p":
                check_graph("x", rest, PREPROCESS)
            case b"c":
                PLACE.write_bytes(small_zip(rest, {}))
                open_bundle(PLACE)
            case _:
                PLACE.write_bytes(rest)
                open_bundle(PLACE)


def main() -> None:
    """Writes the seeds and starts the fuzzer."""
    bundle = open_bundle(Path(sys.argv.pop(1)))
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    preprocess = bundle.files["preprocess.onnx"]
    card = json.dumps(json.loads(bundle.files["card.json"])).encode()
    for name, data in {
        "graph": b"p" + preprocess,
        "card": b"c" + card,
        "zip": b"z" + small_zip(card, {"preprocess.onnx": preprocess}),
    }.items():
        (corpus / name).write_bytes(data)
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
