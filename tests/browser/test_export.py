"""The site on other servers: exported, in a subfolder, damaged; and on the threads that headers allow."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import Predicted, Visits
from .pictures import CHESTS
from .serving import Served, export, plain_server
from .test_scores import check_rows

MOST_THREADS = 4


@pytest.fixture
def exported(bundle: Path, tmp_path: Path) -> Path:
    """An export in a subfolder of what a plain web server serves."""
    export(bundle, tmp_path / "www" / "department" / "cxr")
    return tmp_path / "www"


def test_served_by_us_it_runs_on_several_threads(visit: Visits, server: Served, files: dict[str, Path]) -> None:
    guest = visit().open(server.url)
    assert guest.page.evaluate("crossOriginIsolated") is True
    guest.score(files[CHESTS[0]])
    expect(guest.see("timings")).to_contain_text(f"threads: {min(os.cpu_count() or 1, MOST_THREADS)}")


def test_served_by_any_server_it_runs_on_one(
    visit: Visits, exported: Path, files: dict[str, Path], predicted: Predicted
) -> None:
    with plain_server(exported) as root:
        guest = visit().open(f"{root}department/cxr/")
        assert guest.page.evaluate("crossOriginIsolated") is False
        guest.score(files[CHESTS[1]])
        expect(guest.see("timings")).to_contain_text("threads: 1")
        check_rows(guest, predicted[CHESTS[1]])
        assert guest.page.locator("[data-testid=model] a").get_attribute("href") == "bundle/model_card.html"


@pytest.mark.parametrize("name", ["model.onnx", "card.json", "input-gate.onnx"])
def test_a_changed_byte_is_told_and_nothing_is_scored(
    visit: Visits, exported: Path, files: dict[str, Path], name: str
) -> None:
    path = exported / "department" / "cxr" / "bundle" / name
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    guest = visit()
    with plain_server(exported) as root:
        guest.page.goto(f"{root}department/cxr/")
        notice = guest.see("placeholder-failed")
        expect(notice).to_contain_text("The model's files are not what its card says")
        expect(notice).to_contain_text("must put the bundle there anew")
        guest.drop(files[CHESTS[0]])
        expect(guest.page.locator(".file")).to_have_attribute("data-status", "queued")
        expect(guest.see("finding-list")).to_be_hidden()
        notice.get_by_text("Technical detail").click()
        expect(notice).to_contain_text(name)
        damaged_at = path.stat().st_mtime_ns
        path.write_bytes(whole)
        # Put there within the same second, it is "not modified" to any server: the browser's copy is the damaged one.
        os.utime(path, ns=(damaged_at, damaged_at))
        notice.get_by_role("button", name="Try again").click()
        guest.until_done(1)
        expect(guest.see("finding-list")).to_be_visible()
