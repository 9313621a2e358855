"""Decoding processes: what kills one is refused alone, and no upload is left behind."""

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pocketcxr.apps.web.api_decoder import Decoder
from pocketcxr.apps.web.api_worker import DecodedUpload, DecodeOptions, file_of, without_path
from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.imaging.load import load
from pocketcxr.runtime.bulk_worker import DecodeJob, Limits
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.card import PREPROCESS

UNGATED = DecodeOptions(checks_input=False, keeps_picture=False)


def _job(bundle: Bundle, limits: Limits) -> DecodeJob:
    return DecodeJob(bundle.files[PREPROCESS], limits, keeps_radiograph=True)


@pytest.fixture(scope="module")
def decoder(bundle: Bundle) -> Iterator[Decoder]:
    """All the time it takes, 400 MB a file."""
    decoder = Decoder(_job(bundle, Limits(seconds=120, memory_mb=400)))
    decoder.wait_until_ready()
    yield decoder
    decoder.end()


def _many_scans() -> bytes:
    """A progressive JPEG of 48 million pixels whose last scan comes 80 times: many seconds to decode."""
    buffer = io.BytesIO()
    image = np.zeros((6000, 8000), dtype=np.uint8)
    image[:8] = 200
    Image.fromarray(image).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 80 + data[-2:]


def _large() -> bytes:
    """A small PNG of 49 million pixels with transparency: 800 MB to decode."""
    buffer = io.BytesIO()
    Image.new("LA", (7000, 7000)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.slow
def test_a_file_that_takes_too_long_is_refused_alone(bundle: Bundle, png: bytes) -> None:
    decoder = Decoder(_job(bundle, Limits(seconds=1)))
    try:
        refused = decoder.decode(bytearray(_many_scans()), UNGATED)
        assert isinstance(refused, Refusal)
        assert refused.code == "timed-out"
        assert "1 s" in refused.message
        assert isinstance(decoder.decode(bytearray(png), UNGATED), DecodedUpload)
    finally:
        decoder.end()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")
def test_a_file_that_takes_too_much_memory_is_refused_alone(decoder: Decoder, png: bytes) -> None:
    refused = decoder.decode(bytearray(_large()), UNGATED)
    assert isinstance(refused, Refusal)
    assert refused.code == "too-much-memory"
    assert isinstance(decoder.decode(bytearray(png), UNGATED), DecodedUpload)


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_a_process_that_is_killed_costs_at_most_its_file(decoder: Decoder, png: bytes) -> None:
    decoder.wait_until_ready()
    before = decoder.pid
    assert before is not None
    # It decodes (and would for long): killed in the middle of it.
    killer = threading.Timer(0.5, os.kill, (before, signal.SIGKILL))
    killer.start()
    refused = decoder.decode(bytearray(_many_scans()), UNGATED)
    killer.join()
    assert isinstance(refused, Refusal)
    assert refused.code == "too-much-memory"
    assert isinstance(decoder.decode(bytearray(png), UNGATED), DecodedUpload)
    assert decoder.pid != before


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_a_process_that_dies_while_idle_costs_no_file(decoder: Decoder, png: bytes) -> None:
    decoder.wait_until_ready()
    victim = psutil.Process(decoder.pid)
    victim.kill()
    psutil.wait_procs([victim], timeout=30)
    assert isinstance(decoder.decode(bytearray(png), UNGATED), DecodedUpload)


def test_a_process_outlives_the_signal_that_a_service_manager_sends_to_all(decoder: Decoder, png: bytes) -> None:
    decoder.wait_until_ready()
    before = decoder.pid
    assert before is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(before, number)
        assert isinstance(decoder.decode(bytearray(png), UNGATED), DecodedUpload)
    assert decoder.pid == before


def test_a_decoder_that_cannot_start_says_so(bundle: Bundle) -> None:
    decoder = Decoder(DecodeJob(b"no graph", Limits(), keeps_radiograph=True))
    try:
        with pytest.raises(PocketCxrError, match="cannot start"):
            decoder.wait_until_ready()
    finally:
        decoder.end()


def test_nothing_runs_on_after_the_end(bundle: Bundle) -> None:
    decoder = Decoder(_job(bundle, Limits()))
    decoder.wait_until_ready()
    process = psutil.Process(decoder.pid)
    decoder.end()
    assert not process.is_running()


@pytest.mark.parametrize(
    "in_memory", [pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="")), False]
)
def test_an_upload_has_a_file_only_while_it_is_decoded(in_memory: bool, png: bytes, tmp_path: Path) -> None:
    folder = None if in_memory else tmp_path
    with pytest.raises(ZeroDivisionError), file_of(png, folder) as path:  # noqa: PT012 - what is left after an error
        assert load(path).image.shape == (120, 90)
        raise ZeroDivisionError
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


@given(st.text(st.characters(codec=None)), st.sampled_from(["/proc/self/fd/12", "/tmp/pocketcxr-x/upload"]))
def test_no_message_names_our_path_or_breaks_utf_8(text: str, name: str) -> None:
    path = Path(name)
    message = without_path(f"{path}: {text}{path}{path!r}", path)
    assert name not in message
    message.encode()
