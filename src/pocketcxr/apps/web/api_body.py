"""An upload's bytes, read within limits of kind, size and time."""

import asyncio

from starlette.requests import Request

from pocketcxr.apps.web.api_problems import ProblemCode, RequestProblemError

MEDIA_TYPES = ("image/png", "image/jpeg", "application/dicom", "application/octet-stream")
"""What may be announced; what the file is, its first bytes say."""


def check_headers(request: Request, most_bytes: int) -> None:
    """Nothing, when the headers announce an upload that may be read. Raises RequestProblemError."""
    # A page of another site can send a body without a media type here, but none of these.
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise RequestProblemError(
            ProblemCode.UNSUPPORTED_MEDIA_TYPE,
            f"media type {media_type or 'missing'}; send the file itself, with a Content-Type of "
            f"{', '.join(MEDIA_TYPES)}",
            {"Accept": ", ".join(MEDIA_TYPES)},
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise RequestProblemError(
            ProblemCode.UNSUPPORTED_MEDIA_TYPE,
            f"content encoding {encoding} is not read; send the file as it is",
            {"Accept-Encoding": "identity"},
        )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > most_bytes):
        raise _too_large(most_bytes)


async def read_body(request: Request, most_bytes: int, seconds: float) -> bytearray:
    """The whole body. Raises RequestProblemError, or ClientDisconnect when it ends too early."""
    data = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                if len(data) + len(chunk) > most_bytes:
                    raise _too_large(most_bytes)
                data += chunk
    except TimeoutError as error:
        raise RequestProblemError(
            ProblemCode.UPLOAD_TIMED_OUT,
            f"the body did not arrive within {seconds:g} s; send it again over a faster line",
            {"Connection": "close"},
        ) from error
    return data


def _too_large(most_bytes: int) -> RequestProblemError:
    return RequestProblemError(
        ProblemCode.BODY_TOO_LARGE, f"the body has more than {most_bytes:,} bytes - send the image alone"
    )
