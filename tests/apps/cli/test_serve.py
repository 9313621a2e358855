"""The real program over real sockets: what it says, what it answers, how it ends."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pocketcxr.apps.web.security import PAGE_POLICY

LIMIT_S = 120
"""A machine that runs other tests takes its time to start a process."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass(frozen=True)
class Server:
    """The program while it serves."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rsplit(":", 1)[1])

    def ask(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
        return _ask(self.port, path, method, headers or {})


def _ask(port: int, path: str, method: str, headers: dict[str, str]) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())


def _command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "pocketcxr", "serve", *(str(word) for word in words)]


def _run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(*words), check=False, capture_output=True, text=True, timeout=LIMIT_S)


@contextmanager
def _serving(*words: str | Path) -> Iterator[Server]:
    command = _command(*words, "--port", "0", "--json")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        ends = threading.Timer(LIMIT_S, process.kill)
        ends.start()
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield Server(process, json.loads(line)["url"])
        finally:
            ends.cancel()
            process.kill()


@pytest.fixture(scope="module")
def server(two_builds: Path, page_folder: Path) -> Iterator[Server]:
    with _serving(two_builds, "--page", page_folder) as running:
        yield running


def test_the_page_and_the_bundle_are_served(server: Server) -> None:
    answer = server.ask("/")
    assert answer.status == 200
    assert b"a page" in answer.body
    assert answer.headers["Content-Security-Policy"] == PAGE_POLICY
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers["Server"] is None
    assert json.loads(server.ask("/site.json").body)["precision"] == "fp16"
    assert server.ask("/bundle/model.fp16.onnx").headers["Content-Type"] == "application/octet-stream"
    assert server.ask("/v1/health").status == 404


def test_head_says_what_get_would(server: Server) -> None:
    for headers in ({}, {"Accept-Encoding": "br"}):
        got, head = (server.ask("/index.html", method, headers) for method in ("GET", "HEAD"))
        assert head.body == b""
        assert head.status == 200
        told = [{name: value for name, value in each.headers.items() if name != "date"} for each in (got, head)]
        assert told[0] == told[1]


def test_a_browser_asks_again_and_gets_nothing_twice(server: Server) -> None:
    first = server.ask("/bundle/card.json", headers={"Accept-Encoding": "gzip"})
    assert first.headers["Content-Encoding"] == "gzip"
    again = {"Accept-Encoding": "gzip", "If-None-Match": first.headers["ETag"]}
    assert server.ask("/bundle/card.json", headers=again).status == 304
    assert server.ask("/index.html", headers={"Accept-Encoding": "gzip, br"}).body == b"brotli"


@pytest.mark.parametrize(
    "path",
    [
        *("/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd"),
        *("/bundle/../index.html", "/bundle/%2e%2e/index.html", "/icons/", "/index.htm", "/%00", "/%ff"),
    ],
)
def test_no_path_leaves_the_site(server: Server, path: str) -> None:
    assert server.ask(path).status == 404


def test_strangers_are_refused(server: Server) -> None:
    assert server.ask("/", headers={"Host": "evil.example"}).status == 421
    assert server.ask("/", "POST").status == 405
    assert server.ask("/", "POST", headers={"Origin": "http://evil.example"}).status == 403


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(two_builds: Path, page_folder: Path, ended_by: signal.Signals) -> None:
    with _serving(two_builds, "--page", page_folder) as running:
        idle = http.client.HTTPConnection("127.0.0.1", running.port, timeout=LIMIT_S)
        with contextlib.closing(idle):
            idle.request("GET", "/")
            idle.getresponse().read()  # kept open, as browsers do
            running.process.send_signal(ended_by)
            out, err = running.process.communicate(timeout=LIMIT_S)
        assert running.process.returncode == 0
        assert out == ""
        assert "Research use only. Not a medical device." in err
        assert "trained on simulated radiographs" in err
        assert f"ready: {running.url} (Ctrl-C ends it)" in err
        assert "Traceback" not in err
        assert "error" not in err


def test_a_port_in_use_is_told_with_a_way_out(two_builds: Path, page_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = _run(two_builds, "--page", page_folder, "--port", str(port))
    assert done.returncode == 1
    assert (
        f"port {port} of 127.0.0.1 is in use by another program; end that, or take a free port with --port 0"
        in done.stderr
    )
    assert done.stdout == ""


def test_other_machines_are_let_in_with_a_warning_alone(two_builds: Path, page_folder: Path) -> None:
    with _serving(two_builds, "--page", page_folder, "--host", "0.0.0.0", "--allowed-host", "xray.example") as running:
        assert running.url.startswith("http://127.0.0.1:")
        assert running.ask("/", headers={"Host": "192.168.0.9"}).status == 200
        assert running.ask("/", headers={"Host": "xray.example"}).status == 200
        assert running.ask("/", headers={"Host": "evil.example"}).status == 421
        running.process.send_signal(signal.SIGTERM)
        _, err = running.process.communicate(timeout=LIMIT_S)
    assert "warning: --host 0.0.0.0 lets other machines reach this server, without a password and unencrypted" in err


def test_programs_are_answered_under_v1_where_wanted(two_builds: Path, page_folder: Path) -> None:
    with _serving(two_builds, "--page", page_folder, "--api") as running:
        assert running.ask("/").status == 200
        health = running.ask("/v1/health")
        assert json.loads(health.body)["bundle"]["name"] == "tiny"
        assert health.headers["Cache-Control"] == "no-store"
        assert health.headers["Content-Security-Policy"] == PAGE_POLICY
        assert "/predict" in json.loads(running.ask("/v1/openapi.json").body)["paths"]
        assert running.ask("/v1/predict", "POST", {"Origin": "http://evil.example"}).status == 403
        running.process.send_signal(signal.SIGTERM)
        running.process.communicate(timeout=LIMIT_S)
        assert running.process.returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--precision", "int8"], 2, "--precision int8: this bundle has no such build; available: fp32, fp16"),
        (["--precision", "fp61"], 2, "did you mean 'fp16'"),
        (["--host", "no.such.host.invalid"], 2, "--host no.such.host.invalid is not known"),
        (["--host", "192.0.2.1"], 2, "--host 192.0.2.1 is no address of this machine"),
        (["--export", "{tmp}/site", "--open"], 2, "so --open has no meaning there"),
        (["--page", "{tmp}"], 1, "has no index.html; the page comes ready in pocketcxr's wheel"),
    ],
)
def test_what_cannot_be_done_is_told(
    two_builds: Path, page_folder: Path, tmp_path: Path, words: Sequence[str], code: int, message: str
) -> None:
    page = [] if "--page" in words else ["--page", str(page_folder)]
    done = _run(two_builds, *page, "--port", "0", *(word.format(tmp=tmp_path) for word in words))
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_option() -> None:
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    done = subprocess.run(
        _command("--help"), check=False, capture_output=True, text=True, timeout=LIMIT_S, env=environment
    )
    assert done.returncode == 0
    for option in ("--host", "--port", "--precision", "--api", "--export", "--open", "--allowed-host", "--trusted-key"):
        assert option in done.stdout
    assert "Research use only" in done.stdout


def test_an_export_works_from_any_servers_subfolder(two_builds: Path, page_folder: Path, tmp_path: Path) -> None:
    done = _run(two_builds, "--page", page_folder, "--export", tmp_path / "www" / "cxr", "--precision", "fp32")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    handler = partial(SilentHandler, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            here = f"http://127.0.0.1:{other.server_address[1]}/cxr/"
            site = json.loads(_read(here + "site.json"))
            assert site["precision"] == "fp32"
            assert json.loads(_read(here + site["bundle"] + "card.json"))["name"] == "tiny"
            for entry in json.loads(_read(here + "precache.json"))["files"]:
                assert _read(here + entry["url"])
        finally:
            other.shutdown()
            thread.join()


class SilentHandler(SimpleHTTPRequestHandler):
    """python -m http.server without its log."""

    def log_message(self, *words: object) -> None:
        pass


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=LIMIT_S) as response:
        return bytes(response.read())


def test_torch_is_never_loaded() -> None:
    script = (
        "import sys, pocketcxr.apps.cli.serve, pocketcxr.apps.web.server, pocketcxr.apps.web.api\n"
        "import pocketcxr.apps.web.export_site, pocketcxr.apps.web.precision\n"
        "print(sorted({'torch', 'pandas', 'onnx', 'scipy', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=LIMIT_S)
    assert done.stdout.strip() == "[]"
