"""The images of a cohort: some rows, in the cohort's own order, of an array that may hold many more."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = slice | Sequence[int] | NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Images:
    """Image i of n is pixels[slots[i]].

    pixels    uint8 [slot, size, size], usually a read-only memory map of the image store
    slots     int64 [n]; one slot may serve several images, where files have the same content
    digests   n times pixel_digest: what tells images apart without reading their pixels
    """

    pixels: NDArray[np.uint8]
    slots: NDArray[np.int64]
    digests: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.slots)

    def at(self, rows: Rows) -> NDArray[np.uint8]:
        """The images of these rows, a copy [b, size, size]."""
        return np.asarray(self.pixels[self.slots[rows]])

    def take(self, rows: NDArray[np.int64]) -> "Images":
        """These rows as images of their own; no pixel is read."""
        return Images(self.pixels, self.slots[rows], tuple(self.digests[row] for row in rows))


def in_memory(pixels: NDArray[np.uint8]) -> Images:
    """Images that are all of an array [n, size, size], in its order."""
    return Images(pixels, np.arange(len(pixels), dtype=np.int64), tuple(map(pixel_digest, pixels)))


def pixel_digest(image: NDArray[np.uint8]) -> bytes:
    """16 bytes that differ where pixels differ; images of one size are compared."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
