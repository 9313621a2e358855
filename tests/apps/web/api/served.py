"""A program that serves the API of a bundle at /v1, as `pocketcxr serve` mounts it: served.py BUNDLE SETTINGS."""

import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from pocketcxr.apps.web.api import PREFIX, build_api, running
from pocketcxr.apps.web.api_queue import ApiSettings
from pocketcxr.runtime.bulk_worker import Limits
from pocketcxr.runtime.bundle import open_bundle


def main() -> None:
    """Serves until SIGTERM or SIGINT; prints the port first."""
    settings = json.loads(sys.argv[2])
    limits = Limits(**settings.pop("limits", {}))
    api = build_api(open_bundle(Path(sys.argv[1])), ApiSettings(**settings, limits=limits))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with running(api):
            yield

    outer = Starlette(routes=[Mount(PREFIX, api)], lifespan=lifespan)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        # uvicorn raises the signal again once everything is answered: that is no failure here.
        signal.signal(signal.SIGTERM, lambda *_: None)
        server = uvicorn.Server(uvicorn.Config(outer, log_level="warning", access_log=False))
        print(listening.getsockname()[1], flush=True)
        server.run(sockets=[listening])


if __name__ == "__main__":
    main()
