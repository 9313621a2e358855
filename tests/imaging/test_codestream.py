"""What a compressed frame says of its own size."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from pocketcxr.domain.errors import RefusalCode
from pocketcxr.imaging.codestream import frame_size


def _encoded(height: int, width: int, kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"no_jp2": True} if kind == "JPEG2000" else {}))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
@given(height=st.integers(16, 200), width=st.integers(16, 200))
@settings(deadline=None, max_examples=10)
def test_the_size_of_a_frame_is_that_of_its_image(kind: str, height: int, width: int) -> None:
    assert frame_size(_encoded(height, width, kind)) == (height, width)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xe0", b"\xff\x4f\xff\x51"]))
@settings(deadline=None, max_examples=100)
def test_any_bytes_have_a_size_or_none(data: bytes, start: bytes) -> None:
    size = frame_size(start + data)
    assert size is None or len(size) == 2


def test_a_frame_larger_than_its_header_is_refused_before_it_is_decoded(
    write_dicom: Callable[..., Path], refusal_of: Callable[[Path], RefusalCode]
) -> None:
    bomb = bytearray(_encoded(64, 64, "JPEG"))
    place = bomb.index(b"\xff\xc0") + 5
    bomb[place : place + 4] = (60_000).to_bytes(2, "big") * 2

    def compress(dataset: Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.PixelData = encapsulate([bytes(bomb)])
        dataset["PixelData"].VR = "OB"

    path = write_dicom(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64), 8, compress)
    assert refusal_of(path) is RefusalCode.CORRUPT
