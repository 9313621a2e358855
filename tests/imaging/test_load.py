"""What a file is is decided by its content; what is none of ours is refused with a code."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketcxr.domain.errors import RefusalCode
from pocketcxr.imaging.load import load, measure

GRAY = np.add.outer(np.arange(40) * 3, np.arange(30) * 4).astype(np.uint8)
Refused = Callable[[Path], RefusalCode]


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "x.png")
    for name in ("x.dcm", "x.jpg", "x"):
        (tmp_path / "x.png").rename(tmp_path / name)
        assert load(tmp_path / name).source_format == "png"
        (tmp_path / name).rename(tmp_path / "x.png")


def test_loading_twice_gives_the_same(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "x.png")
    assert np.array_equal(load(tmp_path / "x.png").image, load(tmp_path / "x.png").image)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", RefusalCode.EMPTY_FILE),
        (b"Dear colleague,\n", RefusalCode.NOT_AN_IMAGE),
        (b"%PDF-1.7\n" + b"x" * 500, RefusalCode.NOT_AN_IMAGE),
        (b"PK\x03\x04" + b"\0" * 500, RefusalCode.NOT_AN_IMAGE),
        (b"GIF89a" + b"\0" * 500, RefusalCode.UNSUPPORTED_FORMAT),
        (b"BM" + b"\0" * 500, RefusalCode.UNSUPPORTED_FORMAT),
        (b"II*\x00" + b"\0" * 500, RefusalCode.UNSUPPORTED_FORMAT),
        (b"RIFF\x10\0\0\0WEBPVP8 ", RefusalCode.UNSUPPORTED_FORMAT),
        (b"\x89PNG\r\n\x1a\n", RefusalCode.CORRUPT),
        (b"\xff\xd8\xff\xe0", RefusalCode.CORRUPT),
        (b"\0" * 128 + b"DICM", RefusalCode.NOT_AN_IMAGE),
        (b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\xff\xff", RefusalCode.NOT_AN_IMAGE),
    ],
)
def test_other_content_is_refused_with_its_code(
    content: bytes, code: RefusalCode, tmp_path: Path, refusal_of: Refused
) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    assert refusal_of(path) is code


def test_dicom_without_its_preamble_is_not_guessed_at(tmp_path: Path, refusal_of: Refused) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + b"\0" * 200)
    assert refusal_of(path) is RefusalCode.NOT_AN_IMAGE


def test_a_folder_a_missing_file_and_a_pipe_are_refused(tmp_path: Path, refusal_of: Refused) -> None:
    assert refusal_of(tmp_path) is RefusalCode.IS_A_DIRECTORY
    assert refusal_of(tmp_path / "nowhere.png") is RefusalCode.NOT_FOUND
    (tmp_path / "file").write_text("x")
    assert refusal_of(tmp_path / "file" / "x.png") is RefusalCode.NOT_FOUND
    os.mkfifo(tmp_path / "pipe")
    assert refusal_of(tmp_path / "pipe") is RefusalCode.NOT_AN_IMAGE


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, refusal_of: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(GRAY).save(path)

    def forbidden(self: Path, *arguments: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", forbidden)
    assert refusal_of(path) is RefusalCode.NO_PERMISSION


def test_importing_the_loader_does_not_import_pydicom_or_the_training_stack() -> None:
    heavy = {"pydicom", "pandas", "scipy", "sklearn", "matplotlib", "torch", "pyarrow"}
    script = (
        f"import sys, pocketcxr.imaging.load, pocketcxr.imaging.overlay; print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_real_radiographs_load_and_measure(shared_data: Path) -> None:
    for folder, side in (("nih14_64px", 64), ("nih14_hires512", 512)):
        for path in sorted((shared_data / folder / "images").iterdir())[:20]:
            radiograph = load(path)
            assert radiograph.image.shape == measure(path) == (side, side)
            assert radiograph.bits_stored == 8
