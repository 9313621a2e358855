"""Who may ask, and what a browser may do with the answer: headers of every response, and the checks before it.

docs/explanation/the-page.md says what each is for.
"""

import ipaddress
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pocketcxr.apps.web.site import BUNDLE_FOLDER

PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; style-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# A bundle comes from somewhere else. Its model card is a page with styles of its own; nothing in it may run, ask or be
# taken for the page.
BUNDLE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
COMMON_HEADERS: Mapping[str, str] = {
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""Of every response."""
PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": PAGE_POLICY,
    # With the embedder policy it makes the page cross-origin isolated, without which browsers give it one thread.
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Also of the page, and of everything that is no bundle's."""
BUNDLE_HEADERS: Mapping[str, str] = {"Content-Security-Policy": BUNDLE_POLICY}
"""Also of a bundle's files. Browsers refuse a sandboxed document that has an opener policy."""

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class AllowedHosts:
    """The names in a Host header that mean this server. Any other name was pointed here by someone else."""

    names: frozenset[str]
    takes_addresses: bool
    """Whether any IP address passes: a name can be pointed at this machine by a stranger, an address cannot."""

    def allow(self, host: str) -> bool:
        """Whether a request to `host`, without its port, is meant for this server."""
        return host.lower().removesuffix(".") in self.names or (self.takes_addresses and _is_address(host))


def allowed_hosts(bound_to: str, more: Iterable[str] = ()) -> AllowedHosts:
    """The names of a server bound to the address or name `bound_to`; `more`: names that a person vouches for."""
    names = {*_LOOPBACK_NAMES, bound_to.lower(), *(name.lower() for name in more)}
    if is_loopback(bound_to):
        return AllowedHosts(frozenset(names), takes_addresses=False)
    own = socket.gethostname().lower()
    return AllowedHosts(frozenset({*names, own, f"{own}.local"}), takes_addresses=True)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server bound to `host`."""
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def guarded(app: ASGIApp, hosts: AllowedHosts) -> ASGIApp:
    """`app` behind the checks, with the headers on whatever it answers."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), scope["path"])
            await send(message)

        await (_refusal(scope, hosts) or app)(scope, receive, send_with_headers)

    return guard


def _add_headers(headers: MutableHeaders, path: str) -> None:
    own = BUNDLE_HEADERS if path.startswith(f"/{BUNDLE_FOLDER}") else PAGE_HEADERS
    for name, value in (*COMMON_HEADERS.items(), *own.items()):
        headers[name] = value
    # Whatever does not say that it may be kept speaks of one request: no cache holds a patient's scores.
    headers.setdefault("Cache-Control", "no-store")


def _refusal(scope: Scope, hosts: AllowedHosts) -> PlainTextResponse | None:
    """The answer to a request that is not to be served."""
    headers = Headers(scope=scope)
    asked = headers.getlist("host")
    host = _host_of(f"//{asked[0]}") if len(asked) == 1 else None
    if host is None:
        return PlainTextResponse("The Host header is missing or malformed.\n", status_code=400)
    if not hosts.allow(host):
        return PlainTextResponse(
            "This server does not answer to that name; its operator can allow it with --allowed-host.\n",
            status_code=421,
        )
    if scope["method"] not in _READING and not _comes_from_here(headers.getlist("origin"), asked[0]):
        return PlainTextResponse("Pages of other sites may not send anything here.\n", status_code=403)
    return None


def _comes_from_here(origins: list[str], host_header: str) -> bool:
    """Whether a program sent this, which states no origin, or a page of this server."""
    return not origins or (len(origins) == 1 and origins[0].lower().partition("://")[2] == host_header.lower())


def _host_of(url: str) -> str | None:
    """The host of `url` without its port or brackets; None where it is malformed."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # the port raises where it is no number
    except ValueError:
        return None
    return host if host and parts.netloc == url[2:] and "@" not in url else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
