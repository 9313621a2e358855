"""The page's decoders against Python's: the same gray pixels to the last bit, or the same refusal.

Differences that stay, each measured here: DICOM files of lossy JPEG, whose pixels Python's codec rounds otherwise; the
share of strong colours of large JPEG files, which Python takes from a picture scaled while decoding; damaged JPEG files
that load none the less, where the processor's vector instructions overflow otherwise; JPEG without its end marker, of
which Pillow loads a few; lossless JPEG damaged within its scan, of which either side may load one; CMYK and JPEG of 12
bits, for which the page has no codec.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketcxr.domain.errors import ImageRefusedError
from pocketcxr.imaging.colour import coloured_share
from pocketcxr.imaging.dicom import read_facts
from pocketcxr.imaging.load import load

from ...imaging import test_hostile as hostile  # noqa: TID252 - tests are no package of the path
from . import page_damage, page_dicom_files, page_dicom_headers, page_jpeg_files, page_png_files

PAGE = Path(__file__).parents[3] / "page"
SECONDS = 240
MAX_LOSSY_LEVELS = 1
"""Between two codecs of lossy JPEG within DICOM."""
MAX_SHARE = 0.02
"""Between a share of strong colours and the one of a picture scaled while decoding."""
Files = dict[str, bytes]


@dataclass(frozen=True)
class Outcome:
    """What the page made of a file."""

    path: Path
    says: dict[str, Any]
    pixels: NDArray[np.uint8] | None


Decode = Callable[[Path, Files], dict[str, Outcome]]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that decodes files with the page's decoders."""
    if shutil.which("node") is None or not (PAGE / "node_modules" / "esbuild").is_dir():
        pytest.skip("no node or no page/node_modules here: `cd page && npm ci`")
    bundled = tmp_path_factory.mktemp("program") / "decode_files.cjs"
    esbuild = PAGE / "node_modules" / ".bin" / "esbuild"
    options = ["--bundle", "--platform=node", "--format=cjs", "--log-level=warning", f"--outfile={bundled}"]
    entry = str(PAGE / "tests" / "decode_files.ts")
    subprocess.run([str(esbuild), entry, *options], check=True, timeout=SECONDS, cwd=PAGE)
    return bundled


@pytest.fixture
def decode(program: Path) -> Decode:
    """Writes files into a folder and has the page decode them, in one process."""

    def decoded(folder: Path, files: Files) -> dict[str, Outcome]:
        paths = {name: folder / f"{number}.file" for number, name in enumerate(files)}
        for name, path in paths.items():
            path.write_bytes(files[name])
        return dict(zip(files, _decoded(program, list(paths.values()), folder), strict=True))

    return decoded


def _decoded(program: Path, paths: list[Path], folder: Path) -> list[Outcome]:
    pixels = folder / "pixels"
    pixels.mkdir()
    command = ["node", str(program), str(PAGE), str(pixels)]
    asked = json.dumps([str(path) for path in paths])
    done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert [Path(answer["path"]) for answer in answers] == paths
    return [
        Outcome(path, answer, np.fromfile(pixels / str(number), np.uint8) if "sha256" in answer else None)
        for number, (path, answer) in enumerate(zip(paths, answers, strict=True))
    ]


def _difference(outcome: Outcome, max_levels: int = 0) -> str | None:
    """What the page says otherwise than Python; None where they agree within so many gray levels."""
    try:
        radiograph = load(outcome.path)
    except ImageRefusedError as error:
        code = outcome.says.get("code")
        return None if code == error.code.value else f"{code} instead of {error.code.value}: {error}"
    if outcome.pixels is None:
        return f"refused: {outcome.says}"
    found = (outcome.says["height"], outcome.says["width"], outcome.says["format"], outcome.says["bitsStored"])
    if found != (radiograph.height, radiograph.width, radiograph.source_format, radiograph.bits_stored):
        return f"{found}"
    expected = np.ascontiguousarray(radiograph.image)
    if max_levels == 0:
        is_equal = outcome.says["sha256"] == hashlib.sha256(expected.tobytes()).hexdigest()
        return None if is_equal else "other pixels"
    levels = int(np.abs(outcome.pixels.reshape(expected.shape).astype(int) - expected).max())
    return None if levels <= max_levels else f"{levels} levels"


def _differences(outcomes: dict[str, Outcome], max_levels: int = 0) -> dict[str, str]:
    found = {name: _difference(outcome, max_levels) for name, outcome in outcomes.items()}
    return {name: difference for name, difference in found.items() if difference is not None}


@pytest.fixture(scope="module")
def whole() -> Files:
    """Undamaged files of every kind, more than 150."""
    rng = np.random.default_rng(20)
    makers = (
        *(page_png_files.every_kind, page_jpeg_files.every_kind),
        *(page_dicom_files.syntaxes, page_dicom_headers.headers),
    )
    files = {name: data for make in makers for name, data in make(rng).items()}
    assert len(files) > 120
    return files


