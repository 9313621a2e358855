"""A bundle: a folder or one zip with preprocess.onnx, model.onnx, card.json and golden vectors, verified when opened.

The card holds the SHA-256 of every other file and card.sha256 that of the card: a changed, missing or additional file
is refused. This finds damage and mix-ups; who changes a file on purpose can change the hashes too, but not card.sig,
which is checked where a trusted key is given.
"""

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pocketcxr.domain.errors import BundleError
from pocketcxr.runtime.card import CARD, PREPROCESS, SEAL, SIGNATURE, Card, read_card
from pocketcxr.runtime.graphs import Interface, check_graph
from pocketcxr.runtime.signature import check_signature

MAX_BYTES = 1 << 30
"""Everything is read into memory; the largest net offered here has under 200 MB."""
MAX_FILES = 1000
_ZIP_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, IndexError),
    struct.error,
)
"""What zipfile raises on damage: its own error, unknown method, encryption flag, impossible offset, empty name."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle in memory."""

    path: str
    card: Card
    files: Mapping[str, bytes]
    """Every file by its path inside the bundle."""
    digest: str
    """SHA-256 of the card, which identifies the bundle."""


def open_bundle(path: Path, trusted_key: Path | None = None) -> Bundle:
    """The bundle at `path`, a folder or a zip. Raises BundleError when any byte of its files is not as packed.

    `trusted_key` is the PEM file of a public key: then it is also raised when the bundle is not signed by that key.
    """
    if not path.exists():
        raise BundleError(f"{path} does not exist; make a bundle with: pocketcxr export RUN --out {path}")
    try:
        files = _read_folder(path) if path.is_dir() else _read_zip(path)
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror or error}); check its permissions") from error
    for name in (CARD, SEAL):
        if name not in files:
            raise BundleError(
                f"{path} is not a bundle: it has no {name}; make one with: pocketcxr export RUN --out BUNDLE"
            )
    digest = sha256(files[CARD])
    if files[SEAL] != seal_bytes(digest):
        raise BundleError(
            f"{path}: {CARD} is not the one that was packed (it does not match {SEAL}); copy the bundle again"
        )
    if trusted_key is not None:
        check_signature(str(path), files[SEAL], files.get(SIGNATURE), trusted_key)
    card = read_card(files[CARD], str(path))
    _verify(path, card, files)
    _check_graphs(path, card, files)
    return Bundle(str(path), card, files, digest)


def sha256(data: bytes) -> str:
    """The SHA-256 of `data` in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def seal_bytes(digest: str) -> bytes:
    """What card.sha256 holds for a card with this digest."""
    return f"{digest}  {CARD}\n".encode()


def _check_graphs(path: Path, card: Card, files: Mapping[str, bytes]) -> None:
    size, num_findings = card.preprocess.size, len(card.findings)
    preprocess = Interface({"image": (None, None)}, {"images": (1, 1, size, size)})
    maps = (None, num_findings, card.net.heatmap_height, card.net.heatmap_width)
    model = Interface({"images": (None, 1, size, size)}, {"logits": (None, num_findings), "heatmaps": maps})
    check_graph(f"{path}: {PREPROCESS}", files[PREPROCESS], preprocess)
    for build in card.builds.all.values():
        check_graph(f"{path}: {build.file}", files[build.file], model)


def _verify(path: Path, card: Card, files: Mapping[str, bytes]) -> None:
    found = set(files) - {CARD, SEAL, SIGNATURE}
    for name in sorted(set(card.sha256) - found):
        raise BundleError(f"{path} lacks {name}, which its card lists; copy the whole bundle again")
    for name in sorted(found - set(card.sha256)):
        raise BundleError(f"{path} holds {name}, which its card does not list; remove that file")
    for name, expected in card.sha256.items():
        actual = sha256(files[name])
        if actual != expected:
            raise BundleError(
                f"{path}: {name} was changed or damaged (SHA-256 {actual[:12]}..., its card says {expected[:12]}...); "
                "copy the bundle again"
            )


def _read_folder(path: Path) -> dict[str, bytes]:
    if not (path / CARD).is_file():
        return {}
    names = sorted(_entries(path))
    _check_amount(path, [(path / name).stat().st_size for name in names])
    return {name: (path / name).read_bytes() for name in names}


def _entries(path: Path) -> list[str]:
    """The files below `path` by their paths inside it. Raises BundleError where one is a link, a pipe or a device."""
    names: list[str] = []
    folders, num_entries = [path], 0
    while folders:
        for entry in folders.pop().iterdir():
            num_entries += 1
            if num_entries > 2 * MAX_FILES:
                raise BundleError(f"{path} holds more than {2 * MAX_FILES} files and folders; it is no bundle")
            name = entry.relative_to(path).as_posix()
            if entry.is_symlink():
                raise BundleError(f"{path}: {name} is a link; a bundle holds plain files only")
            if entry.is_dir():
                folders.append(entry)
            elif entry.is_file():
                names.append(name)
            else:
                raise BundleError(f"{path}: {name} is a pipe or a device; a bundle holds plain files only")
    return names


def _read_zip(path: Path) -> dict[str, bytes]:
    if not path.is_file():
        raise BundleError(f"{path} is not a bundle: neither a folder nor a file; name the bundle itself")
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check_amount(path, [member.file_size for member in members])
            for member in members:
                _check_member(path, member)
            if len({member.filename for member in members}) != len(members):
                raise BundleError(f"{path} holds two files of the same name; pack it again with pocketcxr export")
            return {member.filename: _read_member(archive, member) for member in members}
    except _ZIP_DAMAGE as error:
        raise BundleError(
            f"{path} is not a bundle: neither a folder nor an intact zip ({error}); copy it again"
        ) from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    # read() without a number inflates up to two gigabytes, whatever size the header claims. An empty member is asked
    # for a byte, so that its checksum is compared.
    with archive.open(member) as file:
        data = file.read(max(member.file_size, 1))
    if len(data) != member.file_size:
        raise zipfile.BadZipFile(f"{member.filename!r} is not as long as it says")
    return data


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        # Python inflates what the others hold at once, whatever its size.
        raise BundleError(f"{path}: {name!r} is compressed by another method than deflate; pack it again")
    parts = PurePosixPath(name).parts
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts:
        raise BundleError(f"{path} holds a file named {name!r}, which points outside the bundle; do not use it")


def _check_amount(path: Path, sizes: list[int]) -> None:
    if len(sizes) > MAX_FILES or sum(sizes) > MAX_BYTES:
        raise BundleError(
            f"{path} holds {len(sizes)} files of {sum(sizes):,} bytes; "
            f"a bundle has at most {MAX_FILES} and {MAX_BYTES:,}"
        )
