"""The JSON API for programs: a file's bytes in, scores out; to be mounted at /v1.

A program that mounts it enters `running` around its own life: a mounted application's lifespan is not entered for it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.routing import APIRoute

from pocketcxr.apps.web.api_answer import MADE_BY, bundle_facts
from pocketcxr.apps.web.api_body import MEDIA_TYPES, check_headers, read_body
from pocketcxr.apps.web.api_models import Health, PredictAnswer, PredictQuery
from pocketcxr.apps.web.api_problems import (
    NO_STORE,
    ProblemCode,
    RequestProblemError,
    add_handlers,
    documented,
    refusal_response,
)
from pocketcxr.apps.web.api_queue import ApiSettings, Scoring
from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.card import CARD, NOTICE, Card
from pocketcxr.runtime.session import open_engine

PREFIX = "/v1"
"""Where it is to be mounted."""
_DESCRIPTION = (
    f"{NOTICE} Scores one chest X-ray a request: PNG, JPEG or DICOM. Files are decoded in processes of their own, "
    "within limits of memory and time, and never written to disk (Linux)."
)
_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file itself. What it is, its first bytes say.",
        "content": {name: {"schema": {"type": "string", "format": "binary"}} for name in MEDIA_TYPES},
    }
}
_CARD: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "card.json byte for byte, so that its SHA-256 can be compared; card.schema.json describes it.",
        "content": {"application/json": {"schema": {"type": "object", "required": ["schema_version", "findings"]}}},
    }
}


def build_api(bundle: Bundle, settings: ApiSettings | None = None) -> FastAPI:
    """The API of this bundle. Raises BundleError when onnxruntime cannot load it."""
    settings = settings or ApiSettings()
    scoring = Scoring(open_engine(bundle, settings.threads), settings)
    api = _empty_api(scoring)

    @api.post("/predict", responses={200: {"model": PredictAnswer}, **_PROBLEMS}, openapi_extra=_UPLOAD)
    async def predict(request: Request, query: Annotated[PredictQuery, Query()]) -> Response:
        """Scores one X-ray, or says why not: nothing that was refused has a score."""
        check_headers(request, settings.max_body_bytes)
        _check_operating_point(bundle.card, query.operating_point)
        with scoring.slot():
            data = await read_body(request, settings.max_body_bytes, settings.upload_seconds)
            scores = await scoring.scores(data, query, _left(request))
        if isinstance(scores, Refusal):
            return refusal_response(scores)
        return Response(scores, headers=NO_STORE, media_type="application/json")

    @api.get("/card", responses=_CARD)
    async def card() -> Response:
        """What the model is, what it may be used for, how good it was."""
        return Response(bundle.files[CARD], headers={"ETag": f'"{bundle.digest}"'}, media_type="application/json")

    @api.get("/health", responses={200: {"model": Health}})
    async def health() -> Response:
        """That the server lives, how busy it is and with which model."""
        state = Health(
            is_accepting=scoring.is_accepting,
            in_flight=scoring.in_flight,
            queued=scoring.queued,
            capacity=settings.capacity,
            workers=settings.workers,
            bundle=bundle_facts(bundle),
            made_by=MADE_BY,
        )
        return Response(state.model_dump_json(), headers=NO_STORE, media_type="application/json")

    return api


@asynccontextmanager
async def running(api: FastAPI) -> AsyncIterator[None]:
    """The API of build_api takes requests inside; the end waits until those accepted are answered.

    Raises PocketCxrError when its decoding processes cannot be started.
    """
    async with api.router.lifespan_context(api):
        yield


_PROBLEMS = documented(400, 408, 413, 415, 422, 429, 500, 503)


def _empty_api(scoring: Scoring) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with scoring.running():
            yield

    api = FastAPI(
        title="pocketcxr",
        version="1",
        description=_DESCRIPTION,
        servers=[{"url": PREFIX}],
        root_path_in_servers=False,
        openapi_url="/openapi.json",
        # These pages load scripts from other sites.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=_name,
    )
    add_handlers(api)
    return api


def _name(route: APIRoute) -> str:
    return route.name


def _check_operating_point(card: Card, name: str | None) -> None:
    if name is not None and name not in card.criteria:
        error = UnknownNameError.of("operating point", name, card.criteria)
        raise RequestProblemError(ProblemCode.BAD_REQUEST, str(error))


async def _left(request: Request) -> None:
    """Returns when the client is gone; to be awaited after the body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
