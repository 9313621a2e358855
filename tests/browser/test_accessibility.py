"""axe-core finds nothing to object to: in every state, on a desktop and on a phone, dark and light."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from .conftest import PAGE, Visits
from .pictures import CAT, CHESTS
from .serving import Served
from .visiting import Visit

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SCREENS = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
THEMES = ("dark", "light")
RUN = """async rules => {
    const {violations} = await axe.run(document, {runOnly: {type: "tag", values: rules}});
    return violations.flatMap(({id, nodes}) => nodes.map(node => `${id}: ${node.html} ${node.failureSummary}`));
}"""

Objections = Callable[[Visit], list[str]]


@pytest.fixture(scope="module")
def objections() -> Objections:
    """What axe-core objects to on the page as it is. DevTools run it, so the page's own policy stays as it is."""
    source = (PAGE / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")

    def look(guest: Visit) -> list[str]:
        if not guest.page.evaluate("typeof axe === 'object'"):
            guest.page.evaluate(source)
        found: list[str] = guest.page.evaluate(RUN, RULES)
        return found

    return look


def arrive(visit: Visits, server: Served, screen: str, theme: str, **options: Any) -> Visit:
    """Somebody with that screen, who has chosen that theme."""
    guest = visit(viewport=SCREENS[screen], has_touch=screen == "phone", **options).open(server.url)
    if theme == "light":
        guest.see("theme").click()
    expect(guest.page.locator("html")).to_have_attribute("data-theme", theme)
    return guest


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("screen", SCREENS)
def test_no_state_of_the_page_shuts_anybody_out(
    visit: Visits, server: Served, files: dict[str, Path], objections: Objections, screen: str, theme: str
) -> None:
    guest = arrive(visit, server, screen, theme)
    found = {"empty": objections(guest)}
    guest.score(files[CHESTS[0]], files[CAT])
    found["scored"] = objections(guest)
    guest.select(CAT)
    found["refused"] = objections(guest)
    guest.page.get_by_role("button", name="Score it anyway").click()
    expect(guest.see("remark-override")).to_be_visible()
    found["overridden"] = objections(guest)
    for dialog in ("help", "privacy"):
        guest.page.locator(f"#{dialog}-open").click()
        found[dialog] = objections(guest)
        guest.page.keyboard.press("Escape")
    assert {state: told for state, told in found.items() if told} == {}


@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_is_wider_than_the_screen(visit: Visits, server: Served, files: dict[str, Path], screen: str) -> None:
    guest = arrive(visit, server, screen, "dark", locale="de-DE")
    guest.score(files[CHESTS[0]])
    wide = guest.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]


@pytest.mark.parametrize("screen", SCREENS)
def test_what_it_is_for_is_always_in_sight(visit: Visits, server: Served, files: dict[str, Path], screen: str) -> None:
    guest = arrive(visit, server, screen, "dark")
    guest.score(files[CHESTS[0]])
    for place in (0, 100_000):
        guest.page.mouse.wheel(0, place)
        expect(guest.see("notice")).to_be_in_viewport(ratio=1)


def test_the_check_can_fail(visit: Visits, server: Served, objections: Objections) -> None:
    guest = visit().open(server.url)
    guest.page.evaluate("document.querySelector('.brand img').removeAttribute('alt')")
    assert [told.split(":")[0] for told in objections(guest)] == ["image-alt"]
