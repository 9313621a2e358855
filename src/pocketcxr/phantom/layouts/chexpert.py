"""The layout of CheXpert-v1.0-small: JPEG files, and tables of 14 observations in four states."""

from collections.abc import Sequence
from pathlib import Path

from pocketcxr.domain.study import LabelState, Sex, Split
from pocketcxr.phantom.config import LabelNoise, PhantomConfig
from pocketcxr.phantom.layouts.layout import Layout
from pocketcxr.phantom.layouts.tables import (
    BOX_CONTENTS,
    MARK,
    TRUTH_CONTENTS,
    Row,
    write_boxes,
    write_table,
    write_truth,
)
from pocketcxr.phantom.observations import observe
from pocketcxr.phantom.picture import Drawn
from pocketcxr.phantom.plan import PlannedImage
from pocketcxr.phantom.randomness import STATE, stream

ARCHIVE = "CheXpert-v1.0-small"
"""What every official path starts with, wherever the files were unpacked."""
PARTS: dict[Split, str] = {Split.TRAIN: "train", Split.VALIDATION: "valid", Split.TEST: "test"}

HEADER: tuple[str, ...] = (
    "Path",
    "Sex",
    "Age",
    "Frontal/Lateral",
    "AP/PA",
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "Simulated",
)
SEXES: dict[Sex, str] = {Sex.FEMALE: "Female", Sex.MALE: "Male"}
CELLS: dict[LabelState, str] = {
    LabelState.PRESENT: "1.0",
    LabelState.ABSENT: "0.0",
    LabelState.UNCERTAIN: "-1.0",
    LabelState.UNMENTIONED: "",
}

CONTENTS = f"""\
train/, valid/, test/              the radiographs; each carries this notice in its JPEG comment
train.csv                          labels as a labeller of reports gives them, with the label noise of the configuration
                                   below: 1.0 present, 0.0 absent, -1.0 uncertain, blank not mentioned
valid.csv, test.csv                what is truly there, as if radiologists had looked
train_clean.csv and so on          the same tables with what is truly there; a patient is in one of the three only
{BOX_CONTENTS}{TRUTH_CONTENTS}"""

CLEAN = LabelNoise(strength=0.0)


def write_tables(out: Path, config: PhantomConfig, images: Sequence[PlannedImage], drawn: Sequence[Drawn]) -> None:
    """Writes the three tables, each with its clean twin, and the truth; drawn[i] belongs to images[i]."""
    pairs = list(zip(images, drawn, strict=True))
    for split, part in PARTS.items():
        rows = [(image, truth) for image, truth in pairs if image.split is split]
        clean = [_entry(image, truth, config, is_read_by_people=True) for image, truth in rows]
        labelled = [_entry(image, truth, config, split is not Split.TRAIN) for image, truth in rows]
        write_table(out / f"{part}.csv", HEADER, labelled)
        write_table(out / f"{part}_clean.csv", HEADER, clean)
    names = [path_of(image) for image in images]
    write_boxes(out, names, drawn)
    write_truth(out, names, images, drawn)


def path_of(image: PlannedImage) -> str:
    """The image's file. A study has one view; officially, some have two or three."""
    return f"{PARTS[image.split]}/patient{image.patient:05d}/study{image.study + 1}/view1_frontal.jpg"


def _entry(image: PlannedImage, truth: Drawn, config: PhantomConfig, is_read_by_people: bool) -> Row:
    findings, noise = (image.truth, CLEAN) if is_read_by_people else (image.labels, config.label_noise)
    rng = stream(config.seed, image.patient, STATE, image.study)
    states = observe(findings, truth.devices, noise, rng)
    person = (SEXES[image.sex], image.age_years, "Frontal", image.view.value)
    return (f"{ARCHIVE}/{path_of(image)}", *person, *(CELLS[state] for state in states.values()), MARK)


LAYOUT = Layout(
    follows="the layout of CheXpert-v1.0-small (Irvin et al., AAAI 2019)",
    contents=CONTENTS,
    picture="jpeg",
    path=path_of,
    write_tables=write_tables,
)
