"""The site in memory: whole, its lists right, the build chosen by rule."""

import json
import shutil
from pathlib import Path

import pytest

from pocketcxr.apps.web.precision import choose_precision
from pocketcxr.apps.web.site import PRECACHE, SITE, make_site, read_page
from pocketcxr.domain.errors import PocketCxrError, UsageError
from pocketcxr.runtime.bundle import Bundle, sha256
from pocketcxr.runtime.card import Builds
from pocketcxr.runtime.card_gate import Precision


def test_every_file_is_there_once_with_its_type_and_compressed_forms(opened: Bundle, page_folder: Path) -> None:
    files = make_site(opened, "fp32", page_folder).files
    assert {name.removeprefix("bundle/") for name in files if name.startswith("bundle/")} == set(opened.files)
    assert not any(name.endswith((".br", ".gz")) for name in files)
    assert dict(files["index.html"].encoded) == {"br": b"brotli", "gzip": b"gzip"}
    types = {name: files[name].media_type for name in ("worker.js", "ort-wasm-simd-threaded.wasm", "icons/icon.svg")}
    assert list(types.values()) == ["text/javascript; charset=utf-8", "application/wasm", "image/svg+xml"]
    assert files["manifest.webmanifest"].media_type == "application/manifest+json"
    assert files["bundle/model_card.html"].media_type == "text/html; charset=utf-8"
    assert files["bundle/model.onnx"].media_type == "application/octet-stream"
    assert json.loads(files[SITE].content)["bundle"] == "bundle/"


@pytest.mark.parametrize(("precision", "model"), [("fp32", "model.onnx"), ("fp16", "model.fp16.onnx")])
def test_the_precache_lists_what_the_page_reads_and_no_more(
    opened: Bundle, page_folder: Path, precision: Precision, model: str
) -> None:
    files = make_site(opened, precision, page_folder).files
    precache = json.loads(files[PRECACHE].content)
    listed = {entry["url"]: entry["sha256"] for entry in precache["files"]}
    assert all(sha256(files[name].content) == digest for name, digest in listed.items())
    own = {name for name in files if not name.startswith("bundle/")} - {"service-worker.js", PRECACHE}
    needed = {"card.json", "card.sha256", "preprocess.onnx", model, "input-gate.onnx", "model_card.html"}
    assert set(listed) == own | {f"bundle/{name}" for name in needed}


def test_any_changed_byte_is_another_version(opened: Bundle, page_folder: Path, tmp_path: Path) -> None:
    def version(page: Path, precision: Precision) -> str:
        return str(json.loads(make_site(opened, precision, page).files[PRECACHE].content)["version"])

    first = version(page_folder, "fp32")
    assert version(page_folder, "fp32") == first
    assert version(page_folder, "fp16") != first
    for name in ("index.html", "service-worker.js", "icons/icon.svg"):
        copy = tmp_path / name.replace("/", "-")
        shutil.copytree(page_folder, copy)
        (copy / name).write_bytes((copy / name).read_bytes() + b" ")
        assert version(copy, "fp32") != first


def test_a_page_that_was_not_built_says_how_to_build_it(page_folder: Path, tmp_path: Path) -> None:
    for missing in ("index.html", "worker.js"):
        copy = tmp_path / missing
        shutil.copytree(page_folder, copy)
        (copy / missing).unlink()
        with pytest.raises(PocketCxrError, match=rf"{missing}; .*npm run build"):
            read_page(copy)
    with pytest.raises(PocketCxrError, match=r"not built: .*npm ci && npm run build"):
        read_page(tmp_path / "none")


def test_fp16_is_run_where_there_is_one_and_what_is_asked_for_otherwise(opened: Bundle) -> None:
    card, builds = opened.card, opened.card.builds
    assert choose_precision(card) == "fp16"
    assert choose_precision(card, "fp32") == "fp32"
    with pytest.raises(UsageError, match=r"--precision int8: .*available: fp32, fp16; .*--builds fp32,int8"):
        choose_precision(card, "int8")
    alone = card.model_copy(update={"builds": Builds(fp32=builds.fp32)})
    assert choose_precision(alone) == "fp32"
    only = card.model_copy(update={"builds": Builds(int8=builds.fp32, shipped="int8")})
    assert choose_precision(only) == "int8"
