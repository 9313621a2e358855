"""The site's files over HTTP, in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from pocketcxr.apps.web.files import files_app
from pocketcxr.apps.web.site import Site, make_site
from pocketcxr.runtime.bundle import Bundle, sha256

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def site(opened: Bundle, page_folder: Path) -> Site:
    return make_site(opened, "fp32", page_folder)


@pytest.fixture(scope="module")
def app(site: Site) -> ASGIApp:
    return files_app(site)


def test_every_file_is_sent_as_it_is_with_its_digest_as_tag(app: ASGIApp, ask: Ask, site: Site) -> None:
    for name, file in site.files.items():
        answer = ask(app, f"/{name}", headers={})
        assert answer.status == 200
        assert answer.body == file.content
        assert answer.headers["etag"] == f'"{sha256(file.content)}"'
        assert answer.headers["content-type"] == file.media_type
        assert answer.headers["content-length"] == str(len(file.content))
        assert answer.headers["cache-control"] == "no-cache"
        assert "content-encoding" not in answer.headers
    assert ask(app, "/", headers={}).body == site.files["index.html"].content


def test_compressed_forms_have_tags_of_their_own(app: ASGIApp, ask: Ask) -> None:
    plain = ask(app, "/index.html", headers={})
    for accepted, body in (("gzip, br", b"brotli"), ("gzip", b"gzip")):
        answer = ask(app, "/index.html", headers={"accept-encoding": accepted})
        assert answer.body == body
        assert answer.headers["content-encoding"] == {b"brotli": "br", b"gzip": "gzip"}[body]
        assert answer.headers["content-type"] == plain.headers["content-type"]
        assert answer.headers["etag"] != plain.headers["etag"]
        assert answer.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("pattern", ["{}", "W/{}", '"other", {}', "*"])
def test_what_the_browser_holds_is_not_sent_again(app: ASGIApp, ask: Ask, pattern: str) -> None:
    for accepted in ({}, {"accept-encoding": "br"}):
        tag = ask(app, "/index.html", headers=accepted).headers["etag"]
        answer = ask(app, "/index.html", headers=accepted | {"if-none-match": pattern.format(tag)})
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"] == tag
        assert answer.headers["vary"] == "Accept-Encoding"


def test_a_form_that_the_browser_does_not_hold_is_sent(app: ASGIApp, ask: Ask) -> None:
    plain = ask(app, "/index.html", headers={}).headers["etag"]
    for tag in (plain, '"other"', plain.strip('"'), ""):
        headers = {"if-none-match": tag, "accept-encoding": "br"}
        assert ask(app, "/index.html", headers=headers).body == b"brotli"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_files_can_only_be_read(app: ASGIApp, ask: Ask, method: str) -> None:
    answer = ask(app, "/index.html", method, headers={})
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path",
    [
        *("", "//", "//index.html", "/index.html/", "/./index.html", "/icons/../index.html", "/../../etc/passwd"),
        *("/bundle", "/bundle/", "/bundle\\card.json", "/icons", "/INDEX.html", "/index.html\0", "/index.html.br"),
        "/%2e%2e/etc/passwd",
    ],
)
def test_names_are_exact(app: ASGIApp, ask: Ask, path: str) -> None:
    assert ask(app, path, headers={}).status == 404


@settings(deadline=None)
@given(path=st.lists(st.sampled_from(["/", "..", ".", "bundle", "card.json", "index.html", "etc", "%2e", "\\"])))
def test_no_path_leads_to_anything_but_the_sites_files(app: ASGIApp, ask: Ask, site: Site, path: list[str]) -> None:
    asked = "/" + "".join(path)
    answer = ask(app, asked, headers={})
    if asked != "/" and asked[1:] not in site.files:
        assert answer.status == 404
        assert answer.headers["content-type"].startswith("text/plain")
    else:
        assert answer.body == site.files[asked[1:] or "index.html"].content
