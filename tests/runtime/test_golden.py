"""Golden vectors that are damaged, or made to do damage, are named and refused; nothing else comes out."""

import io
import pickle
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import BundleError
from pocketcxr.runtime.golden import HEATMAPS, IMAGE, LOGITS, PIXELS, golden_cases, verify_golden
from pocketcxr.runtime.session import Engine

PARTS = (IMAGE, PIXELS, LOGITS, HEATMAPS)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


def header(text: bytes) -> bytes:
    """A file whose header is `text`, without any values."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def with_golden(engine: Engine, part: str, data: bytes) -> Engine:
    """The engine of a bundle with another file in its first case."""
    name = golden_cases(engine.bundle)[0] + part
    return replace(engine, bundle=replace(engine.bundle, files={**engine.bundle.files, name: data}))


BAD = {
    "empty": b"",
    "text": b"no array",
    "pickled": npy(np.array([{}], dtype=object)),
    "a pickle": pickle.dumps([1, 2]),
    "several arrays": npz(),
    "cut": npy(np.zeros((40, 40), np.uint8))[:-7],
    "a header that is no literal": header(b"{'descr': '|u1', 'fortran_order': False, 'shape': open('x')}  \n"),
    "a header that does not end": header(b"{'descr': ("),
    "more than all memory": header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000000000)}  \n"),
    "complex numbers": npy(np.zeros((3, 3), np.complex64)),
    "too many sides": npy(np.zeros((1, 1, 1, 1, 1), np.float32)),
    "nothing in it": npy(np.zeros((0, 5), np.uint8)),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_is_no_such_array_is_refused_by_name(data: bytes, part: str, engine: Engine) -> None:
    name = golden_cases(engine.bundle)[0] + part
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        verify_golden(with_golden(engine, part, data))


def test_another_answer_is_told_by_how_far_it_is_off(engine: Engine) -> None:
    case = golden_cases(engine.bundle)[0]
    logits = np.load(io.BytesIO(engine.bundle.files[case + LOGITS]))
    with pytest.raises(BundleError, match="answers deviate"):
        verify_golden(with_golden(engine, LOGITS, npy(logits + 1)))
    with pytest.raises(BundleError, match="answers deviate"):
        verify_golden(with_golden(engine, LOGITS, npy(logits * np.float32(np.nan))))


@settings(max_examples=60, deadline=None)
@given(part=st.sampled_from(PARTS), data=st.data())
def test_a_damaged_byte_is_refused_or_does_not_matter(part: str, data: st.DataObject, engine: Engine) -> None:
    good = engine.bundle.files[golden_cases(engine.bundle)[0] + part]
    place = data.draw(st.integers(0, min(len(good), 160) - 1))
    changed = bytearray(good)
    changed[place] = data.draw(st.integers(0, 255))
    with suppress(BundleError):
        verify_golden(with_golden(engine, part, bytes(changed)))
