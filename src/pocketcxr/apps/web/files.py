"""The site's files over HTTP: exact names, one digest a form, compressed where the browser takes it (an ASGI app)."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pocketcxr.apps.web.compression import Encoding, choose_encoding
from pocketcxr.apps.web.site import INDEX, Site, SiteFile
from pocketcxr.runtime.bundle import sha256

_METHODS = ("GET", "HEAD")


@dataclass(frozen=True, eq=False)
class _Form:
    """The bytes of one file in one encoding. Each has its own tag: they are different bytes under one address."""

    content: bytes
    tag: str


@dataclass(frozen=True, eq=False)
class _Entry:
    plain: _Form
    encoded: Mapping[Encoding, _Form]
    media_type: str


def files_app(site: Site) -> ASGIApp:
    """An ASGI app that answers GET and HEAD for the site's files, 404 for every other path, 405 for other methods."""
    entries = {f"/{name}": _entry(file) for name, file in site.files.items()}
    entries["/"] = entries[f"/{INDEX}"]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        entry = entries.get(scope["path"])
        if entry is None:
            response: Response = PlainTextResponse("Nothing is here. The page is at /\n", status_code=404)
        elif scope["method"] not in _METHODS:
            response = PlainTextResponse(
                "This address can only be read.\n", status_code=405, headers={"Allow": ", ".join(_METHODS)}
            )
        else:
            response = _answer(entry, Headers(scope=scope))
        await response(scope, receive, send)

    return app


def _entry(file: SiteFile) -> _Entry:
    encoded = {encoding: _form(content) for encoding, content in file.encoded.items()}
    return _Entry(_form(file.content), encoded, file.media_type)


def _form(content: bytes) -> _Form:
    return _Form(content, f'"{sha256(content)}"')


def _answer(entry: _Entry, asked: Headers) -> Response:
    encoding = choose_encoding(", ".join(asked.getlist("accept-encoding")), entry.encoded)
    form = entry.plain if encoding is None else entry.encoded[encoding]
    # no-cache: a browser may keep the file, but asks whether it is still this one before it uses it.
    headers = {"ETag": form.tag, "Cache-Control": "no-cache"}
    if entry.encoded:
        headers["Vary"] = "Accept-Encoding"
    if _is_known(form.tag, asked.getlist("if-none-match")):
        return Response(status_code=304, headers=headers)
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    headers["Content-Type"] = entry.media_type
    return Response(form.content, headers=headers)


def _is_known(tag: str, headers: list[str]) -> bool:
    """Whether the browser says it holds these bytes (RFC 9110, section 13.1.2: weak tags compare as strong ones)."""
    held = {item.strip().removeprefix("W/") for header in headers for item in header.split(",")}
    return tag in held or "*" in held
