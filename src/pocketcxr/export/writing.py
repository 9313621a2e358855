"""Writes a bundle's files: into a folder, or as one zip whose bytes depend on the files alone."""

import io
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pocketcxr.domain.errors import BundleError, UsageError
from pocketcxr.runtime.card import SEAL

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can hold; real times would make equal bundles differ."""


def write_bundle(files: Mapping[str, bytes], out: Path) -> Path:
    """`out`, holding the files of a bundle as they are: one zip when it ends in .zip, a folder otherwise.

    An older bundle at `out` is replaced once the new one is complete.
    Raises UsageError when `out` holds something else, BundleError when it cannot be written.
    """
    _check_replaceable(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".zip":
            _write_zip(files, out)
        else:
            _write_folder(files, out)
    except OSError as error:
        raise BundleError(
            f"{out} cannot be written ({error.strerror or error}); make room or choose another --out"
        ) from error
    return out


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """The files as an uncompressed zip, sorted and without times: equal files give equal bytes.

    Weights hardly compress, and stored files can be read without unpacking.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, ZIP_EPOCH)
            member.external_attr = 0o644 << 16
            member.create_system = 3  # Unix, also when packed on Windows
            archive.writestr(member, files[name])
    return buffer.getvalue()


def _check_replaceable(out: Path) -> None:
    if not out.exists():
        return
    if out.is_dir():
        is_ours = (out / SEAL).is_file() or not any(out.iterdir())
    elif zipfile.is_zipfile(out):
        with zipfile.ZipFile(out) as archive:
            is_ours = SEAL in archive.namelist()
    else:
        is_ours = False
    if not is_ours or out.is_dir() == (out.suffix == ".zip"):
        raise UsageError(f"{out} exists and is not a bundle of this kind, so it is not replaced; choose another --out")


def _write_zip(files: Mapping[str, bytes], out: Path) -> None:
    part = out.with_name(f".{out.name}.part")
    try:
        part.write_bytes(zip_bytes(files))
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _write_folder(files: Mapping[str, bytes], out: Path) -> None:
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        new = Path(folder) / "new"
        for name, data in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(data)
        if out.exists():
            shutil.move(out, Path(folder) / "old")
        shutil.move(new, out)
