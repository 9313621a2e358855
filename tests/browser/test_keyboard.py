"""The whole way without a mouse: choose a file, read its findings, pin one, take the heatmap away."""

from pathlib import Path

from playwright.sync_api import Page, expect

from .conftest import Visits
from .pictures import CAT, CHESTS
from .serving import Served

MOST_TABS = 60


def tab_to(page: Page, selector: str) -> None:
    """Presses Tab until the focus is on what matches."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement?.matches(selector) ?? false", selector):
            return
    raise AssertionError(f"{MOST_TABS} presses of Tab do not lead to {selector}")


def test_from_choosing_a_file_to_the_heatmap(visit: Visits, server: Served, files: dict[str, Path]) -> None:
    guest = visit().open(server.url)
    page = guest.page
    tab_to(page, "#add")
    with page.expect_file_chooser() as chosen:
        page.keyboard.press("Enter")
    chosen.value.set_files(files[CHESTS[0]])
    guest.until_done(1)
    expect(page.locator("#announcer")).to_contain_text(f"{CHESTS[0]}: scored.")
    page.locator("body").press("Home")
    tab_to(page, "[role=option]")
    order = list(guest.rows())
    for finding in order[:3]:
        expect(page.locator(":focus")).to_have_attribute("data-finding", finding)
        expect(guest.see("heatmap-name")).to_have_text(finding)
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    pinned = page.locator(f"[data-finding={order[1]}]")
    expect(pinned).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Tab")
    expect(guest.see("heatmap-name")).to_have_text(order[1])
    covered = guest.canvas()
    page.keyboard.press("h")
    expect(guest.see("heatmap-toggle")).to_have_attribute("aria-pressed", "false")
    assert guest.canvas()[1] == 0
    page.keyboard.press("h")
    page.keyboard.down("c")
    expect(guest.see("heatmap-name")).to_be_hidden()
    page.keyboard.up("c")
    assert guest.canvas() == covered


def test_files_are_walked_overridden_and_removed_by_keys(visit: Visits, server: Served, files: dict[str, Path]) -> None:
    guest = visit().open(server.url)
    page = guest.page
    guest.score(files[CHESTS[0]], files[CAT], files[CHESTS[2]])
    tab_to(page, ".file-open")
    for name in (CAT, CHESTS[2]):
        page.keyboard.press("ArrowDown")
        expect(page.locator("#image-name")).to_have_text(name)
    page.keyboard.press("p")
    expect(page.locator("#image-name")).to_have_text(CAT)
    tab_to(page, ".placeholder button")
    page.keyboard.press("Enter")
    expect(guest.see("remark-override")).to_be_visible()
    tab_to(page, f".file-open:has([title='{CAT}'])")
    page.keyboard.press("Delete")
    expect(page.locator(".file")).to_have_count(2)
    expect(page.locator(".file-open:focus")).to_have_count(1)


def test_the_keys_dialog_opens_closes_and_switches_single_keys_off(
    visit: Visits, server: Served, files: dict[str, Path]
) -> None:
    guest = visit().open(server.url)
    page = guest.page
    guest.score(files[CHESTS[0]])
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("h")
    page.locator("#single-keys").press("Space")
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("h")
    expect(guest.see("heatmap-toggle")).to_have_attribute("aria-pressed", "true")
    page.reload()
    guest.until_ready()
    page.keyboard.press("?")
    expect(page.locator("#single-keys")).not_to_be_checked()
