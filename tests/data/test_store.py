"""The store survives kills, full disks, company and damage: what it says it holds, it holds."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from pocketcxr.data.cache import cache_images
from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec, square
from pocketcxr.manifest.schema import Manifest

MakeManifest = Callable[[Sequence[str]], Manifest]
SPEC = PreprocessSpec(size=128)
NAMES = [f"Thorax {number:02} ä.png" for number in range(20)]
PROGRAM = """
import json, os, resource, signal, sys
from pathlib import Path
import pandas as pd
from pocketcxr.data import cache
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.schema import Manifest, ManifestHeader
root, folder, names = json.loads(sys.argv[1])
manifest = Manifest(pd.DataFrame({"path": names}), pd.DataFrame(), ManifestHeader(source="test", root=root))
cache._CHUNK = 3
"""
CALL = "cache.cache_images(manifest, PreprocessSpec(size=128), Path(folder), num_threads=2)\n"


def start(manifest: Manifest, folder: Path, before: str = "", names: Sequence[str] = NAMES) -> "subprocess.Popen[str]":
    """Another process that caches the files, after the statements in `before`."""
    told = json.dumps([manifest.header.root, str(folder), list(names)])
    return subprocess.Popen([sys.executable, "-c", PROGRAM + before + CALL, told], stderr=subprocess.PIPE, text=True)


def assert_complete(manifest: Manifest, folder: Path) -> None:
    cached = cache_images(manifest, SPEC, folder)
    for row, name in enumerate(NAMES):
        np.testing.assert_array_equal(cached.images.at([row])[0], square(load(manifest.file_of(name)).image, SPEC))
    assert sorted(cached.images.slots.tolist()) == list(range(len(NAMES)))


@pytest.mark.parametrize("where", ["before the pixels are flushed", "after the pixels, before the index"])
def test_a_killed_process_loses_only_the_last_chunk(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str], where: str
) -> None:
    manifest, folder = make_manifest(NAMES), tmp_path / "cache"
    flush = "" if where.startswith("before") else "flush(descriptor)"
    kill = f"""
flush, calls = os.fsync, []
def killed(descriptor):
    calls.append(1)
    if len(calls) == 4:
        {flush or "pass"}
        os.kill(os.getpid(), signal.SIGKILL)
    flush(descriptor)
os.fsync = killed
"""
    process = start(manifest, folder, kill)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert_complete(manifest, folder)
    assert len(set(decoded)) == len(decoded) == len(NAMES) - 9


@pytest.mark.slow
def test_a_process_killed_at_any_moment_leaves_a_cache_that_goes_on(
    make_manifest: MakeManifest, tmp_path: Path
) -> None:
    manifest, folder = make_manifest(NAMES), tmp_path / "cache"
    for num_told in (2, 7, 11):
        process = start(
            manifest,
            folder,
            f"""
def tell(stage, done, total, figures=None):
    if done >= {num_told}:
        print(done, file=sys.stderr, flush=True)
cache.silent = tell
cache.cache_images.__defaults__ = (tell, None)
""",
        )
        assert process.stderr is not None
        process.stderr.readline()
        process.kill()
        process.communicate(timeout=60)
    assert_complete(manifest, folder)


@pytest.mark.parametrize("limit", [20_000, 100_000], ids=["of the index", "of the pixels"])
def test_a_real_limit_on_file_size_stops_with_the_next_step_and_is_gone_on_from(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str], limit: int
) -> None:
    manifest, folder = make_manifest(NAMES), tmp_path / "cache"
    process = start(manifest, folder, f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "PocketCxrError" in told
    assert "Make room or choose another cache folder, then run the same command again" in told
    assert_complete(manifest, folder)
    num_kept = 6 if limit == 100_000 else 0  # whole chunks of images of 16 kB below the limit
    assert len(decoded) == len(NAMES) - num_kept


def test_a_disk_that_will_not_do_is_told_before_any_work(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(PocketCxrError, match=r"20 images at 128 px.*make room"):
        cache_images(make_manifest(NAMES), SPEC, tmp_path / "cache")
    assert decoded == []


def test_moved_files_need_no_room(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = make_manifest(NAMES)
    cache_images(manifest, SPEC, tmp_path / "cache")
    decoded.clear()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 100}))
    moved = [f"moved {name}" for name in NAMES]
    for old, new in zip(NAMES, moved, strict=True):
        manifest.file_of(old).rename(manifest.file_of(new))
    assert len(cache_images(make_manifest(moved), SPEC, tmp_path / "cache").rows) == len(NAMES)
    assert decoded == []


@pytest.mark.slow
def test_several_processes_at_once_leave_each_content_once(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest, folder = make_manifest(NAMES), tmp_path / "cache"
    orders = (NAMES, NAMES[::-1], NAMES)
    processes = [start(manifest, folder, names=names) for names in orders]
    for process in processes:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told
    assert_complete(manifest, folder)


def test_pixels_that_were_cut_short_are_decoded_again(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str]
) -> None:
    manifest, folder = make_manifest(NAMES), tmp_path / "cache"
    cache_images(manifest, SPEC, folder)
    decoded.clear()
    pixels = next(folder.glob("*/pixels.u8"))
    with pixels.open("r+b") as file:
        file.truncate(15 * 128**2 + 1)
    assert_complete(manifest, folder)
    assert sorted(decoded) == NAMES[15:]


def test_a_damaged_index_is_named_with_the_next_step(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest, folder = make_manifest(NAMES), tmp_path / "cache"
    cache_images(manifest, SPEC, folder)
    index = next(folder.glob("*/index.sqlite"))
    index.write_bytes(b"no index" * 1000)
    with pytest.raises(PocketCxrError, match=r"index\.sqlite: is damaged.*delete the folder"):
        cache_images(manifest, SPEC, folder)
    shutil.rmtree(index.parent)
    assert_complete(manifest, folder)


def test_a_folder_that_cannot_be_made_is_named(make_manifest: MakeManifest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PocketCxrError, match="choose another cache folder"):
        cache_images(make_manifest(NAMES), SPEC, tmp_path / "file" / "cache")
