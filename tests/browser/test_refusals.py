"""What must not be scored is refused with predict's code, in words; what was judged by eye may be overridden."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import REPOSITORY, Predicted, Visits
from .pictures import CAT, CHESTS, CHILD, CUT_SHORT, TEXT, TREE, TURNED
from .serving import Served
from .test_scores import check_rows

REFUSED = (CAT, TREE, TURNED, CHILD, CUT_SHORT, TEXT)
OVERRIDABLE = {CAT, TREE, TURNED}
WORDS = json.loads((REPOSITORY / "page" / "src" / "messages" / "en.json").read_text(encoding="utf-8"))


def test_refusals_are_predicts_and_say_what_to_do(
    visit: Visits, server: Served, files: dict[str, Path], predicted: Predicted
) -> None:
    guest = visit().open(server.url)
    guest.score(files[CHESTS[0]], *(files[name] for name in REFUSED))
    for name in REFUSED:
        code = predicted[name]["code"]
        expect(guest.file(name)).to_have_attribute("data-status", "refused")
        guest.select(name)
        notice = guest.see("placeholder-refused")
        expect(notice).to_contain_text(WORDS[f"refused.{code}"])
        expect(notice).to_contain_text(WORDS[f"next.{code}"])
        expect(notice.locator("code")).to_have_text(code)
        expect(notice.get_by_role("button", name="Score it anyway")).to_have_count(int(name in OVERRIDABLE))
        expect(guest.see("finding-list")).to_be_hidden()
        expect(guest.see("canvas")).to_be_hidden()
    expect(guest.see("files-summary")).to_have_text(f"1 scored, {len(REFUSED)} refused")


def test_an_overridden_refusal_is_scored_under_a_lasting_banner(
    visit: Visits, server: Served, files: dict[str, Path], predict: Callable[..., str]
) -> None:
    unchecked = {one["path"]: one for one in json.loads(predict("--json", "--no-input-gate"))["results"]}
    guest = visit().open(server.url)
    guest.score(files[TREE], files[CHESTS[0]])
    guest.page.get_by_role("button", name="Score it anyway").click()
    banner = guest.see("remark-override")
    expect(banner).to_contain_text("Scored against the input check.")
    expect(banner).to_contain_text(WORDS["refused.not-a-chest-radiograph"])
    check_rows(guest, unchecked[TREE])
    expect(guest.file(TREE)).to_contain_text("not checked")
    guest.select(CHESTS[0])
    expect(banner).to_have_count(0)
    guest.select(TREE)
    expect(banner).to_be_visible()


@pytest.mark.parametrize("name", ["chelsea.png", "camera.png"])
def test_photographs_are_refused(visit: Visits, server: Served, name: str) -> None:
    skimage = pytest.importorskip("skimage", reason="its sample pictures are dropped")
    guest = visit().open(server.url)
    guest.score(Path(skimage.__file__).parent / "data" / name)
    expect(guest.see("placeholder-refused").locator("code")).to_have_text("not-a-chest-radiograph")


def test_a_file_that_went_away_is_told(visit: Visits, server: Served, files: dict[str, Path], tmp_path: Path) -> None:
    guest = visit()
    guest.expected.append("ERR_FILE_NOT_FOUND|ERR_UPLOAD_FILE_CHANGED")
    gone = tmp_path / "gone.png"
    gone.write_bytes(files[CHESTS[0]].read_bytes())
    guest.page.goto(server.url)
    guest.drop(gone)
    expect(guest.page.locator(".file")).to_have_count(1)
    gone.unlink()
    guest.until_ready()
    expect(guest.file("gone.png")).to_have_attribute("data-status", "unreadable")
    expect(guest.see("placeholder-unreadable")).to_contain_text("moved, changed or taken away")
