"""Whole files damaged as storage and networks damage them, and files that are no images."""

from collections.abc import Mapping
from io import BytesIO

import numpy as np
from PIL import Image

PREAMBLE = 132
"""Bytes of a DICOM file that say what it is."""


def damaged(files: Mapping[str, bytes], count: int, rng: np.random.Generator) -> dict[str, bytes]:
    """So many of the files cut short, with changed bits or bytes, with bytes lost or added."""
    names = sorted(name for name in files if len(files[name]) > 200)
    ways = ("cut", "bits", "bytes", "lost", "added")
    found = {}
    for number in range(count):
        name, way = names[int(rng.integers(len(names)))], ways[number % len(ways)]
        data = bytearray(files[name])
        first = PREAMBLE if name.startswith("dicom") else 8
        at = int(rng.integers(first, len(data)))
        match way:
            case "cut":
                del data[at:]
            case "bits":
                for place in rng.integers(first, len(data), 4):
                    data[place] ^= 1 << int(rng.integers(8))
            case "bytes":
                for place in rng.integers(first, min(len(data), 500), 2):
                    data[place] = int(rng.integers(256))
            case "lost":
                del data[at : at + 5]
            case "added":
                data[at:at] = rng.integers(0, 256, 5, dtype=np.uint8).tobytes()
        found[f"damaged {number} {way} {name}"] = bytes(data)
    return found


def foreign() -> dict[str, bytes]:
    """Files that are neither PNG nor JPEG nor DICOM, or nothing at all."""
    picture = Image.fromarray(np.add.outer(np.arange(40), np.arange(30)).astype(np.uint8))
    files = {"empty": b"", "text": b"a chest X-ray", "almost PNG": b"\x88PNG\r\n\x1a\n" + bytes(200)}
    files |= {"almost DICOM": bytes(128) + b"DICN" + bytes(50), "DICOM alone": bytes(128) + b"DICM"}
    files |= {"Photoshop": b"8BPS" + bytes(90), "codestream": b"\xff\x4f\xff\x51" + bytes(90)}
    files |= {"PNG signature": b"\x89PNG\r\n\x1a\n", "JPEG signature": b"\xff\xd8\xff"}
    for kind in ("GIF", "BMP", "TIFF", "WEBP", "JPEG2000"):
        buffer = BytesIO()
        picture.convert("RGB").save(buffer, kind)
        files[kind] = buffer.getvalue()
    files["big-endian TIFF"] = b"MM\x00*" + bytes(90)
    return files
