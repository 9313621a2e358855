"""Once loaded the page needs no server; a new version of the site is offered and taken over whole."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import Predicted, Visits
from .pictures import CHESTS
from .serving import export, plain_server, serving
from .test_scores import check_rows

pytestmark = pytest.mark.slow
OFFLINE = "net::ERR_|FetchEvent|Failed to fetch"


def test_it_opens_and_scores_with_the_server_gone(
    visit: Visits, bundle: Path, files: dict[str, Path], predicted: Predicted
) -> None:
    guest = visit(service_workers="allow")
    with serving(bundle) as server:
        guest.open(server.url)
        expect(guest.see("connection")).to_have_text("Works offline")
        server.process.kill()
        server.process.wait()
    guest.expected.append(OFFLINE)
    guest.context.set_offline(True)
    guest.page.reload()
    guest.until_ready()
    # Their codecs are loaded with the first file that needs them.
    guest.score(*(files[name] for name in CHESTS))
    for name in CHESTS:
        guest.select(name)
        check_rows(guest, predicted[name])


def test_a_new_version_is_offered_and_taken_over_when_asked(
    visit: Visits, bundle: Path, site: Path, tmp_path: Path
) -> None:
    newer = tmp_path / "newer page"
    shutil.copytree(site, newer)
    index = newer / "index.html"
    index.write_text(index.read_text(encoding="utf-8").replace("<title>pocketcxr", "<title>newer pocketcxr"))
    for compressed in (".br", ".gz"):
        index.with_name(index.name + compressed).unlink()
    www = tmp_path / "www"
    export(bundle, www / "cxr")
    guest = visit(service_workers="allow")
    with plain_server(www) as root:
        guest.open(f"{root}cxr/")
        expect(guest.see("connection")).to_have_text("Works offline")
        expect(guest.see("update")).to_be_hidden()
        export(bundle, www / "cxr", "--page", newer)
        guest.page.reload()
        guest.until_ready()
        expect(guest.see("update")).to_be_visible()
        assert guest.page.title() == "pocketcxr"
        guest.see("update").get_by_role("button").click()
        expect(guest.page).to_have_title("newer pocketcxr")
        guest.until_ready()
        expect(guest.see("update")).to_be_hidden()
        names = guest.page.evaluate("caches.keys()")
        assert len(names) == 1
