"""The API keeps what its OpenAPI document says, for requests made up from the document, right and wrong ones."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from .conftest import Server

DOCUMENT = Path(__file__).parents[4] / "docs" / "reference" / "openapi.json"
CONFIG = schemathesis.Config.from_dict(
    {
        "checks": {
            # The document cannot say which bytes are an X-ray (422), nor which operating points the bundle has (400).
            "positive_data_acceptance": {"expected-statuses": ["200", "400", "422"]},
        }
    }
)


@schemathesis.serializer("application/dicom")
def _as_it_is(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


schema = schemathesis.openapi.from_path(DOCUMENT, config=CONFIG)


@pytest.fixture(scope="module")
def server(serve: Callable[[dict[str, Any]], Any]) -> Iterator[Server]:
    with serve({"workers": 1}) as server:
        yield server


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_document_is_kept(case: schemathesis.Case, server: Server) -> None:
    case.call_and_validate(base_url=f"http://127.0.0.1:{server.port}/v1")
