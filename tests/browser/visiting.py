"""A person's visit to the page: what they do, what they see, and everything that went wrong meanwhile."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, FileChooser, Locator, Page, Request, WebError, expect

LIMIT_MS = 120_000
"""A machine that runs other tests takes its time."""
_OF_PLAYWRIGHT = re.compile("Service Worker registration blocked by Playwright|not kept for offline use.*'waiting'")
"""Where service workers are blocked: a warning, and a registration that is undefined, which no browser gives."""
expect.set_options(timeout=LIMIT_MS / 4)
_UNDONE = ".file[data-status=queued], .file[data-status=scoring]"
_ROWS = """rows => rows.map(row => ({
    finding: row.dataset.finding,
    figure: row.querySelector(".finding-figure")?.textContent ?? null,
    share: row.querySelector(".bar-fill") ? parseFloat(row.querySelector(".bar-fill").style.width) / 100 : null,
    decision: row.querySelector(".decision")?.textContent ?? null,
    note: row.querySelector(".finding-note")?.textContent ?? null,
    isCalibrated: row.querySelector(".mark-uncalibrated") === null,
}))"""
_PIXELS = """async canvas => {
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
    copy.drawImage(canvas, 0, 0);
    const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
    const digest = await crypto.subtle.digest("SHA-256", data);
    let coloured = 0;
    for (let at = 0; at < data.length; at += 4) coloured += data[at] !== data[at + 1] || data[at] !== data[at + 2];
    return [Array.from(new Uint8Array(digest)).join(), coloured / (data.length / 4)];
}"""


@dataclass(frozen=True)
class Row:
    """A finding as the page lists it."""

    finding: str
    figure: str | None
    share: float | None
    """How much of the bar is full: the probability, unrounded."""
    decision: str | None
    note: str | None
    isCalibrated: bool  # noqa: N815 - as the script names it


@dataclass(eq=False)
class Visit:
    """One page in a browser context of its own."""

    context: BrowserContext
    expected: list[str] = field(default_factory=list)
    """Patterns of console messages that belong to the story."""
    problems: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    page: Page = field(init=False)

    def __post_init__(self) -> None:
        self.context.set_default_timeout(LIMIT_MS)
        self.context.on("console", self._hear)
        self.context.on("weberror", self._hear_error)
        self.context.on("request", self._note)
        self.page = self.context.new_page()
        # Choosers are caught from now on: asking for one only when it is due comes too late for a key.
        self.page.on("filechooser", self._leave)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _OF_PLAYWRIGHT.search(message.text):
            self.problems.append(f"{message.type}: {message.text}")

    def _hear_error(self, error: WebError) -> None:
        self.problems.append(f"uncaught: {error.error}")

    def _leave(self, chooser: FileChooser) -> None:
        """Nothing: who expects a chooser, answers it."""

    def _note(self, request: Request) -> None:
        self.requests.append(request)

    @property
    def unexpected(self) -> list[str]:
        """Console errors and warnings, broken policies and uncaught errors that no pattern expects."""
        return [one for one in self.problems if not any(re.search(pattern, one) for pattern in self.expected)]

    def see(self, test_id: str) -> Locator:
        """The part of the page with that data-testid."""
        return self.page.get_by_test_id(test_id)

    def open(self, url: str) -> "Visit":
        """Goes there and waits until the model is loaded."""
        self.page.goto(url)
        return self.until_ready()

    def until_ready(self) -> "Visit":
        """Waits until the model is loaded."""
        expect(self.see("model").locator("code")).to_be_visible(timeout=LIMIT_MS)
        return self

    def drop(self, *paths: Path) -> None:
        """Lets files or folders fall on the page, as the system's file manager does."""
        session = self.context.new_cdp_session(self.page)
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})
        session.detach()

    def score(self, *paths: Path) -> None:
        """Drops files one by one, so that they stand in that order, and waits for all answers."""
        before = self.page.locator(".file").count()
        self.drop(*paths)
        self.until_done(before + len(paths))

    def until_done(self, num_files: int) -> None:
        """Waits until the list has so many files and each of them its answer."""
        expect(self.page.locator(".file")).to_have_count(num_files, timeout=LIMIT_MS)
        expect(self.page.locator(_UNDONE)).to_have_count(0, timeout=LIMIT_MS)

    def file(self, name: str) -> Locator:
        """The row of a file."""
        return self.page.locator(".file").filter(has=self.page.get_by_title(name, exact=True))

    def select(self, name: str) -> None:
        """Clicks on a file and waits until it is the shown one."""
        self.file(name).locator(".file-open").click()
        expect(self.page.locator("#image-name")).to_have_text(name)

    def rows(self) -> dict[str, Row]:
        """The findings listed for the selected file, in their order."""
        expect(self.see("finding-list")).to_be_visible()
        told: list[dict[str, Any]] = self.page.locator("[role=option][data-finding]").evaluate_all(_ROWS)
        return {row.finding: row for row in (Row(**one) for one in told)}

    def canvas(self) -> tuple[str, float]:
        """A digest of the drawn pixels, and the share of them that is not gray."""
        digest, share = self.see("canvas").evaluate(_PIXELS)
        return digest, share
