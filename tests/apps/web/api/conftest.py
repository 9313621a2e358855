"""A gated, calibrated bundle with random weights, and the API of it: in this process, and as a program of its own."""

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from pocketcxr.apps.web.api import build_api
from pocketcxr.apps.web.api_queue import ApiSettings
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.runtime.bundle import Bundle, open_bundle
from pocketcxr.runtime.card_calibration import OperatingPoint
from pocketcxr.runtime.session import Engine, open_engine

from ....tiny_bundles import packed, tiny_net  # noqa: TID252 - tests are no package of the path

FINDINGS = ("Effusion", "Nodule", "Mass")
SECONDS = 60.0
"""After which a test gives up on a server."""


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Never learnt Nodule; two operating points of the others."""
    points = tuple(
        OperatingPoint(finding=name, threshold=0.3, criterion=criterion, chosen_on="a test")
        for name in FINDINGS
        if name != "Nodule"
        for criterion in ("youden", "sensitivity-90")
    )
    path = packed(
        tiny_net(FINDINGS, PreprocessSpec(size=64), gain=100),
        tmp_path_factory.mktemp("bundle") / "tiny.zip",
        has_gate=True,
        unlearnt=("Nodule",),
        operating_points=points,
        training={"source": "phantom"},
    )
    return open_bundle(path)


@pytest.fixture(scope="session")
def engine(bundle: Bundle) -> Engine:
    """What `predict_files` runs on, with as many threads as the API."""
    return open_engine(bundle, num_threads=1)


@pytest.fixture(scope="session")
def api(bundle: Bundle) -> FastAPI:
    """The API with one worker."""
    return build_api(bundle, ApiSettings(workers=1, max_body_bytes=1 << 20))


@pytest.fixture(scope="module")
def client(api: FastAPI) -> Iterator[TestClient]:
    """Talks to the API without a socket."""
    with TestClient(api, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def png() -> bytes:
    """A gray PNG file of noise, which the input gate refuses; the model scores it where nobody asks the gate."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 90), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@dataclass(frozen=True)
class Server:
    """The API as a program."""

    process: subprocess.Popen[str]
    port: int

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON of the answer to a request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers or {}, encode_chunked=True)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """A connection on which a test says what it likes."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)


@contextmanager
def _served(bundle: str, settings: dict[str, Any]) -> Iterator[Server]:
    program = Path(__file__).with_name("served.py")
    command = [sys.executable, str(program), bundle, json.dumps(settings)]
    # A group of its own, so that a test can signal the server and its workers as a service manager does.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        server = Server(process, int(process.stdout.readline()))
        server.ask("GET", "/v1/health")
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


Serve = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="session")
def serve(bundle: Bundle) -> Serve:
    """serve(settings): a context in which the API is served by a program of its own."""
    return lambda settings: _served(bundle.path, settings)
