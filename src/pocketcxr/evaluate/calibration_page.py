"""One self-contained HTML page of a calibration: figures before and after, reliability curves, operating points."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pocketcxr.evaluate import wording
from pocketcxr.evaluate.calibration_report import WIDE, CalibrationReport
from pocketcxr.evaluate.operating_points import CRITERIA
from pocketcxr.evaluate.pages import template, write_whole
from pocketcxr.evaluate.reliability_plot import reliability_plot


@dataclass(frozen=True, eq=False)
class CalibrationContent:
    """The whole page."""

    title: str
    created: str
    """Date and time, ready to read."""
    version: str
    is_simulated: bool
    report: CalibrationReport
    before: str
    """What the figures before are of, in words."""
    kept: Mapping[str, str]
    """Finding -> why it was not fitted."""


def write_calibration(content: CalibrationContent, path: Path) -> None:
    """Write the page to `path`, replacing it whole."""
    write_whole(render_calibration(content), path)


def render_calibration(content: CalibrationContent) -> str:
    """The page as text: no script, no address, light and dark."""
    plots = [
        (row.finding, reliability_plot(row.finding, row.before, row.after))
        for row in content.report.findings
        if row.before is not None
    ]
    return template("calibration.html.j2").render(
        content=content, wording=wording, plots=plots, criteria=CRITERIA, wide=WIDE, headline=headline(content.report)
    )


def headline(report: CalibrationReport) -> str:
    """What calibration changed, in one sentence, whatever it is."""
    means = report.mean_before_and_after("ece_equal_mass")
    if means is None:
        return "No finding was calibrated."
    before, after = means
    count = len(report.calibrated)
    return (
        f"Mean calibration error {wording.number(before)} before and {wording.number(after)} after,"
        f" over {count} finding{'' if count == 1 else 's'}."
    )
