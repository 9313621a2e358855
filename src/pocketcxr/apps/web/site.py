"""The site in memory: the built page, the bundle's files, and the two lists that tie them together.

Every file has one exact name. Nothing is looked up on the disk when a request comes, so no name can lead there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pocketcxr._version import __version__
from pocketcxr.apps.web.compression import SUFFIXES, Encoding, gzipped
from pocketcxr.apps.web.media_types import bundle_type, page_type
from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.runtime.bundle import Bundle, sha256
from pocketcxr.runtime.card import CARD, GOLDEN_FOLDER, PREPROCESS, SEAL
from pocketcxr.runtime.card_gate import Precision
from pocketcxr.runtime.input_gate import GATE

INSTALLED_PAGE = Path(__file__).parent / "site"
"""Where page/build.mjs writes, and where a wheel has it."""
INDEX = "index.html"
SERVICE_WORKER = "service-worker.js"
BUNDLE_FOLDER = "bundle/"
SITE = "site.json"
PRECACHE = "precache.json"
"""What a browser keeps to work without a network."""
MODEL_CARD = "model_card.html"

_NEEDED = (INDEX, "main.js", "worker.js", "style.css", SERVICE_WORKER)
_PAGE_MADE_OF = "the page comes ready in pocketcxr's wheel; in a checkout: cd page && npm ci && npm run build"


@dataclass(frozen=True, eq=False)
class SiteFile:
    """One file and what a browser is told about it."""

    content: bytes
    media_type: str
    encoded: Mapping[Encoding, bytes] = field(default_factory=dict)
    """Its compressed forms, in order of preference."""


@dataclass(frozen=True, eq=False)
class Site:
    """Everything that is served or exported, by its path relative to index.html."""

    files: Mapping[str, SiteFile]
    bundle_name: str
    bundle_digest: str
    precision: Precision


def make_site(bundle: Bundle, precision: Precision, page: Path = INSTALLED_PAGE) -> Site:
    """The built page of the folder `page` around `bundle`. Raises PocketCxrError where there is no such page."""
    files = read_page(page)
    for name, content in bundle.files.items():
        encoded = {} if name.startswith(GOLDEN_FOLDER) else gzipped(content)
        files[BUNDLE_FOLDER + name] = SiteFile(content, bundle_type(name), encoded)
    facts = {"bundle": BUNDLE_FOLDER, "precision": precision, "madeBy": f"pocketcxr {__version__}"}
    files[SITE] = _json_file(facts)
    files[PRECACHE] = _json_file(_precache(files, _read_by_the_page(bundle, precision)))
    return Site(files, bundle.card.name, bundle.digest, precision)


def read_page(folder: Path) -> dict[str, SiteFile]:
    """The page's files by their names, each with its compressed forms. Raises PocketCxrError where one is missing."""
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise PocketCxrError(f"the page is not built: {folder} has no {missing[0]}; {_PAGE_MADE_OF}")
    try:
        contents = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    except OSError as error:
        raise PocketCxrError(f"{folder} cannot be read ({error.strerror or error}); {_PAGE_MADE_OF}") from error
    return {
        name: SiteFile(content, page_type(name), _compressed(name, contents))
        for name, content in contents.items()
        if not _is_compressed(name, contents)
    }


def _is_compressed(name: str, contents: Mapping[str, bytes]) -> bool:
    return any(name.endswith(suffix) and name.removesuffix(suffix) in contents for suffix in SUFFIXES.values())


def _compressed(name: str, contents: Mapping[str, bytes]) -> Mapping[Encoding, bytes]:
    return {encoding: contents[name + suffix] for encoding, suffix in SUFFIXES.items() if name + suffix in contents}


def _read_by_the_page(bundle: Bundle, precision: Precision) -> list[str]:
    """The bundle's files that scoring in a browser needs, and its card for people."""
    model = bundle.card.builds.all[precision].file
    names = (CARD, SEAL, PREPROCESS, model, GATE, MODEL_CARD)
    return [name for name in names if name in bundle.files]


def _precache(files: Mapping[str, SiteFile], bundle_names: list[str]) -> dict[str, object]:
    """Every file the page may ask for, with its digest. The version changes when any byte of the site does."""
    wanted = {BUNDLE_FOLDER + name for name in bundle_names}
    digests = {
        name: sha256(file.content)
        for name, file in sorted(files.items())
        if name in wanted or not name.startswith(BUNDLE_FOLDER)
    }
    version = sha256("".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode())
    # The browser itself fetches the service worker; a copy kept by that worker would never be replaced.
    listed = [{"url": name, "sha256": digest} for name, digest in digests.items() if name != SERVICE_WORKER]
    return {"version": version, "files": listed}


def _json_file(data: Mapping[str, object]) -> SiteFile:
    content = (json.dumps(data, indent=1) + "\n").encode()
    return SiteFile(content, page_type(SITE), gzipped(content))
