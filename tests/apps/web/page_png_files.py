"""PNG files of every kind that the specification knows, written byte by byte: Pillow writes few of them."""

import struct
import zlib
from io import BytesIO
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16)]
KINDS += [(6, 8), (6, 16)]
"""(colour type, bit depth), all of them."""
PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
"""Adam7: first row, first column, row step, column step."""


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(header: tuple[int, int, int, int, int], pixels: bytes, before: bytes = b"", behind: bytes = b"") -> bytes:
    """A file of (width, height, depth, colour type, interlacing), compressed rows and chunks around them."""
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", *header[:4], 0, 0, header[4]))
    parts = [pixels[at : at + 700] for at in range(0, len(pixels), 700)] or [b""]
    return SIGNATURE + start + before + b"".join(chunk(b"IDAT", part) for part in parts) + behind + chunk(b"IEND", b"")


def _packed(samples: NDArray[np.int64], depth: int) -> list[bytes]:
    """Rows of samples [h, n] as bytes."""
    if depth == 16:
        return [row.astype(">u2").tobytes() for row in samples]
    if depth == 8:
        return [row.astype(np.uint8).tobytes() for row in samples]
    bits = (samples[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    return [np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in bits]


def _filtered(rows: list[bytes], bytes_per_pixel: int, rng: np.random.Generator) -> bytes:
    """Rows under filters drawn at random (PNG specification, 9)."""
    done, previous = b"", bytes(len(rows[0]) if rows else 0)
    for row in rows:
        kind = int(rng.integers(5))
        now, up = np.frombuffer(row, np.uint8).astype(int), np.frombuffer(previous, np.uint8).astype(int)
        left = np.concatenate((np.zeros(bytes_per_pixel, int), now))[: len(now)]
        corner = np.concatenate((np.zeros(bytes_per_pixel, int), up))[: len(now)]
        guess = left + up - corner
        far = np.abs(np.stack((guess - left, guess - up, guess - corner)))
        paeth = np.choose(far.argmin(axis=0), (left, up, corner))
        predicted = [np.zeros(len(now), int), left, up, (left + up) // 2, paeth][kind]
        done += bytes([kind]) + ((now - predicted) & 255).astype(np.uint8).tobytes()
        previous = row
    return done


def rows_of(samples: NDArray[np.int64], depth: int, is_interlaced: bool, rng: np.random.Generator) -> bytes:
    """Samples [h, w, samples a pixel] as filtered rows, before compression."""
    count = samples.shape[2]
    done = b""
    for top, left, down, across in PASSES if is_interlaced else [(0, 0, 1, 1)]:
        part = samples[top::down, left::across]
        if part.size:
            packed = _packed(part.reshape(len(part), -1), depth)
            done += _filtered(packed, max(depth * count // 8, 1), rng)
    return done


def _field(shape: tuple[int, int, int], depth: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Smooth samples with noise over a part of what the depth allows."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    phases = rng.uniform(0, 6, shape[2])
    wave = 0.5 + 0.4 * np.sin(row[..., None] / 7 + phases) * np.cos(column[..., None] / 9 + phases)
    wave += rng.normal(0, 0.05, shape)
    values: NDArray[np.int64] = np.clip(wave * rng.uniform(0.3, 1) * (1 << depth), 0, (1 << depth) - 1).astype(np.int64)
    return values


def _colours(depth: int, rng: np.random.Generator) -> bytes:
    """A PLTE chunk; sometimes of fewer colours than there are indices."""
    count = max((1 << depth) - int(rng.integers(0, 3)), 1)
    return chunk(b"PLTE", rng.integers(0, 256, 3 * count, dtype=np.uint8).tobytes())


def _transparent(samples: NDArray[np.int64], kind: int, depth: int, rng: np.random.Generator) -> bytes:
    """A tRNS chunk that hides a colour that there is."""
    if kind == 3:
        return chunk(b"tRNS", rng.integers(0, 256, int(rng.integers(1, (1 << depth) + 1)), dtype=np.uint8).tobytes())
    pixel = samples[3, 4]
    return chunk(b"tRNS", struct.pack(f">{len(pixel)}H", *pixel.tolist()))


def made(kind: int, depth: int, is_interlaced: bool, is_transparent: bool, rng: np.random.Generator) -> bytes:
    """A file of a kind and of a size drawn at random."""
    shape = (int(rng.integers(16, 50)), int(rng.integers(16, 50)), SAMPLES[kind])
    samples = _field(shape, depth, rng)
    if kind in {4, 6}:
        samples[: shape[0] // 2, :, -1] = (1 << depth) - 1
    before = _colours(depth, rng) if kind == 3 else b""
    if is_transparent:
        before += _transparent(samples, kind, depth, rng)
    pixels = zlib.compress(rows_of(samples, depth, is_interlaced, rng), int(rng.integers(0, 10)))
    return png((shape[1], shape[0], depth, kind, int(is_interlaced)), pixels, before)


def every_kind(rng: np.random.Generator) -> dict[str, bytes]:
    """Each colour type and depth, with and without interlacing and transparency."""
    files = {}
    for (kind, depth), is_interlaced, is_transparent in product(KINDS, (False, True), (False, True)):
        if is_transparent and kind in {4, 6}:
            continue
        name = f"png {kind} {depth}{' interlaced' * is_interlaced}{' transparent' * is_transparent}"
        files[name] = made(kind, depth, is_interlaced, is_transparent, rng)
    return files


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The image as Pillow writes it."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


PLAIN = (30, 40, 8, 0, 0)
GRAY = np.add.outer(np.arange(40) * 3, np.arange(30) * 4).astype(np.uint8)
BOMB = zlib.compress(bytes(1 << 24), 9)


def oddities(rng: np.random.Generator) -> dict[str, bytes]:
    """Whole files that are unusual, and files that are refused."""
    rows = rows_of(GRAY[..., None].astype(np.int64), 8, False, rng)
    return _surroundings(zlib.compress(rows)) | _odd_pixels(rows) | _odd_headers(zlib.compress(rows)) | _pictures(rng)


def _surroundings(packed: bytes) -> dict[str, bytes]:
    """What may stand around the pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = chunk(b"eXIf", exif.tobytes()[6:])
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="5"/>'
    raw = b"Raw profile type exif\0\nexif\n  26\n" + exif.tobytes().hex().encode() + b"\n"
    before = {
        "eXIf before": turned,
        "eXIf broken": chunk(b"eXIf", b"XX" + exif.tobytes()[8:]),
        "XMP orientation": chunk(b"iTXt", xmp),
        "raw EXIF": chunk(b"tEXt", raw),
        "raw EXIF broken": chunk(b"tEXt", raw[:-1] + b"z"),
        "raw EXIF packed": chunk(b"zTXt", raw[:22] + b"\0" + zlib.compress(raw[22:])),
        "text bomb": chunk(b"zTXt", b"a\0\0" + BOMB),
        "profile bomb": chunk(b"iCCP", b"a\0\0" + BOMB),
        "broken text": chunk(b"zTXt", b"a\0\0abc"),
        "unknown text compression": chunk(b"zTXt", b"a\0\1abc"),
        "wrong checksum": turned[:-1] + b"?",
        "unknown chunk": chunk(b"abCd", b"1"),
        "broken chunk type": chunk(b"a-Cd", b"1"),
        "short pHYs": chunk(b"pHYs", b"1"),
    }
    files = {f"png {name}": png(PLAIN, packed, data) for name, data in before.items()}
    files["png eXIf behind"] = png(PLAIN, packed, b"", turned)
    files["png behind IEND"] = png(PLAIN, packed) + b"more"
    files["png without IEND"] = png(PLAIN, packed)[:-12]
    return files


def _odd_pixels(rows: bytes) -> dict[str, bytes]:
    packed = zlib.compress(rows)
    pixels = {
        "pixel bomb": BOMB,
        "rows missing": zlib.compress(rows[: 31 * 25]),
        "half a row missing": zlib.compress(rows[: 31 * 25 + 7]),
        "more rows": zlib.compress(rows + rows),
        "wrong Adler": packed[:-1] + b"?",
        "no Adler": packed[:-4],
        "garbage behind the stream": packed + b"garbage",
        "unknown filter": zlib.compress(b"\7" + rows[1:]),
        "no pixels": b"",
    }
    return {f"png {name}": png(PLAIN, data) for name, data in pixels.items()}


def _odd_headers(packed: bytes) -> dict[str, bytes]:
    return {
        "png palette without colours": png((30, 40, 8, 3, 0), packed),
        "png short palette": png((30, 40, 8, 3, 0), packed, chunk(b"PLTE", b"\1\2\3\4")),
        "png palette of 16 bits": png((30, 40, 16, 3, 0), packed),
        "png colour type 5": png((30, 40, 8, 5, 0), packed),
        "png no width": png((0, 40, 8, 0, 0), packed),
        "png too large": png((60000, 60000, 8, 0, 0), BOMB),
        "png too wide": png((10001, 16, 8, 0, 0), BOMB),
    }


def _pictures(rng: np.random.Generator) -> dict[str, bytes]:
    """What Pillow writes."""
    colour = Image.fromarray(np.dstack((GRAY, GRAY[::-1], GRAY // 2)))
    strong = Image.fromarray(np.kron(rng.integers(0, 256, (9, 7, 3)), np.ones((41, 53, 1))).astype(np.uint8))
    frames = [Image.fromarray(np.roll(GRAY, shift)) for shift in range(3)]
    return {
        "png of Pillow": saved(colour, optimize=True),
        "png many colours": saved(Image.fromarray(rng.integers(0, 256, (300, 431, 3), dtype=np.uint8))),
        "png strong colours": saved(strong),
        "png too small": saved(Image.fromarray(GRAY[:15])),
        "png constant": saved(Image.fromarray(np.full((40, 40), 7, np.uint8))),
        "png constant of 16 bits": saved(Image.fromarray(np.full((40, 40), 700, np.uint16))),
        "png animated": saved(frames[0], save_all=True, append_images=frames[1:]),
    }
