"""A bulk run: a row a file whatever the files are, the same rows however often it was killed."""

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketcxr.domain.errors import EmptyCohortError, UsageError
from pocketcxr.domain.progress import NO_FIGURES
from pocketcxr.runtime.bulk import BulkSettings, Pictures, score_files
from pocketcxr.runtime.bulk_files import Source
from pocketcxr.runtime.bulk_results import RunFacts, header_path, keep_rows, opened_rows
from pocketcxr.runtime.bulk_worker import Limits
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.predict import Scored, predict_files
from pocketcxr.runtime.session import Engine

SETTINGS = BulkSettings(workers=2, batch_size=4)


def noise(path: Path, seed: int, shape: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """23 files, five of them no readable X-ray."""
    root = tmp_path / "x-rays"
    for number in range(18):
        noise(root / f"{number % 3}" / f"{number:02}.png", number)
    (root / "1" / "05-letter.txt").write_text("Dear colleague")
    (root / "1" / "06-empty.dcm").write_bytes(b"")
    (root / "2" / "00-cut.png").write_bytes((root / "0" / "00.png").read_bytes()[:300])
    (root / "2" / "zz.gif").write_bytes(b"GIF89a" + bytes(200))
    os.mkfifo(root / "0" / "pipe")
    return root


def test_every_file_gets_one_row_in_order_with_predicts_probabilities(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    source = Source(folder)
    summary = score_files(engine, source, out, SETTINGS)
    rows, files = rows_of(out), list(source.files())
    assert [row["path"] for row in rows] == [listed.name for listed in files]
    assert summary.num_files == len(files) == 23
    assert summary.counts == {"scored": 18, "not-an-image": 2, "empty-file": 1, "corrupt": 1, "unsupported-format": 1}
    for row, answer in zip(rows, predict_files(engine, [listed.path for listed in files]), strict=True):
        if isinstance(answer, Scored):
            scores = {score.finding: score.probability for score in answer.prediction.scores}
            assert (row["status"], row["code"], row["message"], row["Nodule"]) == ("scored", "", "", "")
            for finding in ("Effusion", "Mass"):
                assert float(row[finding]) == pytest.approx(scores[finding], rel=2e-4)
        else:
            assert (row["status"], row["code"], row["message"]) == ("refused", answer.code.value, answer.message)
            assert row["Mass"] == ""


def test_the_number_of_workers_changes_no_byte(engine: Engine, folder: Path, tmp_path: Path) -> None:
    results = []
    for workers in (1, 3):
        out = tmp_path / f"{workers}.csv"
        score_files(engine, Source(folder), out, replace(SETTINGS, workers=workers))
        results.append(out.read_bytes())
    assert results[0] == results[1]


@pytest.mark.slow
def test_a_run_cut_at_any_byte_is_taken_up_to_the_same_file(engine: Engine, folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.csv"
    score_files(engine, Source(folder), whole, SETTINGS)
    expected = whole.read_bytes()
    rng = np.random.default_rng(0)
    for cut in [0, 1, len(expected) - 1, *rng.integers(0, len(expected), 4)]:
        out = tmp_path / f"{cut}.csv"
        out.write_bytes(expected[:cut])
        header_path(out).write_bytes(header_path(whole).read_bytes())
        score_files(engine, Source(folder), out, SETTINGS)
        assert out.read_bytes() == expected, cut


def test_cutting_keeps_whole_batches_only(folder: Path, tmp_path: Path, bundle: Bundle) -> None:
    """At every byte of a results file: never a row twice, never one lost, never a partial one."""
    names = [listed.name for listed in Source(folder).files()]
    columns = ("path", "status", "code", "message", "Mass")
    facts = RunFacts(
        made_by="", bundle="", source="", columns=columns, batch_size=5, seconds=1, memory_mb=1, heatmaps=None, top=None
    )
    text = ",".join(columns).encode() + b"\n" + b"".join(f"{name},scored,,,0.5\n".encode() for name in names)
    out = tmp_path / "rows.csv"
    for cut in range(len(text) + 1):
        out.write_bytes(text[:cut])
        with opened_rows(out) as file:
            kept = keep_rows(file, Source(folder).files(), facts, len(names))
        left = out.read_bytes()
        assert text.startswith(left)
        assert left.count(b"\n") == kept.num_rows + 1
        num_rows = max(text[:cut].count(b"\n") - 1, 0)
        assert kept.num_rows == (num_rows if num_rows == len(names) else num_rows // 5 * 5)


def test_what_was_done_is_not_done_again(engine: Engine, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    first = score_files(engine, Source(folder), out, SETTINGS)
    again = score_files(engine, Source(folder), out, SETTINGS)
    assert (first.num_kept, again.num_kept) == (0, 23)
    assert first.counts == again.counts


def test_another_bundle_other_options_or_other_files_are_refused(
    engine: Engine, folder: Path, tmp_path: Path, bundle: Bundle
) -> None:
    out = tmp_path / "scores.csv"
    score_files(engine, Source(folder), out, SETTINGS)
    before = out.read_bytes()
    with pytest.raises(UsageError, match="batch_size"):
        score_files(engine, Source(folder), out, replace(SETTINGS, batch_size=5))
    with pytest.raises(UsageError, match="seconds"):
        score_files(engine, Source(folder), out, replace(SETTINGS, limits=Limits(seconds=1)))
    other = replace(engine, bundle=Bundle(bundle.path, bundle.card, bundle.files, "0" * 64))
    with pytest.raises(UsageError, match="bundle"):
        score_files(other, Source(folder), out, SETTINGS)
    noise(folder / "0" / "0.png", 0)
    with pytest.raises(UsageError, match="files came or went"):
        score_files(engine, Source(folder), out, SETTINGS)
    assert out.read_bytes() == before
    (tmp_path / "mine.csv").write_text("dear,diary\n")
    with pytest.raises(UsageError, match="choose another --out"):
        score_files(engine, Source(folder), tmp_path / "mine.csv", SETTINGS)
    assert (tmp_path / "mine.csv").read_text() == "dear,diary\n"


def test_no_two_processes_write_the_same_results(engine: Engine, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    score_files(engine, Source(folder), out, SETTINGS)
    with opened_rows(out), pytest.raises(UsageError, match="another process"):
        score_files(engine, Source(folder), out, SETTINGS)


def test_a_folder_without_files_is_no_run(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    with pytest.raises(EmptyCohortError):
        score_files(engine, Source(tmp_path / "empty"), tmp_path / "scores.csv", SETTINGS)
    assert not (tmp_path / "scores.csv").exists()


def test_pictures_are_those_of_predict(engine: Engine, tmp_path: Path) -> None:
    from pocketcxr.runtime.pictures import picture, picture_name, strongest

    path = noise(tmp_path / "x" / "a.png", 0, (90, 70))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    score_files(engine, Source(path.parent), tmp_path / "s.csv", replace(SETTINGS, pictures=Pictures(pictures, 1)))
    (scored,) = predict_files(engine, [path])
    assert isinstance(scored, Scored)
    (strong,) = strongest(scored, 1)
    drawn = pictures / picture_name(scored, strong.finding)
    assert list(pictures.iterdir()) == [drawn]
    assert np.array_equal(np.asarray(Image.open(drawn)), np.asarray(picture(scored, strong)))


def _many_scans(path: Path) -> None:
    """A progressive JPEG of 48 million pixels whose last scan comes 80 times: many seconds to decode."""
    buffer = BytesIO()
    image = np.zeros((6000, 8000), dtype=np.uint8)
    image[:8] = 200
    Image.fromarray(image).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    path.write_bytes(data[:last] + data[last:-2] * 80 + data[-2:])


def _large(path: Path) -> None:
    """A small PNG of 49 million pixels with transparency: 800 MB to decode."""
    Image.new("LA", (7000, 7000)).save(path, "PNG")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "limits", "code"),
    [
        (_many_scans, Limits(seconds=1), "timed-out"),
        (_large, Limits(seconds=60, memory_mb=400), "too-much-memory"),
    ],
    ids=["time", "memory"],
)
def test_a_file_that_takes_too_much_is_refused_alone(
    write: Callable[[Path], None], limits: Limits, code: str, engine: Engine, tmp_path: Path
) -> None:
    for number in range(6):
        noise(tmp_path / "x" / f"{number}.png", number)
    write(tmp_path / "x" / "2-exploding")
    summary = score_files(engine, Source(tmp_path / "x"), tmp_path / "s.csv", replace(SETTINGS, limits=limits))
    assert summary.counts == {"scored": 6, code: 1}
    assert [row["path"] for row in rows_of(tmp_path / "s.csv") if row["code"] == code] == ["2-exploding"]


def test_a_worker_that_is_killed_costs_at_most_its_file(engine: Engine, tmp_path: Path) -> None:
    for number in range(40):
        noise(tmp_path / "x" / f"{number:02}.png", number, (300, 300))
    killed: list[int | None] = []

    def kill_one(stage: str, done: int, total: int, figures: Mapping[str, float] = NO_FIGURES) -> None:
        if 0 < done < 20 and not killed:
            victim = multiprocessing.active_children()[0]
            killed.append(victim.pid)
            victim.kill()

    summary = score_files(engine, Source(tmp_path / "x"), tmp_path / "s.csv", SETTINGS, kill_one)
    assert killed
    assert len(rows_of(tmp_path / "s.csv")) == 40
    assert summary.counts["too-much-memory"] <= 1
    assert summary.counts["scored"] >= 39


_RUN = """
import sys
from pathlib import Path
from pocketcxr.runtime.bulk import BulkSettings, score_files
from pocketcxr.runtime.bulk_files import Source
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.session import open_engine
if __name__ == "__main__":
    bundle, folder, out = map(Path, sys.argv[1:])
    score_files(open_engine(open_bundle(bundle), 1), Source(folder), out, BulkSettings(workers=2, batch_size=4))
"""


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_in_the_same_file(engine: Engine, tmp_path: Path, bundle: Bundle) -> None:
    for number in range(60):
        noise(tmp_path / "x" / f"{number:02}.png", number, (700, 700))
    whole, out, script = tmp_path / "whole.csv", tmp_path / "killed.csv", tmp_path / "run.py"
    score_files(engine, Source(tmp_path / "x"), whole, SETTINGS)
    script.write_text(_RUN)
    command = [sys.executable, str(script), bundle.path, str(tmp_path / "x"), str(out)]
    for _ in range(3):
        with subprocess.Popen(command, start_new_session=True) as process:
            size = out.stat().st_size if out.exists() else 0
            patience = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < patience:
                if out.exists() and out.stat().st_size > size + 300:
                    process.send_signal(signal.SIGKILL)
                time.sleep(0.005)
        assert json.loads(header_path(out).read_text())["batch_size"] == 4
    subprocess.run(command, check=True)
    assert out.read_bytes() == whole.read_bytes()
