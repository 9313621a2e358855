"""COCO's run-length encoding of masks, read: column after column, runs of 0 and of 1 in turn.

Reference: maskApi.c of cocodataset/cocoapi, rleFrString and rleDecode. pycocotools trusts its input: counts that do not
fill the mask leave uninitialised memory in it, a stray byte aborts the process. Files of others are checked here first,
and once the runs are known nothing is left to decode.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_FIRST, _LAST = ord("0"), ord("o")  # the 64 characters that carry six bits each
_MAX_CHARACTERS = 7  # of one run: 5 bits each, more than any image's number of pixels


def run_lengths(counts: str | Sequence[int], size: int) -> NDArray[np.int64]:
    """The lengths of the runs, beginning with zeros, of a mask of `size` pixels. Raises ValueError with the reason.

    counts: as text, COCO's compressed form, or as numbers.
    """
    runs = np.array(_unpacked(counts) if isinstance(counts, str) else list(counts), dtype=np.int64)
    if runs.ndim != 1 or (runs < 0).any():
        raise ValueError("its run lengths are not all 0 or more")
    if int(runs.sum()) != size:
        raise ValueError(f"its run lengths add up to {int(runs.sum())} pixels, not {size}")
    return runs


def drawn(runs: NDArray[np.int64], height: int, width: int) -> NDArray[np.bool_]:
    """The mask [height, width] of the runs."""
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def _unpacked(text: str) -> list[int]:
    """The numbers of the compressed form: lowest 5 bits first, from the fourth on less the one two before."""
    runs: list[int] = []
    value = place = 0
    for character in text:
        code = ord(character)
        if not _FIRST <= code <= _LAST or place >= _MAX_CHARACTERS:
            raise ValueError(f"its counts hold {character!r} where none can be")
        code -= _FIRST
        value |= (code & 0x1F) << 5 * place
        place += 1
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << 5 * place
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = place = 0
    if place:
        raise ValueError("its counts end in the middle of a number")
    return runs
