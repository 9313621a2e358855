"""pocketcxr serve: the page that runs a bundle in the browser, from this machine or as a folder for any web server."""

import json
import sys
import webbrowser
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.apps.cli.trusted_key import TrustedKey
from pocketcxr.domain.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from pocketcxr.apps.web.security import AllowedHosts
    from pocketcxr.apps.web.server import Running
    from pocketcxr.apps.web.site import Site
    from pocketcxr.runtime.bundle import Bundle
    from pocketcxr.runtime.card_gate import Precision


def serve(
    bundle: Annotated[Path, typer.Argument(help="A bundle: the --out of pocketcxr export.")],
    host: Annotated[str, typer.Option(help="Address or name to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
    precision: Annotated[
        str | None,
        typer.Option(metavar="fp32|fp16|int8", help="Build the page runs; fp16, else fp32, if not given."),
    ] = None,
    has_api: Annotated[
        bool, typer.Option("--api", help="Also answer programs: files in, JSON out, under /v1.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the site to this folder instead of serving it.")
    ] = None,
    opens_browser: Annotated[bool, typer.Option("--open", help="Show the page in this machine's browser.")] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another name under which browsers reach the server; may be repeated."),
    ] = None,
    is_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON with the address when ready.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A page built elsewhere, instead of the one that came along.")
    ] = None,
    trusted_key: TrustedKey = None,
) -> None:
    """Show a page that scores X-rays in the browser; they never leave it. Research use only. Not a medical device.

    Ctrl-C ends the server. --export FOLDER writes a site that needs no server of ours.
    """
    from pocketcxr.apps.web.precision import choose_precision
    from pocketcxr.apps.web.site import INSTALLED_PAGE, make_site
    from pocketcxr.runtime.bundle import open_bundle

    wanted = _precision(precision)
    _check_options(export, {"--api": has_api, "--open": opens_browser, "--json": is_json})
    opened = open_bundle(bundle, trusted_key)
    chosen = choose_precision(opened.card, wanted)
    site = make_site(opened, chosen, page or INSTALLED_PAGE)
    _say_what_it_is(opened, chosen)
    if export is not None:
        _export(site, export)
        return

    from pocketcxr.apps.web import server
    from pocketcxr.apps.web.security import allowed_hosts, is_loopback

    if not is_loopback(host):
        _warn_of_others(host)
    hosts = allowed_hosts(host, allowed_host or ())
    with server.listen(host, port) as listening:
        on_ready = partial(_announce, listening.url, is_json, opens_browser)
        server.serve(_running(site, opened if has_api else None, hosts, on_ready), listening)


def _precision(text: str | None) -> "Precision | None":
    from pocketcxr.runtime.card_gate import PRECISIONS

    if text is not None and text not in PRECISIONS:
        raise UnknownNameError.of("precision", text, PRECISIONS)
    return None if text is None else PRECISIONS[text]


def _check_options(export: Path | None, of_the_server: Mapping[str, bool]) -> None:
    unfit = [name for name, is_given in of_the_server.items() if is_given]
    if export is not None and unfit:
        raise UsageError(f"--export writes files and serves nothing, so {unfit[0]} has no meaning there; leave one out")


def _say_what_it_is(bundle: "Bundle", precision: "Precision") -> None:
    from pocketcxr.runtime.card import NOTICE

    console.say(f"{NOTICE} Bundle {bundle.card.name}, {precision}, SHA-256 {bundle.digest[:12]}...")
    if bundle.card.is_simulated:
        console.say(console.SIMULATED)


def _export(site: "Site", folder: Path) -> None:
    from pocketcxr.apps.web.export_site import READ_ME, export_site

    export_site(site, folder)
    console.say(f"site: {folder}")
    console.say(f"next: put the folder on a web server; {folder / READ_ME} says with which headers")


def _warn_of_others(host: str) -> None:
    console.say(
        f"warning: --host {host} lets other machines reach this server, without a password and unencrypted. Their "
        "browsers do not run the page over plain http: put a web server with https before it (docs/how-to/serve.md)"
    )


def _running(
    site: "Site", bundle_of_api: "Bundle | None", allowed_host: "AllowedHosts", on_ready: "Callable[[], None]"
) -> "Running":
    from contextlib import nullcontext

    from pocketcxr.apps.web.server import Running, create_app

    if bundle_of_api is None:
        return Running(create_app(site, allowed_host), nullcontext(), on_ready)
    from pocketcxr.apps.web.api import build_api, running

    api = build_api(bundle_of_api)
    return Running(create_app(site, allowed_host, api), running(api), on_ready, has_api=True)


def _announce(url: str, is_json: bool, opens_browser: bool) -> None:
    if is_json:
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
    console.say(f"ready: {url} (Ctrl-C ends it)")
    if opens_browser:
        Thread(target=_open, args=(url,), daemon=True).start()  # a browser in the terminal would hold the server up


def _open(url: str) -> None:
    if not webbrowser.open(url):
        console.say(f"no browser was found; open {url} yourself")
