"""The server: the site and, where wanted, the API behind one guard, until a person or the system ends it."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.routing import Mount, Router
from starlette.types import ASGIApp

from pocketcxr.apps.web.files import files_app
from pocketcxr.apps.web.security import AllowedHosts, guarded
from pocketcxr.apps.web.site import Site
from pocketcxr.domain.errors import PocketCxrError, UsageError

API_PATH = "/v1"

_LAST_ANSWERS_S = 10
"""How long files under way may take once the server is told to end."""
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that mean every network of this machine, and where this machine itself finds such a server."""


@dataclass(frozen=True)
class Listening:
    """A bound socket: whoever connects waits there until the server runs."""

    socket: socket.socket
    url: str
    """Where this machine finds it; ends in a slash."""


@dataclass(frozen=True, eq=False)
class Running:
    """What the server runs, and what runs as long as it does."""

    app: ASGIApp
    beside: AbstractAsyncContextManager[None]
    """Entered before the first request is answered and left after the last."""
    on_ready: Callable[[], None]
    has_api: bool = False
    """Then the end waits for every request that was accepted; the API bounds each of its waits."""


def create_app(site: Site, hosts: AllowedHosts, api: ASGIApp | None = None) -> ASGIApp:
    """The site as one ASGI app, with `api` under API_PATH. It takes no lifespan events: see Running.beside."""
    files = files_app(site)
    if api is None:
        return guarded(files, hosts)
    return guarded(Router([Mount(API_PATH, app=api), Mount("", app=files)]), hosts)


@contextmanager
def listen(host: str, port: int) -> Iterator[Listening]:
    """A socket on `port` of `host`, closed at the end; port 0: a free one.

    Raises UsageError where the host is none of this machine, PocketCxrError where the port cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.create_server(address[:2], family=family)
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(
            f"--host {host} is not known ({error}); use 127.0.0.1 or an address of this machine"
        ) from error
    except OSError as error:
        raise _explained(error, host, port) from error
    name = _ANYWHERE.get(host, host)
    shown = f"[{name}]" if ":" in name else name
    with bound:
        yield Listening(bound, f"http://{shown}:{bound.getsockname()[1]}/")


def _explained(error: OSError, host: str, port: int) -> PocketCxrError:
    if error.errno == errno.EADDRINUSE:
        return PocketCxrError(
            f"port {port} of {host} is in use by another program; end that, or take a free port with --port 0"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"--host {host} is no address of this machine; use 127.0.0.1, or 0.0.0.0 for all of them")
    if error.errno == errno.EACCES:
        return PocketCxrError(f"port {port} of {host} is reserved for the system; take one above 1023, or --port 0")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return PocketCxrError(f"port {port} of {host} cannot be opened ({reason}); try --port 0")


def serve(running: Running, listening: Listening) -> None:
    """Answers requests until SIGINT or SIGTERM; then ends those under way and returns."""
    config = uvicorn.Config(
        running.app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,  # warnings and errors reach stderr; requests are not written down
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=None if running.has_api else _LAST_ANSWERS_S,
    )
    server = uvicorn.Server(config)
    with _ends_on_signals(server):
        asyncio.run(_serve(server, running, listening))


async def _serve(server: uvicorn.Server, running: Running, listening: Listening) -> None:
    async with running.beside:
        if not server.should_exit:
            running.on_ready()
            await server.serve([listening.socket])


@contextmanager
def _ends_on_signals(server: uvicorn.Server) -> Iterator[None]:
    """A signal ends the server as a person wants it to, also while the API starts.

    uvicorn has handlers of its own while it serves, and raises the signal again afterwards: here that does nothing.
    """

    def end(_signal: int, _frame: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
