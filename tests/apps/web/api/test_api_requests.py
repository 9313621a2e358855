"""What is no proper request is said to be so, in one shape; and what the API says of itself."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pocketcxr.apps.web.api import build_api
from pocketcxr.apps.web.api_models import Health, Problem
from pocketcxr.apps.web.api_problems import ProblemCode
from pocketcxr.domain.errors import RefusalCode
from pocketcxr.runtime.bundle import Bundle

DOCUMENT = Path(__file__).parents[4] / "docs" / "reference" / "openapi.json"
PAGE = DOCUMENT.with_name("api.md")
PNG = {"Content-Type": "image/png"}

BAD = {
    "unknown parameter": ("POST", "/predict?heatmap=png", PNG, 400),
    "unknown form of heatmaps": ("POST", "/predict?heatmaps=jpeg", PNG, 400),
    "a gate that is asked by number": ("POST", "/predict?input_gate=1", PNG, 400),
    "no finding": ("POST", "/predict?top=0", PNG, 400),
    "half a finding": ("POST", "/predict?top=1.0", PNG, 400),
    "too many findings": ("POST", "/predict?top=1001", PNG, 400),
    "a number of thousands of digits": ("POST", "/predict?top=" + "9" * 5000, PNG, 400),
    "no media type": ("POST", "/predict", {"Content-Type": ""}, 415),
    "a form": ("POST", "/predict", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
    "JSON": ("POST", "/predict", {"Content-Type": "application/json"}, 415),
    "a compressed body": ("POST", "/predict", {**PNG, "Content-Encoding": "gzip"}, 415),
    "too long": ("POST", "/predict", {**PNG, "Content-Length": str((1 << 20) + 1)}, 413),
    "far too long": ("POST", "/predict", {**PNG, "Content-Length": "9" * 5000}, 413),
    "no such path": ("GET", "/models", {}, 404),
    "another method": ("GET", "/predict", {}, 405),
    "another method of the card": ("DELETE", "/card", {}, 405),
}


@pytest.mark.parametrize(("method", "path", "headers", "status"), BAD.values(), ids=BAD.keys())
def test_bad_requests_get_one_documented_shape(
    method: str, path: str, headers: dict[str, str], status: int, client: TestClient, png: bytes
) -> None:
    answer = client.request(method, path, headers=headers, content=png if method == "POST" else None)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(answer.content, strict=True)
    assert problem.status == status
    assert problem.code in set(ProblemCode)
    assert problem.message == problem.detail != ""
    assert set(answer.json()) == {"type", "title", "status", "code", "message", "detail"}


def test_who_sends_the_wrong_kind_is_told_the_right_ones(client: TestClient, png: bytes) -> None:
    form = client.post("/predict", content=png, headers={"Content-Type": "text/plain"})
    assert "application/dicom" in form.headers["accept"]
    compressed = client.post("/predict", content=png, headers={**PNG, "Content-Encoding": "br"})
    assert compressed.headers["accept-encoding"] == "identity"
    assert client.get("/predict").headers["allow"] == "POST"


@pytest.mark.parametrize("header", ["IMAGE/PNG", "image/png; charset=binary", " application/dicom"])
def test_media_types_are_read_as_http_says(header: str, client: TestClient, png: bytes) -> None:
    answer = client.post("/predict?input_gate=false", content=png, headers={"Content-Type": header})
    assert answer.status_code == 200


def test_codes_of_requests_and_of_files_are_told_apart() -> None:
    assert not set(ProblemCode) & set(RefusalCode)


def test_a_fault_is_no_more_than_that(api: FastAPI, bundle: Bundle, png: bytes) -> None:
    """An API that nobody runs does not score; a fault inside does not speak of the inside."""
    with_fault = build_api(bundle)

    @with_fault.get("/fault")
    async def fault() -> None:
        raise ZeroDivisionError("/root/secret")

    client = TestClient(with_fault, raise_server_exceptions=False)
    answer = client.get("/fault")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "secret" not in answer.text
    stopped = client.post("/predict", content=png, headers=PNG)
    assert (stopped.status_code, stopped.json()["code"]) == (503, "unavailable")
    assert int(stopped.headers["retry-after"]) >= 1
    assert client.get("/health").json()["is_accepting"] is False


def test_the_card_is_the_bundles_own(client: TestClient, bundle: Bundle) -> None:
    answer = client.get("/card")
    assert hashlib.sha256(answer.content).hexdigest() == bundle.digest
    assert answer.json()["name"] == bundle.card.name


def test_health_tells_the_model_and_the_load(client: TestClient, bundle: Bundle) -> None:
    health = Health.model_validate_json(client.get("/health").content)
    assert health.is_accepting
    assert health.bundle.sha256 == bundle.digest
    assert (health.in_flight, health.queued, health.workers, health.capacity) == (0, 0, 1, 17)


def test_nothing_scored_is_kept_by_caches(client: TestClient, png: bytes) -> None:
    assert client.post("/predict", content=png, headers=PNG).headers["cache-control"] == "no-store"
    scored = client.post("/predict?input_gate=false", content=png, headers=PNG)
    assert scored.headers["cache-control"] == "no-store"


def test_the_committed_document_is_that_of_the_program(client: TestClient) -> None:
    """To renew it: python -m pytest with this test names the difference; the text is json.dumps(..., indent=2)."""
    assert json.loads(DOCUMENT.read_text()) == client.get("/openapi.json").json()


def _codes(responses: dict[str, Any], status: str) -> set[str]:
    schema = responses[status]["content"]["application/problem+json"]["schema"]
    return set(schema["properties"]["code"]["enum"])


def test_the_document_lists_every_code() -> None:
    responses = json.loads(DOCUMENT.read_text())["paths"]["/predict"]["post"]["responses"]
    assert set(responses) == {"200", "400", "408", "413", "415", "422", "429", "500", "503"}
    assert _codes(responses, "422") == {code.value for code in RefusalCode}
    codes = set.union(*(_codes(responses, status) for status in responses if status != "200"))
    unlisted = set(ProblemCode) - {ProblemCode.NO_SUCH_PATH, ProblemCode.METHOD_NOT_ALLOWED}
    assert unlisted <= codes


def test_the_page_lists_every_code_and_status() -> None:
    page = PAGE.read_text()
    for code in ProblemCode:
        assert f"`{code.value}`" in page
    for status in re.findall(r'"(\d{3})":', DOCUMENT.read_text()):
        assert f"| {status} |" in page
