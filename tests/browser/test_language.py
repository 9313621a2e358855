"""German and English, dark and light: chosen on the page, kept for the next visit."""

import json
import re
from pathlib import Path

from playwright.sync_api import expect

from .conftest import REPOSITORY, Visits
from .pictures import CAT, CHESTS
from .serving import Served


def words(language: str) -> dict[str, str]:
    path = REPOSITORY / "page" / "src" / "messages" / f"{language}.json"
    texts: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return texts


def test_the_page_changes_its_language_at_once_and_keeps_it(
    visit: Visits, server: Served, files: dict[str, Path]
) -> None:
    english, german = words("en"), words("de")
    guest = visit().open(server.url)
    guest.score(files[CHESTS[0]], files[CAT])
    figure = next(iter(guest.rows().values())).figure
    assert figure is not None
    guest.see("language").select_option("de")
    expect(guest.page.locator("html")).to_have_attribute("lang", "de")
    expect(guest.see("notice")).to_have_text(german["notice"])
    expect(guest.see("heatmap-limits")).to_have_text(german["heatmap.limits"])
    row = next(iter(guest.rows().values()))
    assert row.figure == figure.replace(".", ",")
    guest.select(CAT)
    expect(guest.see("placeholder-refused")).to_contain_text(german["refused.not-a-chest-radiograph"])
    only_english = [
        text
        for key, text in english.items()
        if german[key] != text and "{" not in text and len(text) > 12 and not key.startswith("finding.")
    ]
    seen = guest.page.locator("body").inner_text()
    assert [text for text in only_english if re.search(rf"\b{re.escape(text)}(?!\w)", seen)] == []
    guest.page.reload()
    guest.until_ready()
    expect(guest.see("notice")).to_have_text(german["notice"])


def test_the_browsers_language_is_spoken_first(visit: Visits, server: Served) -> None:
    for locale, spoken in (("de-AT", "de"), ("en-US", "en"), ("fr-FR", "en")):
        guest = visit(locale=locale).open(server.url)
        expect(guest.page.locator("html")).to_have_attribute("lang", spoken)


def test_the_theme_is_dark_until_another_is_chosen_and_kept(visit: Visits, server: Served) -> None:
    guest = visit(color_scheme="light").open(server.url)
    root = guest.page.locator("html")
    expect(root).to_have_attribute("data-theme", "dark")
    guest.see("theme").click()
    expect(root).to_have_attribute("data-theme", "light")
    guest.page.reload()
    guest.until_ready()
    expect(root).to_have_attribute("data-theme", "light")
