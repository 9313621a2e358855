"""The heatmap over the image: there or not, whose it is, and what its colours stand for."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from pocketcxr.imaging.load import load
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.predict import Scored, score
from pocketcxr.runtime.session import open_engine

from .bundles import FINDINGS, UNLEARNT
from .conftest import Visits
from .pictures import CHESTS
from .serving import Served

FILE = CHESTS[0]
LEARNT = [place for place, finding in enumerate(FINDINGS) if finding != UNLEARNT]


@pytest.fixture(scope="module")
def scored(bundle: Path, files: dict[str, Path]) -> Scored:
    """The file's class maps as Python has them."""
    return score(open_engine(open_bundle(bundle), 1), load(files[FILE]))


def test_the_heatmap_comes_and_goes(visit: Visits, server: Served, files: dict[str, Path]) -> None:
    guest = visit().open(server.url)
    guest.score(files[FILE])
    toggle = guest.see("heatmap-toggle")
    expect(toggle).to_have_attribute("aria-pressed", "true")
    covered, coloured = guest.canvas()
    assert coloured > 0.05
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "false")
    expect(guest.see("colour-bar")).to_be_hidden()
    bare, still_coloured = guest.canvas()
    assert still_coloured == 0
    toggle.click()
    assert guest.canvas() == (covered, coloured)
    guest.page.locator("#compare").dispatch_event("pointerdown", {"pointerId": 1})
    assert guest.canvas() == (bare, 0)
    guest.page.locator("#compare").dispatch_event("blur")
    assert guest.canvas() == (covered, coloured)
    expect(guest.see("heatmap-limits")).to_contain_text("It does not prove that the finding is there")


def test_every_finding_has_its_own_heatmap(visit: Visits, server: Served, files: dict[str, Path]) -> None:
    guest = visit().open(server.url)
    guest.score(files[FILE])
    seen = set()
    for place in LEARNT:
        guest.page.locator(f"[data-finding={FINDINGS[place]}]").hover()
        expect(guest.see("heatmap-name")).to_have_text(FINDINGS[place])
        seen.add(guest.canvas()[0])
    assert len(seen) == len(LEARNT)


def test_the_colour_bar_ends_where_predicts_does(
    visit: Visits, server: Served, files: dict[str, Path], scored: Scored
) -> None:
    scale = float(np.abs(scored.class_maps[LEARNT]).max())
    image = (scored.radiograph.height, scored.radiograph.width)
    guest = visit().open(server.url)
    guest.score(files[FILE])
    for place in LEARNT:
        guest.page.locator(f"[data-finding={FINDINGS[place]}]").hover()
        expect(guest.see("heatmap-name")).to_have_text(FINDINGS[place])
        is_signed = bool(scored.heatmap(FINDINGS[place], image).min() < 0)
        figures = guest.page.locator(".bar-figures span").all_text_contents()
        told = [float(figure.replace("\u2212", "-")) for figure in figures]
        shares = (1, 0.5, 0, -0.5, -1) if is_signed else (1, 0.75, 0.5, 0.25, 0)
        assert told == pytest.approx([share * scale for share in shares], rel=0.005, abs=1e-9)
        assert figures[0].startswith("+") == is_signed
    ends = guest.see("colour-bar").get_attribute("aria-label")
    assert ends is not None
    assert ends.startswith("Colour bar from")


def test_a_pinned_finding_stays_from_file_to_file(visit: Visits, server: Served, files: dict[str, Path]) -> None:
    guest = visit().open(server.url)
    guest.score(files[FILE], files[CHESTS[1]])
    wanted = list(guest.rows())[2]
    guest.page.locator(f"[data-finding={wanted}]").click()
    guest.select(CHESTS[1])
    expect(guest.see("heatmap-name")).to_have_text(wanted)
    expect(guest.page.locator(f"[data-finding={wanted}]")).to_have_attribute("aria-selected", "true")


def test_window_zoom_and_opacity_change_what_is_drawn(visit: Visits, server: Served, files: dict[str, Path]) -> None:
    guest = visit().open(server.url)
    guest.score(files[FILE])
    first = guest.canvas()[0]
    seen = {first}
    for key in ("i", "+", "]"):
        guest.page.keyboard.press(key)
        seen.add(guest.canvas()[0])
    guest.page.locator("#opacity").fill("20")
    seen.add(guest.canvas()[0])
    assert len(seen) == 5
    guest.page.locator("#opacity").fill("100")
    guest.page.keyboard.press("i")
    guest.page.keyboard.press("r")
    assert guest.canvas()[0] == first