def test_every_kind_of_file_has_pythons_pixels(whole: Files, decode: Decode, tmp_path: Path) -> None:
    outcomes = decode(tmp_path, whole)
    assert _differences(outcomes) == {}
    assert sum(outcome.pixels is not None for outcome in outcomes.values()) > 120


def test_odd_files_and_files_that_are_refused_are_pythons(decode: Decode, tmp_path: Path) -> None:
    rng = np.random.default_rng(21)
    makers = (page_png_files.oddities, page_jpeg_files.oddities, page_dicom_headers.refused)
    files = {name: data for make in makers for name, data in make(rng).items()} | page_damage.foreign()
    assert _differences(decode(tmp_path, files)) == {}


def test_damaged_png_and_dicom_files_are_pythons(whole: Files, decode: Decode, tmp_path: Path) -> None:
    picked = {name: data for name, data in whole.items() if not name.startswith("jpeg")}
    files = page_damage.damaged(picked, 100, np.random.default_rng(22))
    assert _differences(decode(tmp_path, files)) == {}


def test_damaged_jpeg_files_are_loaded_or_refused_as_in_python(whole: Files, decode: Decode, tmp_path: Path) -> None:
    picked = {name: data for name, data in whole.items() if name.startswith("jpeg") and "large" not in name}
    files = page_damage.damaged(picked, 60, np.random.default_rng(23))
    assert _differences(decode(tmp_path, files), max_levels=255) == {}


def test_lossy_dicom_files_are_within_one_level(decode: Decode, tmp_path: Path) -> None:
    outcomes = decode(tmp_path, page_dicom_files.lossy(np.random.default_rng(24)))
    assert _differences(outcomes, MAX_LOSSY_LEVELS) == {}
    assert all(outcome.pixels is not None for outcome in outcomes.values())


def test_what_headers_say_is_what_python_reads(whole: Files, decode: Decode, tmp_path: Path) -> None:
    headers = {name: data for name, data in whole.items() if name.startswith("dicom ")}
    for name, outcome in decode(tmp_path, headers).items():
        expected, facts = read_facts(outcome.path), outcome.says["facts"]
        assert facts["modality"] == expected.modality, name
        assert facts["sopClass"] == expected.sop_class, name
        assert facts["bodyPart"] == expected.body_part, name
        assert facts["viewPosition"] == expected.view_position.value, name
        assert facts["ageYears"] == expected.age_years, name
        assert facts["colouredShare"] is None, name


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_shares_of_strong_colours_are_pythons(whole: Files, decode: Decode, tmp_path: Path) -> None:
    files = {name: data for name, data in whole.items() if not name.startswith("dicom")}
    files |= page_png_files.oddities(np.random.default_rng(25))
    shown = {name: outcome for name, outcome in decode(tmp_path, files).items() if outcome.pixels is not None}
    shares = {name: outcome.says["facts"]["colouredShare"] for name, outcome in shown.items()}
    assert sum(share > 0.5 for share in shares.values()) > 10
    for name, share in shares.items():
        is_scaled = name in {"jpeg large colour", "jpeg strong colours"}
        expected = coloured_share(shown[name].path)
        assert share == pytest.approx(expected, abs=MAX_SHARE if is_scaled else 0), name


@pytest.mark.slow
def test_hostile_files_are_refused_with_a_code_or_read_in_bounded_time(decode: Decode, tmp_path: Path) -> None:
    outcomes = decode(tmp_path, {name: make() for name, (make, _) in hostile.FILES.items()})
    codes = {name: outcome.says.get("code", "loaded") for name, outcome in outcomes.items()}
    assert {name: code for name, code in codes.items() if code not in hostile.FILES[name][1].split("|")} == {}


def test_what_the_page_has_no_codec_for_is_refused(decode: Decode, tmp_path: Path) -> None:
    gray = np.add.outer(np.arange(40) * 3, np.arange(30) * 4).astype(np.uint8)
    printing = Image.fromarray(np.dstack((gray,) * 3)).convert("CMYK")
    says = decode(tmp_path, {"cmyk": page_png_files.saved(printing, "JPEG")})["cmyk"].says
    assert says["code"] == "unsupported-format"
    assert "CMYK" in says["detail"]


def test_real_x_rays_have_pythons_pixels(shared_data: Path, program: Path, tmp_path: Path) -> None:
    kinds = {".png", ".jpg", ".jpeg", ".dcm"}
    paths = sorted(path for path in shared_data.rglob("*") if path.suffix in kinds)
    rasters = [path for path in paths if path.suffix != ".dcm"]
    picked = [*rasters[:: max(len(rasters) // 60, 1)], *(path for path in paths if path.suffix == ".dcm")]
    outcomes = {outcome.path.name: outcome for outcome in _decoded(program, picked, tmp_path)}
    lossy = {
        name for name in outcomes if name in {"cr_chest_pa_8bit_jpeg_baseline.dcm", "same_image_monochrome1_header.dcm"}
    }
    exact = {name: outcome for name, outcome in outcomes.items() if name not in lossy}
    assert _differences(exact) == {}
    assert _differences({name: outcomes[name] for name in lossy}, MAX_LOSSY_LEVELS) == {}
