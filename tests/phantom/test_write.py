"""The data set on disk: official layout, the same bytes on any number of workers, resumable, marked as simulated."""

import csv
import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pocketcxr._version import __version__
from pocketcxr.domain.errors import PocketCxrError, UsageError
from pocketcxr.domain.findings import CHESTXRAY14, canonical
from pocketcxr.domain.study import Box
from pocketcxr.phantom import picture
from pocketcxr.phantom.config import LabelNoise, PhantomConfig
from pocketcxr.phantom.picture import NOTICE, Drawn, Job, draw, read_truth
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.tables import RELEASED_SIZE, write_tables
from pocketcxr.phantom.workers import by_patient, images_a_chunk
from pocketcxr.phantom.write import simulate

CONFIG = PhantomConfig(
    images=70, size=32, seed=11, prevalence_scale=2, test_fraction=0.3, label_noise=LabelNoise(strength=1)
)


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("simulated") / "whole", CONFIG)


def test_the_same_bytes_come_from_one_worker_and_from_two(simulated: Path, tmp_path: Path) -> None:
    assert len(by_patient(plan(CONFIG), images_a_chunk(CONFIG.size))) >= 2
    assert tree(simulate(tmp_path / "two", CONFIG, workers=2)) == tree(simulated)


def test_another_seed_gives_other_images(simulated: Path, tmp_path: Path) -> None:
    other = simulate(tmp_path / "other", CONFIG.model_copy(update={"seed": 12, "images": 3}))
    name = "00000001_000.png"
    assert (other / "images" / name).read_bytes() != (simulated / "images" / name).read_bytes()


def test_tables_begin_with_the_official_headers(simulated: Path) -> None:
    entry = (simulated / "Data_Entry_2017_v2020.csv").read_text().splitlines()[0]
    official = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
    )
    assert entry == f"{official},Simulated"
    assert (simulated / "BBox_List_2017.csv").read_text().splitlines()[0] == (
        "Image Index,Finding Label,Bbox [x,y,w,h],,,Simulated"
    )


def test_the_header_is_that_of_the_real_table(simulated: Path, shared_data: Path) -> None:
    real = (shared_data / "nih14_64px" / "Data_Entry_2017_v2020.csv").read_text().splitlines()[0]
    ours = (simulated / "Data_Entry_2017_v2020.csv").read_text().splitlines()[0]
    assert ours == f"{real},Simulated"


def test_every_image_and_every_table_says_that_it_is_simulated(simulated: Path) -> None:
    for path in (simulated / "images").iterdir():
        with Image.open(path) as image:
            assert image.info["Simulated"] == NOTICE
            assert (image.mode, image.size) == ("L", (32, 32))
    tables = list(simulated.glob("*.csv"))
    assert len(tables) == 5
    for path in tables:
        assert {row["Simulated"] for row in rows(path)} == {"yes"}
    text = (simulated / "SIMULATED.txt").read_text()
    assert "Nothing in this folder comes from a patient" in text
    assert f"version: {__version__}" in text
    assert CONFIG.model_dump_json() in text


def test_tables_lists_and_images_name_the_same_files(simulated: Path) -> None:
    names = [image.image_id for image in plan(CONFIG)]
    assert sorted(path.name for path in (simulated / "images").iterdir()) == names
    for table in ("Data_Entry_2017_v2020.csv", "Data_Entry_2017_v2020_clean.csv"):
        assert [row["Image Index"] for row in rows(simulated / table)] == names
    train, test = ((simulated / f"{part}_list.txt").read_text().split() for part in ("train_val", "test"))
    assert sorted(train + test) == names
    assert not {name[:8] for name in train} & {name[:8] for name in test}


def test_labels_are_noisy_beside_a_clean_table(simulated: Path) -> None:
    noisy, clean = (
        [row["Finding Labels"] for row in rows(simulated / f"Data_Entry_2017_v2020{end}.csv")] for end in ("", "_clean")
    )
    spelled = {name: "|".join(image.truth) or "No Finding" for image in plan(CONFIG) for name in [image.image_id]}
    assert clean == list(spelled.values())
    assert noisy != clean


