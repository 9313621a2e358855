"""The layout of ChestX-ray14: the official columns, unchanged, then one that says simulated."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pocketcxr.domain.findings import CHESTXRAY14, NO_FINDING
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.layouts.layout import Layout
from pocketcxr.phantom.layouts.tables import MARK, TRUTH_CONTENTS, Row, write_table, write_truth
from pocketcxr.phantom.picture import Drawn
from pocketcxr.phantom.plan import PlannedImage

RELEASED_SIZE = 1024
"""Official boxes are in pixels of the images as released, 1024 x 1024, whatever size a copy has."""

# The official headers, split at every comma as they are in the files: names with commas in them are not quoted there.
ENTRY_HEADER: tuple[str, ...] = (
    "Image Index",
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
    "OriginalImage[Width",
    "Height]",
    "OriginalImagePixelSpacing[x",
    "y]",
    # The release of 2017 has an empty twelfth column here: readers have met it.
    "Simulated",
)
# Officially nine columns, the last three empty. Readers with names of their own count on nine: the mark takes the last.
BOX_HEADER: tuple[str, ...] = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", "Simulated")
BOX_SPELLING: dict[str, str] = {"Infiltration": "Infiltrate"}
"""Findings that the official list of boxes spells in another way."""

CONTENTS = f"""\
images/                            the radiographs; each carries this notice in a PNG text chunk
Data_Entry_2017_v2020.csv          labels, with the label noise of the configuration below
Data_Entry_2017_v2020_clean.csv    the same table with what is truly there
BBox_List_2017.csv                 boxes of every finding that is truly there, of all images; as officially, in pixels
                                   of {RELEASED_SIZE} x {RELEASED_SIZE} images: multiply by image size / {RELEASED_SIZE}
{TRUTH_CONTENTS}\
train_val_list.txt, test_list.txt  the split; a patient is in one of them only
"""


def write_tables(out: Path, config: PhantomConfig, images: Sequence[PlannedImage], drawn: Sequence[Drawn]) -> None:
    """Writes every table and list; drawn[i] belongs to images[i]."""
    labelled = (_entry(image, image.labels, config.size) for image in images)
    write_table(out / "Data_Entry_2017_v2020.csv", ENTRY_HEADER, labelled, "none")
    clean = (_entry(image, image.truth, config.size) for image in images)
    write_table(out / "Data_Entry_2017_v2020_clean.csv", ENTRY_HEADER, clean, "none")
    pairs = list(zip(images, drawn, strict=True))
    scale = RELEASED_SIZE / config.size
    boxes = (row for image, truth in pairs for row in _boxes(image, truth, scale))
    write_table(out / "BBox_List_2017.csv", BOX_HEADER, boxes, "none")
    write_truth(out, [image.image_id for image in images], images, drawn)
    _write_list(out / "train_val_list.txt", (image.image_id for image in images if not image.is_test))
    _write_list(out / "test_list.txt", (image.image_id for image in images if image.is_test))


def _entry(image: PlannedImage, findings: Sequence[str], size: int) -> Row:
    """One line of Data_Entry. The spacing stays empty: a phantom has no detector with one."""
    spelled = "|".join(findings) or NO_FINDING
    person = (image.patient, image.age_years, image.sex.value, image.view.value)
    return (image.image_id, spelled, image.study, *person, size, size, "", "", MARK)


def _boxes(image: PlannedImage, truth: Drawn, scale: float) -> Iterable[Row]:
    for finding in CHESTXRAY14:
        for box in truth.boxes.get(finding, ()):
            sides = (f"{side * scale:.9g}" for side in (box.x, box.y, box.w, box.h))
            yield (image.image_id, BOX_SPELLING.get(finding, finding), *sides, "", "", MARK)


def _write_list(path: Path, names: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"{name}\n" for name in names)


LAYOUT = Layout(
    follows="the layout of ChestX-ray14 (Wang et al., CVPR 2017)",
    contents=CONTENTS,
    picture="png-8",
    path=lambda image: f"images/{image.image_id}",
    write_tables=write_tables,
)
