"""How much the API takes on: bodies within their limit, requests within capacity, neither waited for for ever."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from pocketcxr.apps.web.api_body import read_body
from pocketcxr.apps.web.api_problems import ProblemCode, RequestProblemError

from .conftest import SECONDS, Server

MOST_BYTES = 100_000
CAPACITY = 3
PNG = {"Content-Type": "image/png"}
PREDICT = "/v1/predict?input_gate=false"


@pytest.fixture(scope="module")
def server(serve: Callable[[dict[str, Any]], Any]) -> Iterator[Server]:
    """One worker, two that wait, small bodies."""
    with serve({"workers": 1, "max_waiting": 2, "max_body_bytes": MOST_BYTES}) as server:
        yield server


def _head(length: int | None, path: str = PREDICT) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n{framing}\r\n\r\n".encode()


def answer_of(connection: socket.socket) -> tuple[int, Any]:
    """Status and JSON of the next answer on the connection."""
    file = connection.makefile("rb")
    status, length = int(file.readline().split()[1]), 0
    while (line := file.readline().strip()) != b"":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return status, json.loads(file.read(length))


def wait_for(server: Server, name: str, value: int) -> None:
    """Returns when the server says so of its load."""
    end = time.monotonic() + SECONDS
    while server.ask("GET", "/v1/health")[1][name] != value:
        assert time.monotonic() < end, f"{name} never was {value}"
        time.sleep(0.02)


def begun_on(server: Server, png: bytes) -> socket.socket:
    """A connection that has sent all of its request but the last byte."""
    connection = server.connect()
    connection.sendall(_head(len(png)) + png[:-1])
    return connection


def _read(sizes: list[int], most_bytes: int) -> bytes:
    """What read_body makes of a body that arrives in these pieces."""
    messages = [
        {"type": "http.request", "body": bytes([number % 256]) * size, "more_body": number + 1 < len(sizes)}
        for number, size in enumerate(sizes)
    ]
    pieces = iter(messages)

    async def receive() -> Any:
        return next(pieces)

    return bytes(asyncio.run(read_body(Request({"type": "http"}, receive), most_bytes, SECONDS)))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(0, 300))
def test_a_body_is_read_whole_or_not_at_all(sizes: list[int], most_bytes: int) -> None:
    whole = b"".join(bytes([number % 256]) * size for number, size in enumerate(sizes))
    if len(whole) <= most_bytes:
        assert _read(sizes, most_bytes) == whole
    else:
        with pytest.raises(RequestProblemError) as refused:
            _read(sizes, most_bytes)
        assert refused.value.code == ProblemCode.BODY_TOO_LARGE


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def receive() -> Any:
        await asyncio.sleep(SECONDS)

    with pytest.raises(RequestProblemError) as refused:
        asyncio.run(read_body(Request({"type": "http"}, receive), 10, seconds=0.05))
    assert refused.value.code == ProblemCode.UPLOAD_TIMED_OUT


def test_a_body_that_ends_too_early_is_not_scored() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        asyncio.run(read_body(Request({"type": "http"}, receive), 10, SECONDS))


def test_a_body_announced_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    with closing(server.connect()) as connection:
        connection.sendall(_head(MOST_BYTES + 1))
        status, problem = answer_of(connection)
    assert (status, problem["code"]) == (413, "body-too-large")


def test_a_body_that_grows_too_large_is_refused_while_it_is_sent(server: Server) -> None:
    piece = b"%x\r\n%s\r\n" % (10_000, b"x" * 10_000)
    with closing(server.connect()) as connection:
        connection.sendall(_head(None))
        for _ in range(MOST_BYTES // 10_000 + 1):
            connection.sendall(piece)
        status, problem = answer_of(connection)
    assert (status, problem["code"]) == (413, "body-too-large")


@pytest.mark.parametrize("num_bytes", [MOST_BYTES - 1, MOST_BYTES])
def test_a_body_at_the_limit_is_read(num_bytes: int, server: Server, png: bytes) -> None:
    """PNG decoders stop at the end of the image, so that what follows does no harm."""
    padded = png + bytes(num_bytes - len(png))
    assert server.ask("POST", PREDICT, padded, PNG)[0] == 200
    pieces = (padded[at : at + 9_999] for at in range(0, len(padded), 9_999))
    assert server.ask("POST", PREDICT, pieces, PNG)[0] == 200


@pytest.mark.parametrize("framing", ["chunked", "counted"])
def test_an_upload_that_breaks_off_leaves_nothing_behind(framing: str, server: Server, png: bytes) -> None:
    connection = server.connect()
    length = None if framing == "chunked" else len(png)
    connection.sendall(_head(length) + (b"%x\r\n" % len(png) if length is None else b"") + png[:100])
    wait_for(server, "in_flight", 1)
    connection.close()
    wait_for(server, "in_flight", 0)
    assert server.ask("POST", PREDICT, png, PNG)[0] == 200


def test_broken_http_is_a_bad_request(server: Server) -> None:
    with closing(server.connect()) as connection:
        connection.sendall(_head(None) + b"no number of bytes\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 400")
    wait_for(server, "in_flight", 0)


def test_never_more_in_flight_than_there_is_room_for(server: Server, png: bytes) -> None:
    """Slots are taken before a body is read: memory is bounded by them."""
    begun = [begun_on(server, png) for _ in range(CAPACITY)]
    wait_for(server, "in_flight", CAPACITY)
    with closing(server.connect()) as late:
        late.sendall(_head(len(png)) + png)
        status, problem = answer_of(late)
        assert (status, problem["code"]) == (429, "too-many-requests")
        for connection in begun:
            connection.sendall(png[-1:])
        assert [answer_of(connection)[0] for connection in begun] == [200] * CAPACITY
        # The refused one reads what it was told and comes again, on the same connection.
        late.sendall(_head(len(png)) + png)
        assert answer_of(late)[0] == 200
    for connection in begun:
        connection.close()
    wait_for(server, "in_flight", 0)


def test_under_a_crowd_each_is_answered_or_told_to_wait(server: Server, png: bytes) -> None:
    answers: list[int] = []
    most: list[int] = []

    def ask() -> None:
        for _ in range(5):
            status, body = server.ask("POST", PREDICT, png, PNG)
            assert status == 200 or body["code"] == "too-many-requests"
            answers.append(status)

    crowd = [threading.Thread(target=ask) for _ in range(4 * CAPACITY)]
    for thread in crowd:
        thread.start()
    while any(thread.is_alive() for thread in crowd):
        most.append(server.ask("GET", "/v1/health")[1]["in_flight"])
    assert len(answers) == 5 * len(crowd)
    assert set(answers) <= {200, 429}
    assert 200 in answers
    assert max(most) <= CAPACITY
    wait_for(server, "in_flight", 0)


def test_who_leaves_while_waiting_is_not_scored(serve: Callable[[dict[str, Any]], Any], png: bytes) -> None:
    """The worker is stopped, so that all wait."""
    with serve({"workers": 1, "max_waiting": 2}) as server:
        (worker,) = [one for one in psutil.Process(server.process.pid).children() if "spawn_main" in str(one.cmdline())]
        worker.suspend()
        first, second = server.connect(), server.connect()
        first.sendall(_head(len(png)) + png)
        wait_for(server, "in_flight", 1)
        wait_for(server, "queued", 0)
        second.sendall(_head(len(png)) + png)
        wait_for(server, "queued", 1)
        second.close()
        wait_for(server, "in_flight", 1)
        worker.resume()
        assert answer_of(first)[0] == 200
        first.close()


def test_an_upload_that_stalls_gives_its_place_up(serve: Callable[[dict[str, Any]], Any], png: bytes) -> None:
    with serve({"workers": 1, "max_waiting": 0, "upload_seconds": 0.5}) as server:
        with closing(begun_on(server, png)) as stalled:
            status, problem = answer_of(stalled)
            assert (status, problem["code"]) == (408, "upload-timed-out")
            assert stalled.recv(1) == b""
        assert server.ask("POST", PREDICT, png, PNG)[0] == 200