def test_every_finding_that_is_there_has_its_box_and_severity_and_no_other_has(simulated: Path) -> None:
    truth = {(image.image_id, finding) for image in plan(CONFIG) for finding in image.truth}
    boxes = rows(simulated / "BBox_List_2017.csv")
    assert {(row["Image Index"], canonical(row["Finding Label"])) for row in boxes} == truth
    assert {row["Finding Label"] for row in boxes} & {"Infiltrate", "Infiltration"} == {"Infiltrate"}
    severities = rows(simulated / "severities.csv")
    assert {(row["Image Index"], row["Finding Label"]) for row in severities} == truth
    assert all(0 <= float(row["Severity"]) <= 1 for row in severities)


def test_boxes_are_in_pixels_of_the_released_size_whatever_the_image_has(tmp_path: Path) -> None:
    image = replace(plan(CONFIG)[0], severities=(0.5,) + (-1.0,) * 13)
    write_tables(tmp_path, CONFIG, [image], [Drawn({"Atelectasis": (Box(1, 2, 3, 4),)}, ())])
    scale = RELEASED_SIZE / CONFIG.size
    with (tmp_path / "BBox_List_2017.csv").open(newline="") as file:
        row = list(csv.reader(file))[1]
    assert row[:2] == ["00000001_000.png", "Atelectasis"]
    assert [float(side) for side in row[2:6]] == [scale, 2 * scale, 3 * scale, 4 * scale]


def test_person_and_view_in_the_table_are_those_of_the_picture(simulated: Path) -> None:
    """The plan tells age and sex before anything is drawn; the renderer draws the same patient."""
    from pocketcxr.phantom.render import RenderRequest, render

    entries = rows(simulated / "Data_Entry_2017_v2020_clean.csv")
    for image, row in list(zip(plan(CONFIG), entries, strict=True))[:8]:
        rendered = render(RenderRequest(32, CONFIG.seed, image.patient, image.study, image.view, image.severities))
        assert (row["Patient Gender"], row["Patient Age"]) == (rendered.sex.value, str(rendered.age_years))
        assert row["View Position"] == image.view.value
        assert set(rendered.boxes) == set(image.truth)


def test_a_finished_simulation_is_used_as_it_is(simulated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "render", _never)
    before = {path: path.stat().st_mtime_ns for path in simulated.rglob("*")}
    assert simulate(simulated, CONFIG) == simulated
    assert {path: path.stat().st_mtime_ns for path in simulated.rglob("*")} == before


def _never(request: object) -> None:
    raise AssertionError(f"{request} was drawn again")


class StopError(Exception):
    """Stands for whatever stops a run."""


def test_an_interrupted_simulation_goes_on_where_it_stopped(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "resumed"
    stopped = _stop_after(30)
    with pytest.raises(StopError):
        simulate(out, CONFIG, progress=stopped)
    assert "state: unfinished" in (out / "SIMULATED.txt").read_text()
    done = {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    assert len(done) == 30
    (out / "images" / "00000001_000.png").write_bytes(b"half a picture")
    (out / "images" / "00000099_000.png.123.part").write_bytes(b"left by a writer that was killed")
    simulate(out, CONFIG)
    kept = [path for path, when in done.items() if path.stat().st_mtime_ns == when]
    assert len(kept) == 29
    assert tree(out) == tree(simulated)


def _stop_after(num_images: int):  # type: ignore[no-untyped-def]
    def listen(stage: str, done: int, total: int, figures: object = None) -> None:
        if stage == "simulating" and done == num_images:
            raise StopError

    return listen


def test_progress_counts_every_image(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    simulate(
        tmp_path / "told",
        CONFIG.model_copy(update={"images": 5}),
        1,
        lambda stage, done, total, _={}: told.append((stage, done, total)),
    )
    assert told == [("planning", 0, 5), ("planning", 5, 5)] + [("simulating", done, 5) for done in range(6)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"size": 64}, "size 32 there, 64 asked for"),
        ({"images": 71}, "images 70 there, 71 asked for"),
        ({"label_noise": LabelNoise(strength=1, confusion=0.3)}, "label_noise.confusion 0.2 there, 0.3 asked for"),
        ({"label_noise": LabelNoise(strength=0.5)}, "label_noise.strength 1.0 there, 0.5 asked for"),
    ],
)
def test_another_configuration_in_the_same_folder_is_refused(
    simulated: Path, change: dict[str, object], named: str
) -> None:
    before = tree(simulated)
    with pytest.raises(UsageError, match=named) as refused:
        simulate(simulated, CONFIG.model_copy(update=change))
    assert "name another folder" in str(refused.value)
    assert tree(simulated) == before


