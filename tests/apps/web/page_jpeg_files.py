"""JPEG files as programs write them, and as they are damaged."""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .page_png_files import saved

END = b"\xff\xd9"


def picture(height: int, width: int, channels: int, rng: np.random.Generator) -> Image.Image:
    """Waves with noise: gray of one channel, colour of three."""
    row, column = np.mgrid[:height, :width]
    waves = [128 + 70 * np.sin(row / (5 + 3 * at)) + 50 * np.cos(column / (7 + at)) for at in range(channels)]
    noisy: NDArray[np.float64] = np.stack(waves, axis=-1) + rng.normal(0, 9, (height, width, channels))
    pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def every_kind(rng: np.random.Generator) -> dict[str, bytes]:
    """Gray and colour of every subsampling, baseline and progressive, with and without restart markers."""
    files = {}
    for channels, is_progressive, restarts in product((1, 3), (False, True), (0, 2)):
        for subsampling in (0, 1, 2) if channels == 3 else (0,):
            height, width = (int(side) for side in rng.integers(20, 160, 2))
            options = {"quality": int(rng.integers(20, 100)), "progressive": is_progressive, "subsampling": subsampling}
            name = f"jpeg {channels} {subsampling}{' progressive' * is_progressive}{' restarts' * (restarts > 0)}"
            image = picture(height, width, channels, rng)
            files[name] = saved(image, "JPEG", **options, restart_marker_rows=restarts)
    files["jpeg large colour"] = saved(picture(700, 900, 3, rng), "JPEG", quality=90)
    files["jpeg strong colours"] = saved(
        Image.fromarray(np.kron(rng.integers(0, 256, (9, 7, 3)), np.ones((41, 53, 1))).astype(np.uint8)), "JPEG"
    )
    files["jpeg RGB"] = saved(picture(60, 70, 3, rng), "JPEG", keep_rgb=True)
    return files


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def oddities(rng: np.random.Generator) -> dict[str, bytes]:
    """Whole files that are unusual, and files that are refused."""
    image = picture(50, 61, 1, rng)
    plain, progressive = saved(image, "JPEG"), saved(image, "JPEG", progressive=True)
    colour = saved(picture(50, 61, 3, rng), "JPEG", quality=60)
    files = {f"jpeg orientation {number}": saved(image, "JPEG", exif=_exif(number)) for number in range(1, 10)}
    xmp = b"http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>8</tiff:Orientation>"
    last_scan = progressive.rindex(b"\xff\xda")
    at = plain.index(b"\xff\xda")
    frames = [picture(40, 40, 1, rng) for _ in range(3)]
    files |= {
        "jpeg XMP orientation": plain[:2] + b"\xff\xe1" + (len(xmp) + 2).to_bytes(2, "big") + xmp + plain[2:],
        "jpeg EXIF broken": plain[:2] + b"\xff\xe1\0\x0aExif\0\0XX" + plain[2:],
        "jpeg EXIF empty": plain[:2] + b"\xff\xe1\0\x08Exif\0\0" + plain[2:],
        "jpeg without end": plain[:-2],
        "jpeg colour without end": colour[:-2],
        "jpeg progressive without end": progressive[:-2],
        "jpeg last bytes missing": plain[:-6],
        "jpeg garbage behind": plain + b"garbage",
        "jpeg fill bytes": plain[:2] + b"\xff\xff\xff" + plain[2:],
        "jpeg garbage before a marker": plain[:20] + b"garbage" + plain[20:],
        "jpeg unknown marker": plain[:2] + b"\xff\x03" + plain[2:],
        "jpeg of endless scans": progressive[:last_scan] + progressive[last_scan:-2] * 120 + END,
        "jpeg no scan": plain[:at] + END,
        "jpeg cut before its scan": plain[:at],
        "jpeg two scans of all": plain[:-2] + plain[at:],
        "jpeg header alone": b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00" + bytes(400),
        "jpeg 12 bits": plain.replace(b"\xff\xc0\0\x0b\x08", b"\xff\xc0\0\x0b\x0c"),
        "jpeg without quantization": plain.replace(b"\xff\xdb", b"\xff\xec"),
        "jpeg without Huffman tables": plain.replace(b"\xff\xc4", b"\xff\xec"),
        "jpeg too small": saved(picture(15, 40, 1, rng), "JPEG"),
        "jpeg constant": saved(Image.new("L", (40, 40), 9), "JPEG"),
        "jpeg of several pictures": saved(frames[0], "MPO", save_all=True, append_images=frames[1:]),
        "jpeg comment": saved(image, "JPEG", comment=b"a comment"),
        "jpeg optimized": saved(image, "JPEG", optimize=True, quality=97),
    }
    return files
