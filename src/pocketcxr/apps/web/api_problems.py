"""Everything that is no answer, as problem documents (RFC 9457) with a stable code."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pocketcxr.apps.web.api_models import REFUSAL_CODES, Problem
from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.domain.prediction import Refusal

MEDIA_TYPE = "application/problem+json"
NO_STORE = {"Cache-Control": "no-store"}
_REFUSED = 422


class ProblemCode(StrEnum):
    """Why a request has no answer, where the file itself is not the reason. The value is stable."""

    BAD_REQUEST = "bad-request"
    NO_SUCH_PATH = "no-such-path"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    UPLOAD_TIMED_OUT = "upload-timed-out"
    BODY_TOO_LARGE = "body-too-large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    TOO_MANY_REQUESTS = "too-many-requests"
    INTERNAL_ERROR = "internal-error"
    UNAVAILABLE = "unavailable"


_STATUS = {
    ProblemCode.BAD_REQUEST: 400,
    ProblemCode.NO_SUCH_PATH: 404,
    ProblemCode.METHOD_NOT_ALLOWED: 405,
    ProblemCode.UPLOAD_TIMED_OUT: 408,
    ProblemCode.BODY_TOO_LARGE: 413,
    ProblemCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ProblemCode.TOO_MANY_REQUESTS: 429,
    ProblemCode.INTERNAL_ERROR: 500,
    ProblemCode.UNAVAILABLE: 503,
}
_CODES = {status: code for code, status in _STATUS.items()}
_TITLES = {
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
"""RFC 9110 section 15: for about:blank the title is the status's own phrase."""
_MEANINGS = {
    400: "The query, or how the request is written, is wrong.",
    408: "The body did not arrive in time.",
    413: "The body is larger than this server takes.",
    415: "The body is of another media type, or compressed.",
    422: "The file was refused: `code` says why. It has no scores, and sending it again gives the same answer.",
    429: "As many requests are in flight as the server takes: send it again after `Retry-After` seconds.",
    500: "A fault of the server.",
    503: "The server is starting or shutting down: send it again after `Retry-After` seconds.",
}
_WITH_RETRY_AFTER = frozenset({429, 503})
RETRY_AFTER_SECONDS = 1


class RequestProblemError(PocketCxrError):
    """A request has no answer; `code` says why."""

    def __init__(self, code: ProblemCode, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.headers = headers


def refusal_response(refusal: Refusal) -> Response:
    """Why the file has no scores."""
    return _response(_REFUSED, refusal.code.value, refusal.message)


def problem_response(problem: RequestProblemError) -> Response:
    """Why the request has no answer."""
    return _response(_STATUS[problem.code], problem.code.value, str(problem), problem.headers)


def add_handlers(api: FastAPI) -> None:
    """Makes problem documents of all that is raised while a request is answered."""

    @api.exception_handler(RequestProblemError)
    async def _problem(_: Request, error: RequestProblemError) -> Response:
        return problem_response(error)

    @api.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = " ".join(str(part) for part in first["loc"][:2])
        what = first["msg"].removeprefix("Value error, ")
        message = f"{place}: {what}; the API's document (openapi.json) lists what may be asked"
        return problem_response(RequestProblemError(ProblemCode.BAD_REQUEST, message))

    @api.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, ProblemCode.BAD_REQUEST)
        message = f"{request.method}: {error.detail}; the API's document (openapi.json) lists what there is"
        return problem_response(RequestProblemError(code, message, error.headers))

    @api.exception_handler(ClientDisconnect)
    async def _gone(_: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody is left to read it

    @api.exception_handler(Exception)
    async def _fault(_: Request, _error: Exception) -> Response:
        message = "the server failed in an unforeseen way; its log says more - report this"
        return problem_response(RequestProblemError(ProblemCode.INTERNAL_ERROR, message))


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of these statuses as OpenAPI describes responses, each with the codes it may have."""
    return {status: _documented(status) for status in statuses}


def _documented(status: int) -> dict[str, Any]:
    schema = Problem.model_json_schema(mode="serialization")
    codes = list(REFUSAL_CODES) if status == _REFUSED else [_CODES[status].value]
    schema["properties"]["status"]["const"] = status
    schema["properties"]["code"]["enum"] = codes
    described: dict[str, Any] = {"description": _MEANINGS[status], "content": {MEDIA_TYPE: {"schema": schema}}}
    if status in _WITH_RETRY_AFTER:
        described["headers"] = {
            "Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 1}}
        }
    return described


def _response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    problem = Problem(title=_TITLES[status], status=status, code=code, message=message, detail=message)
    extra = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status in _WITH_RETRY_AFTER else {}
    return Response(
        problem.model_dump_json(),
        status,
        headers={**NO_STORE, **extra, **(headers or {})},
        media_type=MEDIA_TYPE,
    )
