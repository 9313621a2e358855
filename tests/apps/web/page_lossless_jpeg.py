"""A small encoder of lossless JPEG (ITU-T T.81, annex H): no package writes it."""

import struct

import numpy as np
from numpy.typing import NDArray

_CODE_BITS = 5
"""All 17 difference categories get codes of the same length."""


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def _predictions(values: NDArray[np.int64], predictor: int, precision: int) -> NDArray[np.int64]:
    """What each sample [h, w] is expected to be from its neighbours (table H.1)."""
    left, up, corner = (np.zeros_like(values) for _ in range(3))
    left[:, 1:], up[1:], corner[1:, 1:] = values[:, :-1], values[:-1], values[:-1, :-1]
    laws = {1: left, 2: up, 3: corner, 4: left + up - corner, 5: left + ((up - corner) >> 1)}
    laws |= {6: up + ((left - corner) >> 1), 7: (left + up) >> 1}
    found = laws[predictor].copy()
    found[0], found[1:, 0] = left[0], up[1:, 0]
    found[0, 0] = 1 << (precision - 1)
    return found


def encoded(planes: list[NDArray[np.uint16]], precision: int, predictor: int) -> bytes:
    """A stream of one interleaved scan; planes: one or three of [h, w] samples."""
    height, width = planes[0].shape
    count = len(planes)
    table = bytes([0]) + bytes([0] * (_CODE_BITS - 1) + [17] + [0] * (16 - _CODE_BITS)) + bytes(range(17))
    components = b"".join(bytes([at + 1, 0x11, 0]) for at in range(count))
    frame = struct.pack(">BHHB", precision, height, width, count) + components
    scan = bytes([count]) + b"".join(bytes([at + 1, 0]) for at in range(count)) + bytes([predictor, 0, 0])
    values = [plane.astype(np.int64) for plane in planes]
    differences = [value - _predictions(value, predictor, precision) for value in values]
    modular = [(difference + (1 << 15)) % (1 << 16) - (1 << 15) for difference in differences]
    bits = "".join(_code(int(number)) for number in np.stack(modular, axis=-1).ravel())
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    head = b"\xff\xd8" + _segment(0xC4, table) + _segment(0xC3, frame) + _segment(0xDA, scan)
    return head + data + b"\xff\xd9"


def _code(difference: int) -> str:
    """Category and additional bits of a difference of -32768 .. 32767 (H.1.2.2)."""
    category = 16 if difference == -32768 else abs(difference).bit_length()
    code = format(category, f"0{_CODE_BITS}b")
    if category in {0, 16}:
        return code
    extra = difference if difference > 0 else difference + (1 << category) - 1
    return code + format(extra, f"0{category}b")