def test_a_simulation_of_another_version_is_refused(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"images": 2})
    notice = simulate(tmp_path / "old", config) / "SIMULATED.txt"
    notice.write_text(notice.read_text().replace(f"version: {__version__}", "version: 0.0.1"))
    with pytest.raises(UsageError, match=r"pocketcxr 0\.0\.1"):
        simulate(tmp_path / "old", config)


def test_a_folder_with_other_files_is_never_written_into(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="new or an empty folder"):
        simulate(tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="is a file"):
        simulate(tmp_path / "thesis.txt", CONFIG)


def test_a_notice_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "SIMULATED.txt").write_text("by somebody else")
    with pytest.raises(UsageError, match="no state, version or config"):
        simulate(tmp_path, CONFIG)


def test_a_full_disk_says_where_and_that_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "images/00000001_000.png")

    monkeypatch.setattr(picture, "_write", full)
    with pytest.raises(PocketCxrError, match=r"00000001_000\.png: cannot write \(No space left.*goes on"):
        simulate(tmp_path / "full", CONFIG)


def test_no_worker_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="workers is 0"):
        simulate(tmp_path / "none", CONFIG, workers=0)


def test_a_picture_carries_its_own_truth(tmp_path: Path) -> None:
    image = next(image for image in plan(CONFIG) if image.truth)
    (tmp_path / "images").mkdir()
    drawn = draw(Job(tmp_path, CONFIG), image)
    assert read_truth(tmp_path / "images" / image.image_id) == drawn
    assert set(drawn.boxes) == set(image.truth)


def test_chunks_keep_the_order_and_never_split_a_patient() -> None:
    images = plan(CONFIG.model_copy(update={"images": 300}))
    chunks = by_patient(images, least=7)
    assert tuple(image for chunk in chunks for image in chunk) == images
    assert all(len(chunk) >= 7 for chunk in chunks[:-1])
    patients = [{image.patient for image in chunk} for chunk in chunks]
    assert sum(len(group) for group in patients) == len(set().union(*patients))


SCRIPT = """
import sys
from pathlib import Path
from pocketcxr.apps.cli import console
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.write import simulate
if __name__ == "__main__":
    def listen(stage, done, total, figures=None):
        print(done if stage == "simulating" else 0, flush=True)
    try:
        simulate(Path(sys.argv[1]), PhantomConfig(images=3000, size=128, seed=1), 2, listen)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the process table in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_workers_say_nothing_and_leave_no_process(how: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    # A session of its own, and the signal to its whole group where it is Ctrl-C: as a terminal does it.
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    while int(process.stdout.readline()) == 0:
        pass
    if how is signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        process.kill()
    _, errors = process.communicate(timeout=60)
    # Python's own tracker of semaphores warns when its process was killed; that one line is all there may be.
    assert "Traceback" not in errors
    assert errors == "" or how is signal.SIGKILL
    assert process.returncode == (130 if how is signal.SIGINT else -how)
    for _ in range(200):
        if not _session(process.pid):
            break
        time.sleep(0.05)
    assert _session(process.pid) == []


def _session(leader: int) -> list[int]:
    """Processes of a session that still run."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z" and int(fields[3]) == leader:
            alive.append(int(stat.parent.name))
    return alive


def test_findings_in_the_plan_are_the_fourteen() -> None:
    assert {finding for image in plan(CONFIG) for finding in image.truth} <= set(CHESTXRAY14)
