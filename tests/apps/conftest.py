"""A bundle with two builds, a made page of a few lines, and a caller of ASGI apps."""

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest
from starlette.types import ASGIApp

from pocketcxr.export.half import half
from pocketcxr.export.pack import pack
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.runtime.bundle import Bundle, open_bundle
from pocketcxr.runtime.card import Build, Builds
from pocketcxr.runtime.input_gate import GATE, packaged_gate

from ..tiny_bundles import packable_of, tiny_net  # noqa: TID252 - tests are no package of the path

FINDINGS = ("Effusion", "Mass")
SPEC = PreprocessSpec(size=32)

PAGE = {
    "index.html": b"<!doctype html><title>a page</title>" + b"<p>the same</p>" * 50,
    "main.js": b"export {};",
    "worker.js": b"onmessage = null;",
    "service-worker.js": b"self.x = 1;",
    "style.css": b"p { color: red }",
    "manifest.webmanifest": b"{}",
    "ort-wasm-simd-threaded.mjs": b"export default 1;",
    "ort-wasm-simd-threaded.wasm": b"\0asm\1\0\0\0" * 40,
    "icons/icon.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    # Not compressed at all, so that a test sees which file was sent.
    "index.html.br": b"brotli",
    "index.html.gz": b"gzip",
}


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page as page/build.mjs leaves one, but made up."""
    folder = tmp_path_factory.mktemp("page") / "site"
    for name, content in PAGE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def two_builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a net with random weights, in fp32 and fp16, with the input gate; one zip."""
    tiny = packable_of(tiny_net(FINDINGS, SPEC))
    fp16 = half(onnx.load_from_string(tiny.files["model.onnx"])).SerializeToString()
    builds = Builds(fp32=tiny.facts.builds.fp32, fp16=Build(file="model.fp16.onnx", tolerance=0.01))
    files = {**tiny.files, "model.fp16.onnx": fp16, GATE: packaged_gate()}
    return pack(tiny.facts.model_copy(update={"builds": builds}), files, tmp_path_factory.mktemp("bundle") / "tiny.zip")


@pytest.fixture(scope="session")
def opened(two_builds: Path) -> Bundle:
    """The same, opened."""
    return open_bundle(two_builds)


@dataclass(frozen=True)
class Answer:
    """What an ASGI app said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Ask = Callable[..., Answer]


@pytest.fixture(scope="session")
def ask() -> Ask:
    """ask(app, path, method="GET", headers={...}): one request to an ASGI app, without a socket."""

    def one(
        app: ASGIApp, path: str, method: str = "GET", headers: Mapping[str, str] = {"host": "localhost:8000"}
    ) -> Answer:
        sent: list[MutableMapping[str, Any]] = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("utf-8", "surrogatepass"),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        }

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        asyncio.run(app(scope, receive, send))
        told = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], told, b"".join(message["body"] for message in sent[1:]))

    return one
