"""The site as a folder: whole or not at all, nothing of a person's overwritten."""

import hashlib
from pathlib import Path

import pytest

from pocketcxr.apps.web import export_site as exporting
from pocketcxr.apps.web.export_site import HOST_HEADERS, READ_ME, SUMS, export_site
from pocketcxr.apps.web.security import BUNDLE_POLICY, COMMON_HEADERS, PAGE_POLICY
from pocketcxr.apps.web.site import Site, make_site
from pocketcxr.domain.errors import PocketCxrError, UsageError
from pocketcxr.runtime.bundle import Bundle, open_bundle


@pytest.fixture(scope="module")
def site(opened: Bundle, page_folder: Path) -> Site:
    return make_site(opened, "fp32", page_folder)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_holds_what_is_served_and_its_sums(site: Site, opened: Bundle, tmp_path: Path) -> None:
    export_site(site, tmp_path / "new" / "site")
    written = _contents(tmp_path / "new" / "site")
    assert {name: file.content for name, file in site.files.items()}.items() <= written.items()
    assert written["index.html.br"] == b"brotli"
    sums = dict(reversed(line.split("  ", 1)) for line in written.pop(SUMS).decode().splitlines())
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in written.items()}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["site"]
    assert open_bundle(tmp_path / "new" / "site" / "bundle").digest == opened.digest


def test_an_earlier_export_is_replaced_whole(site: Site, opened: Bundle, page_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / "empty").mkdir()
    export_site(make_site(opened, "fp16", page_folder), out)
    fewer = Site({name: site.files[name] for name in ("index.html", "site.json")}, "tiny", opened.digest, "fp32")
    export_site(fewer, out)
    assert set(_contents(out)) == {*fewer.files, "index.html.br", "index.html.gz", READ_ME, HOST_HEADERS, SUMS}


@pytest.mark.parametrize("name", ["CNAME", "bundle/notes.txt", ".git"])
def test_what_a_person_put_there_stays(site: Site, tmp_path: Path, name: str) -> None:
    out = tmp_path / "site"
    export_site(site, out)
    (out / name).write_text("mine")
    before = _contents(out)
    with pytest.raises(UsageError, match=rf"holds {name}, which no export wrote"):
        export_site(site, out)
    assert _contents(out) == before


def test_a_file_is_no_folder(site: Site, tmp_path: Path) -> None:
    (tmp_path / "site").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        export_site(site, tmp_path / "site")


def test_an_export_that_was_stopped_leaves_the_earlier_one(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "site"
    export_site(site, out)
    before = _contents(out)

    def full(files: dict[str, bytes], folder: Path) -> None:
        folder.mkdir()
        (folder / "index.html").write_bytes(files["index.html"])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_write", full)
    for folder in (out, tmp_path / "other"):
        with pytest.raises(PocketCxrError, match="No space left on device"):
            export_site(site, folder)
    assert _contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_hosts_and_people_are_told_the_headers(site: Site, tmp_path: Path) -> None:
    export_site(site, tmp_path / "site")
    blocks: dict[str, list[str]] = {}
    for line in (tmp_path / "site" / HOST_HEADERS).read_text().splitlines():
        if line.startswith("/"):
            here = blocks.setdefault(line, [])
        else:
            here.append(line.strip())
    assert set(blocks["/*"]) == {f"{name}: {value}" for name, value in COMMON_HEADERS.items()} | {
        "Cache-Control: no-cache"
    }
    # Two policies on one file would both hold.
    assert blocks["/bundle/*"] == [f"Content-Security-Policy: {BUNDLE_POLICY}"]
    for name in ("/", "/index.html", "/worker.js", "/service-worker.js"):
        assert f"Content-Security-Policy: {PAGE_POLICY}" in blocks[name]
    text = (tmp_path / "site" / READ_ME).read_text()
    assert all(part in text for part in (PAGE_POLICY, BUNDLE_POLICY, "Research use only", site.bundle_digest))
