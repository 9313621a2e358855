"""What the page says of a file is what `pocketcxr predict` says, however the file came and whatever kind it is."""

import base64
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from .bundles import CALIBRATED, FINDINGS, UNLEARNT
from .conftest import Predicted, Visits
from .pictures import CHESTS
from .serving import Served
from .visiting import Visit

MOST_PROBABILITY = 1e-3


def check_rows(visit: Visit, result: dict[str, Any], operating_point: str = "youden") -> None:
    """That the page lists the scores of this result of `predict --json`."""
    rows = visit.rows()
    scores = {score["finding"]: score for score in result["findings"]}
    assert set(rows) == set(scores) == set(FINDINGS)
    for finding, score in scores.items():
        row, probability = rows[finding], score["probability"]
        if probability is None:
            assert (row.figure, row.share, row.decision) == (None, None, None)
            continue
        assert row.share == pytest.approx(probability, abs=MOST_PROBABILITY)
        assert row.figure is not None
        assert float(row.figure) == pytest.approx(probability, abs=MOST_PROBABILITY + 5e-4)
        assert row.isCalibrated == score["is_calibrated"]
        (decision,) = (one for one in score["decisions"] if one["operating_point"] == operating_point)
        if abs(probability - decision["threshold"]) > MOST_PROBABILITY:
            assert row.decision == ("positive" if decision["is_positive"] else "negative")


def test_dropped_files_of_every_kind_get_predicts_scores(
    visit: Visits, server: Served, files: dict[str, Path], predicted: Predicted
) -> None:
    guest = visit().open(server.url)
    guest.score(*(files[name] for name in CHESTS))
    for name in CHESTS:
        guest.select(name)
        check_rows(guest, predicted[name])
    guest.see("operating-point").select_option("sensitivity-90")
    check_rows(guest, predicted[CHESTS[-1]], "sensitivity-90")
    expect(guest.see("files-summary")).to_have_text(f"{len(CHESTS)} scored, 0 refused")


def test_the_files_differ_by_more_than_the_tolerance(predicted: Predicted) -> None:
    told = [[score["probability"] or 0 for score in predicted[name]["findings"]] for name in CHESTS]
    for place, one in enumerate(told):
        for other in told[place + 1 :]:
            assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 10 * MOST_PROBABILITY
    scores = [score for name in CHESTS for score in predicted[name]["findings"]]
    assert {point["is_positive"] for score in scores for point in score["decisions"]} == {True, False}


def test_a_picked_file_gets_the_same_scores(
    visit: Visits, server: Served, files: dict[str, Path], predicted: Predicted
) -> None:
    guest = visit().open(server.url)
    with guest.page.expect_file_chooser() as chosen:
        guest.page.get_by_role("button", name="Choose files").click()
    chosen.value.set_files(files[CHESTS[2]])
    guest.until_done(1)
    check_rows(guest, predicted[CHESTS[2]])


def test_a_pasted_picture_gets_the_same_scores(
    visit: Visits, server: Served, files: dict[str, Path], predicted: Predicted
) -> None:
    guest = visit().open(server.url)
    content = base64.b64encode(files[CHESTS[0]].read_bytes()).decode()
    guest.page.evaluate(
        """content => {
            const bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([bytes], "image.png", {type: "image/png"}));
            window.dispatchEvent(new ClipboardEvent("paste", {clipboardData}));
        }""",
        content,
    )
    guest.until_done(1)
    check_rows(guest, predicted[CHESTS[0]])


def test_files_that_come_while_the_model_loads_wait_for_it(
    visit: Visits, server: Served, files: dict[str, Path], predicted: Predicted
) -> None:
    guest = visit()
    guest.page.goto(server.url)
    guest.score(files[CHESTS[3]])
    check_rows(guest, predicted[CHESTS[3]])


def test_a_dropped_folder_gives_its_files(
    visit: Visits, server: Served, files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "ward" / "monday").mkdir(parents=True)
    for name, place in ((CHESTS[0], "ward"), (CHESTS[2], "ward/monday")):
        (tmp_path / place / name).write_bytes(files[name].read_bytes())
    (tmp_path / "ward" / ".hidden").write_bytes(b"of the file manager")
    guest = visit().open(server.url)
    guest.drop(tmp_path / "ward")
    guest.until_done(2)
    for name in (f"ward/{CHESTS[0]}", f"ward/monday/{CHESTS[2]}"):
        expect(guest.file(name)).to_have_attribute("data-status", "scored")


def test_a_finding_never_learnt_has_no_score(visit: Visits, server: Served, files: dict[str, Path]) -> None:
    guest = visit().open(server.url)
    guest.score(files[CHESTS[0]])
    rows = guest.rows()
    assert list(rows)[-1] == UNLEARNT
    assert rows[UNLEARNT].note == "not learnt: no score"
    row = guest.page.locator(f"[data-finding={UNLEARNT}]")
    expect(row).to_have_attribute("aria-disabled", "true")
    row.dispatch_event("click")
    expect(guest.see("heatmap-name")).not_to_have_text(UNLEARNT)
    assert {finding for finding, one in rows.items() if one.isCalibrated} == {*CALIBRATED, UNLEARNT}
    expect(guest.see("simulated")).to_be_visible()
    expect(guest.see("no-gate")).to_be_hidden()
