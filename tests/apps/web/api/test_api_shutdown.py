"""A service manager's SIGTERM: what was accepted is answered, what comes later is refused, the program ends."""

import http.client
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from .conftest import SECONDS, Server
from .test_api_limits import PNG, PREDICT, answer_of, begun_on, wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
Serve = Callable[[dict[str, Any]], Any]


def _refuses(server: Server) -> bool:
    """Whether a new connection is refused."""
    try:
        server.connect().close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("is_for_all", [False, True], ids=["to the server", "to every process"])
def test_what_was_accepted_is_answered_after_sigterm(is_for_all: bool, serve: Serve, png: bytes) -> None:
    with serve({"workers": 2, "max_waiting": 6}) as server:
        begun = [begun_on(server, png) for _ in range(8)]
        wait_for(server, "in_flight", 8)
        workers = psutil.Process(server.process.pid).children(recursive=True)
        send = os.killpg if is_for_all else os.kill
        send(server.process.pid, signal.SIGTERM)
        end = time.monotonic() + SECONDS
        while not _refuses(server):
            assert time.monotonic() < end
        for connection in begun:
            connection.sendall(png[-1:])
        answers = [answer_of(connection) for connection in begun]
        assert [status for status, _ in answers] == [200] * 8
        assert len({str(body["findings"]) for _, body in answers}) == 1
        for connection in begun:
            connection.close()
        assert server.process.wait(SECONDS) == 0
        assert psutil.wait_procs(workers, timeout=SECONDS)[1] == []


def test_under_load_no_answer_is_cut(serve: Serve, png: bytes) -> None:
    """Each request of each client is answered whole, or its connection is closed before a byte of an answer."""
    ends: Counter[str] = Counter()

    def ask_until_closed(port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            while True:
                connection.request("POST", PREDICT, png, PNG)
                answer = connection.getresponse()
                answer.read()  # raises IncompleteRead (an HTTPException) when it is cut
                ends[str(answer.status)] += 1
        except (ConnectionError, http.client.RemoteDisconnected):
            ends["closed"] += 1
        except http.client.HTTPException:
            ends["cut"] += 1
        finally:
            connection.close()

    with serve({"workers": 2, "max_waiting": 6}) as server:
        clients = [threading.Thread(target=ask_until_closed, args=[server.port]) for _ in range(8)]
        for client in clients:
            client.start()
        end = time.monotonic() + SECONDS
        while ends["200"] < 50:
            assert time.monotonic() < end
            time.sleep(0.01)
        os.killpg(server.process.pid, signal.SIGTERM)
        for client in clients:
            client.join()
        assert server.process.wait(SECONDS) == 0
    assert ends["closed"] == 8
    assert set(ends) == {"200", "closed"}


def test_a_server_that_is_killed_leaves_no_worker(serve: Serve) -> None:
    with serve({"workers": 2}) as server:
        workers = psutil.Process(server.process.pid).children(recursive=True)
        assert len(workers) >= 2
        server.process.kill()
        assert psutil.wait_procs(workers, timeout=SECONDS)[1] == []
