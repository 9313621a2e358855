"""What a browser speaks to: the real program, any plain web server, and a proxy that writes down what passes."""

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

LIMIT_S = 120
"""A machine that runs other tests takes its time."""
_NOT_PASSED_ON = {"connection", "proxy-connection", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Served:
    """The program while it serves."""

    process: subprocess.Popen[str]
    url: str


@contextmanager
def serving(bundle: Path, *options: str | Path) -> Iterator[Served]:
    """`pocketcxr serve BUNDLE --port 0`, ready; it ends with the block at the latest."""
    words = [sys.executable, "-m", "pocketcxr", "serve", str(bundle), "--port", "0", "--json", *map(str, options)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        patience = threading.Timer(LIMIT_S, process.kill)
        patience.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            patience.cancel()
            assert line, "the server ended before it was ready"
            yield Served(process, json.loads(line)["url"])
        finally:
            patience.cancel()
            process.kill()


def export(bundle: Path, folder: Path, *options: str | Path) -> None:
    """Writes the site with `pocketcxr serve BUNDLE --export FOLDER`."""
    words = [sys.executable, "-m", "pocketcxr", "serve", str(bundle), "--export", str(folder), *map(str, options)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr


class _Silent(SimpleHTTPRequestHandler):
    """python -m http.server without its log, and with browsers asking again, as its pages change under a test."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def plain_server(folder: Path) -> Iterator[str]:
    """The address of a web server without any of our headers."""
    with _running(ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder)))) as port:
        yield f"http://127.0.0.1:{port}/"


@dataclass(frozen=True)
class Passed:
    """One request as it left the browser."""

    method: str
    url: str
    raw: bytes
    """Headers and body."""
    num_body_bytes: int


@dataclass(frozen=True)
class Wire:
    """A proxy that all of a browser's requests go through: page, workers, service worker, the browser itself."""

    url: str
    passed: list[Passed] = field(default_factory=list)


@contextmanager
def recording_proxy(site: str) -> Iterator[Wire]:
    """A proxy that passes requests on to `site` alone, and answers 502 for any other origin."""
    passed: list[Passed] = []
    allowed = urlsplit(site).netloc

    class Recorder(BaseHTTPRequestHandler):
        """Writes a request down, then fetches the answer."""

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(1 << 16)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            passed.append(Passed(self.command, self.path, self.headers.as_bytes() + body, len(body)))
            self.close_connection = True
            if urlsplit(self.path).netloc == allowed:
                self._pass_on(body)
            else:
                self.send_error(502, "nothing but the site is reached from here")

        def _pass_on(self, body: bytes) -> None:
            parts = urlsplit(self.path)
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            headers = {name: text for name, text in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
            upstream = http.client.HTTPConnection(allowed, timeout=LIMIT_S)
            try:
                upstream.request(self.command, target, body or None, headers)
                answer = upstream.getresponse()
                content = answer.read()
            finally:
                upstream.close()
            self.send_response_only(answer.status, answer.reason)
            for name, text in answer.getheaders():
                if name.lower() not in _NOT_PASSED_ON:
                    self.send_header(name, text)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            pass

    with _running(ThreadingHTTPServer(("127.0.0.1", 0), Recorder)) as port:
        yield Wire(f"http://127.0.0.1:{port}", passed)


@contextmanager
def _running(server: ThreadingHTTPServer) -> Iterator[int]:
    """The port of a server that runs until the block ends."""
    server.daemon_threads = True
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
