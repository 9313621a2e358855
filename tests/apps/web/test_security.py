"""Who may ask, and what every answer tells the browser."""

import asyncio
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from pocketcxr.apps.web.security import BUNDLE_POLICY, PAGE_POLICY, allowed_hosts, guarded, is_loopback
from pocketcxr.apps.web.server import create_app
from pocketcxr.apps.web.site import make_site
from pocketcxr.runtime.bundle import Bundle

Ask = Callable[..., Any]
LOOPBACK = allowed_hosts("127.0.0.1")


@pytest.fixture(scope="module")
def app(opened: Bundle, page_folder: Path) -> ASGIApp:
    async def api(scope: Scope, receive: Receive, send: Send) -> None:
        message: MutableMapping[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
        await send(message)
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    return create_app(make_site(opened, "fp32", page_folder), LOOPBACK, api)


@pytest.mark.parametrize(
    ("path", "method"), [("/", "GET"), ("/none", "GET"), ("/", "DELETE"), ("/v1/predict", "POST"), ("/v2", "GET")]
)
def test_every_answer_carries_the_headers(app: ASGIApp, ask: Ask, path: str, method: str) -> None:
    headers = ask(app, path, method).headers
    assert headers["content-security-policy"] == PAGE_POLICY
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "camera=()" in headers["permissions-policy"]
    assert headers["cache-control"] == ("no-cache" if (path, method) == ("/", "GET") else "no-store")
    assert not {"server", "set-cookie", "access-control-allow-origin"} & set(headers)


def test_the_policy_lets_nothing_inline_run_and_nothing_go_elsewhere() -> None:
    rules = dict(rule.split(" ", 1) for rule in PAGE_POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert not {"'unsafe-inline'", "'unsafe-eval'", "http:", "https:", "*"} & set(PAGE_POLICY.replace(";", "").split())
    assert rules["connect-src"] == rules["worker-src"] == "'self'"


def test_what_comes_with_a_bundle_may_not_run(app: ASGIApp, ask: Ask) -> None:
    headers = ask(app, "/bundle/model_card.html").headers
    assert headers["content-security-policy"] == BUNDLE_POLICY
    assert "sandbox" in BUNDLE_POLICY
    assert "script-src" not in BUNDLE_POLICY
    # A browser shows no sandboxed document that has an opener policy.
    assert "cross-origin-opener-policy" not in headers


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "LOCALHOST.", "127.0.0.1:1", "[::1]:8000", "[::1]"])
def test_the_own_names_are_answered(app: ASGIApp, ask: Ask, host: str) -> None:
    assert ask(app, "/", headers={"host": host}).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:8000", 421),
        ("192.168.0.9", 421),
        ("", 400),
        ("a@localhost", 400),
        ("localhost:port", 400),
        ("localhost/x", 400),
        ("[::1", 400),
    ],
)
def test_other_names_are_not(app: ASGIApp, ask: Ask, host: str, status: int) -> None:
    """A page of a stranger may point a name of its own at this machine: that is no reason to hand it anything."""
    answer = ask(app, "/", headers={"host": host})
    assert answer.status == status
    assert answer.headers["content-security-policy"] == PAGE_POLICY


def test_a_missing_host_is_refused(app: ASGIApp, ask: Ask) -> None:
    assert ask(app, "/", headers={}).status == 400


@given(host=st.from_regex(r"[a-z0-9.-]{1,30}", fullmatch=True))
def test_no_other_name_ever_passes(host: str) -> None:
    assert LOOPBACK.allow(host) == (host.removesuffix(".") in {"localhost", "127.0.0.1"})


def test_a_server_for_others_answers_to_addresses_and_to_names_that_a_person_gave() -> None:
    hosts = allowed_hosts("0.0.0.0", ["xray.example"])
    assert hosts.allow("192.168.0.9")
    assert hosts.allow("XRAY.example")
    assert not hosts.allow("evil.example")
    assert allowed_hosts("127.0.0.1", ["xray.example"]).allow("xray.example")


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)],
)
def test_loopback_is_known(host: str, is_own: bool) -> None:
    assert is_loopback(host) == is_own


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://localhost:8000", 200),
        ("https://localhost:8000", 200),
        ("http://localhost:3000", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_only_the_own_page_and_programs_may_send(app: ASGIApp, ask: Ask, origin: str | None, status: int) -> None:
    headers = {"host": "localhost:8000"} | ({} if origin is None else {"origin": origin})
    assert ask(app, "/v1/predict", "POST", headers).status == status


def test_the_api_gets_its_own_paths_and_no_others(app: ASGIApp, ask: Ask) -> None:
    assert ask(app, "/v1/predict", "POST").body.endswith(b"/predict")
    assert ask(app, "/v1x", "GET").status == 404
    assert ask(app, "/v1", "GET").status == 404


def test_what_is_no_request_passes_the_guard(app: ASGIApp) -> None:
    seen = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    asyncio.run(guarded(inner, LOOPBACK)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
