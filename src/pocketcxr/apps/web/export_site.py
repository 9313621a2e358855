"""The site as a folder that any web server can hand out, with the headers it should set and the sum of every file."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from pocketcxr.apps.web.compression import SUFFIXES
from pocketcxr.apps.web.security import BUNDLE_HEADERS, COMMON_HEADERS, PAGE_HEADERS
from pocketcxr.apps.web.site import BUNDLE_FOLDER, INDEX, SERVICE_WORKER, Site
from pocketcxr.domain.errors import PocketCxrError, UsageError
from pocketcxr.runtime.bundle import sha256
from pocketcxr.runtime.card import NOTICE

SUMS = "SHA256SUMS"
"""Every other file of an export, as sha256sum writes it; a folder that holds what it lists and no more is an export."""
READ_ME = "README.txt"
HOST_HEADERS = "_headers"
"""Read by several hosts of static sites."""
_ALWAYS_ASK = {"Cache-Control": "no-cache"}
_WITH_POLICY = ("", INDEX, "main.js", "worker.js", SERVICE_WORKER, "ort-wasm-simd-threaded.mjs")
"""The page, and whatever starts a worker."""


def export_site(site: Site, folder: Path) -> None:
    """Writes the site to `folder`: all of it or nothing. An earlier export there is replaced.

    Raises UsageError when `folder` holds anything else, PocketCxrError when it cannot be written.
    """
    target = folder.resolve()
    _check_replaceable(folder, target)
    files = _files_to_write(site)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as room:
            made = Path(room) / "made"
            _write(files, made)
            _put(made, target, Path(room) / "replaced")
    except OSError as error:
        raise PocketCxrError(
            f"{folder} cannot be written ({error.strerror or error}); name another folder or make room"
        ) from error


def _check_replaceable(folder: Path, target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError(f"--export {folder} is a file; name a folder that is new or empty")
    found = {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()}
    strange = sorted(found - _listed(target))
    if strange:
        raise UsageError(f"--export {folder} holds {strange[0]}, which no export wrote; name a new or empty folder")


def _listed(target: Path) -> set[str]:
    """What the export in `target` consists of; nothing where there is none."""
    try:
        lines = (target / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    return {SUMS, *(line[66:] for line in lines)}


def _files_to_write(site: Site) -> dict[str, bytes]:
    files = {name: file.content for name, file in site.files.items()}
    for name, file in site.files.items():
        # The bundle's folder stays a bundle: predict refuses one with additional files.
        if not name.startswith(BUNDLE_FOLDER):
            files |= {name + SUFFIXES[encoding]: content for encoding, content in file.encoded.items()}
    files[READ_ME] = _read_me(site).encode()
    files[HOST_HEADERS] = _host_headers().encode()
    sums = "".join(f"{sha256(content)}  {name}\n" for name, content in sorted(files.items()))
    return {**files, SUMS: sums.encode()}


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _put(made: Path, target: Path, replaced: Path) -> None:
    """`made` in the place of `target`, which goes to `replaced`, or stays when that fails."""
    if not target.exists():
        made.rename(target)
        return
    target.rename(replaced)
    try:
        made.rename(target)
    except OSError:
        replaced.rename(target)
        raise


def _host_headers() -> str:
    """The headers as Netlify, Cloudflare Pages and others read them from a file named _headers.

    Such hosts add up what several patterns say, and browsers keep to every policy: so no policy stands under /*, where
    that of the page would join that of the bundle. A worker keeps to the policy of its own script.
    """
    blocks = [_block("/*", {**COMMON_HEADERS, **_ALWAYS_ASK}), _block(f"/{BUNDLE_FOLDER}*", BUNDLE_HEADERS)]
    return "".join([*blocks, *(_block(f"/{name}", PAGE_HEADERS) for name in _WITH_POLICY)])


def _block(pattern: str, headers: Mapping[str, str]) -> str:
    return "".join([f"{pattern}\n", *(f"  {name}: {value}\n" for name, value in headers.items())])


def _read_me(site: Site) -> str:
    return f"""\
{site.bundle_name}: a page that scores chest X-rays in the browser
{NOTICE}

Put this folder on any web server, also into a subfolder. Browsers run it over https, or over http from localhost.
X-rays that are dropped on the page never leave the machine it is shown on: nothing is sent to the server.

Try it here:  python3 -m http.server --bind 127.0.0.1
Check it:     sha256sum --check {SUMS}
Bundle:       {site.bundle_digest}
              (SHA-256 of its card), build {site.precision}

Headers
-------
The page works without these headers, on one thread. With them it uses several, and browsers enforce more.
{HOST_HEADERS} says the same to hosts that read such a file at their root.

{_block("All files:", {**COMMON_HEADERS, **_ALWAYS_ASK})}
{_block(f"All but {BUNDLE_FOLDER}, also:", PAGE_HEADERS)}
{_block(f"{BUNDLE_FOLDER}, which may come from somewhere else, also:", BUNDLE_HEADERS)}
Files that end in .br and .gz are the same files compressed, for servers that hand them out as Content-Encoding
(nginx: brotli_static, gzip_static; Caddy: precompressed). The types .wasm application/wasm, .mjs text/javascript and
.webmanifest application/manifest+json must be known to the server.
"""
