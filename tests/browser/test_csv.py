"""Several files and their CSV, which is the one that `pocketcxr predict --csv` writes."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Visits
from .pictures import CAT, TREE
from .serving import Served

MOST_PROBABILITY = 1e-3
MOST_LOGIT = 5e-3


def table(text: str) -> list[dict[str, str]]:
    """The lines of a CSV text by its header."""
    return list(csv.DictReader(io.StringIO(text)))


def saved(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


@pytest.mark.slow
def test_the_csv_of_all_files_is_predicts(
    visit: Visits, server: Served, files: dict[str, Path], predict: Callable[..., str]
) -> None:
    guest = visit().open(server.url)
    guest.score(*files.values())
    with guest.page.expect_download() as download:
        guest.see("export").click()
    assert download.value.suggested_filename == "tiny-scores.csv"
    ours, page = predict("--csv"), saved(Path(download.value.path()))
    assert page.splitlines()[0] == ours.splitlines()[0]
    for one, other in zip(table(ours), table(page), strict=True):
        assert (one["path"], one["status"]) == (other["path"], other["status"])
        # A refusal's detail is each decoder's own; that there is one, and for which file, is the same.
        assert other["message"].startswith(one["path"]) == (one["status"] != "scored")
        for column in one.keys() - {"path", "status", "message"}:
            most = MOST_LOGIT if column.startswith("logit.") else MOST_PROBABILITY
            assert bool(one[column]) == bool(other[column])
            if one[column]:
                assert float(other[column]) == pytest.approx(float(one[column]), abs=most), (one["path"], column)


def test_the_csv_says_what_was_scored_against_the_check(visit: Visits, server: Served, files: dict[str, Path]) -> None:
    guest = visit().open(server.url)
    guest.score(files[TREE], files[CAT])
    guest.page.get_by_role("button", name="Score it anyway").click()
    guest.until_done(2)
    with guest.page.expect_download() as download:
        guest.see("export").click()
    tree, cat = table(saved(Path(download.value.path())))
    assert (tree["status"], cat["status"]) == ("scored", "not-a-chest-radiograph")
    assert tree["message"] == f"{TREE}: scored against the input check (not-a-chest-radiograph)"
    assert tree["Mass"]
    assert cat["Mass"] == ""
