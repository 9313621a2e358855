"""Content types by the ending of a file's name. A literal table: what the system's registry says differs by machine."""

from pathlib import PurePosixPath

BYTES = "application/octet-stream"

_PAGE = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8",
}
# No script among them: a bundle comes from somewhere else, and the page's own policy would run what is one.
_BUNDLE = {
    ".html": _PAGE[".html"],
    ".json": _PAGE[".json"],
    ".md": _PAGE[".txt"],
    ".sha256": _PAGE[".txt"],
}


def page_type(name: str) -> str:
    """The content type of one of the page's own files."""
    return _PAGE.get(PurePosixPath(name).suffix, BYTES)


def bundle_type(name: str) -> str:
    """The content type of a bundle's file; bytes unless it is known and cannot run."""
    return _BUNDLE.get(PurePosixPath(name).suffix, BYTES)
