"""Tables that more than one layout has: the truth beside the labels."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.phantom.picture import Drawn
from pocketcxr.phantom.plan import PlannedImage

MARK = "yes"
Row = Sequence[str | int]
Quoting = Literal["none", "where needed"]

TRUTH_CONTENTS = """\
severities.csv                     how far each finding has gone: its quantile among images that have it, 0..1
devices.csv                        lines, tubes, leads and implants over the chest
"""
BOX_CONTENTS = """\
boxes.csv                          boxes of every finding that is truly there, of all images, in their own pixels
"""


def write_table(path: Path, header: Row, rows: Iterable[Row], quoting: Quoting = "where needed") -> None:
    """Writes a CSV file; quoting "none": as the official files of ChestX-ray14, which have no text with a comma."""
    with path.open("w", encoding="utf-8", newline="") as file:
        match quoting:
            case "none":
                writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONE)
            case "where needed":
                writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
        writer.writerow(header)
        writer.writerows(rows)


def write_truth(out: Path, names: Sequence[str], images: Sequence[PlannedImage], drawn: Sequence[Drawn]) -> None:
    """Writes severities.csv and devices.csv; names[i] and drawn[i] belong to images[i]."""
    severities = (row for name, image in zip(names, images, strict=True) for row in _severities(name, image))
    write_table(out / "severities.csv", ("Image Index", "Finding Label", "Severity", "Simulated"), severities)
    devices = ((name, device, MARK) for name, truth in zip(names, drawn, strict=True) for device in truth.devices)
    write_table(out / "devices.csv", ("Image Index", "Device", "Simulated"), devices)


def write_boxes(out: Path, names: Sequence[str], drawn: Sequence[Drawn]) -> None:
    """Writes boxes.csv, in pixels of the images, where the official data set has no table of boxes to follow."""
    rows = (row for name, truth in zip(names, drawn, strict=True) for row in _boxes(name, truth))
    write_table(out / "boxes.csv", ("Image Index", "Finding Label", "x", "y", "w", "h", "Simulated"), rows)


def _severities(name: str, image: PlannedImage) -> Iterable[Row]:
    for finding, severity in zip(CHESTXRAY14, image.severities, strict=True):
        if severity >= 0:
            yield (name, finding, f"{severity:.4f}", MARK)


def _boxes(name: str, truth: Drawn) -> Iterable[Row]:
    for finding, boxes in truth.boxes.items():
        for box in boxes:
            yield (name, finding, *(f"{side:.9g}" for side in (box.x, box.y, box.w, box.h)), MARK)
