"""CheXpert of Stanford (Irvin et al., AAAI 2019, arXiv 1901.07031), 224,316 radiographs: v1.0 and v1.0-small.

    train.csv                    223,414 images, labelled from their reports in four states
    valid.csv                    234 images, labelled by radiologists
    test.csv                     668 images, labelled by radiologists, if there; or test_labels.csv, groundtruth.csv
    train/patient00001/study1/view1_frontal.jpg ..., valid/..., test/...

The paths of the tables start with the archive's name, "CheXpert-v1.0-small/train/...": that part is dropped.
docs/reference/sources/chexpert.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.findings import CHEXPERT, CHEXPERT_COMPETITION
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import LabelState, Split, ViewPosition
from pocketcxr.manifest.assemble import Draft, assemble, require_simulated
from pocketcxr.manifest.chexpert_labels import OBSERVATIONS, findings_told, observation_states
from pocketcxr.manifest.csv_tables import column, read_csv, refuse_rows
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.mapping import LabelMapping
from pocketcxr.manifest.people import age_in_years, sexes, views
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.simulated_boxes import simulated_boxes
from pocketcxr.manifest.splits import SplitConfig

SOURCE = "chexpert"
MAPPINGS: tuple[LabelMapping, ...] = OBSERVATIONS
FOLDERS: tuple[str, ...] = (".", "CheXpert-v1.0-small", "CheXpert-v1.0", "CheXpert")
"""Where, below the folder that is given, the tables may lie; the last is CheXlocalize's."""
TEST_TABLES: tuple[str, ...] = ("test.csv", "test_labels.csv", "groundtruth.csv")
SHOWN_AS: dict[str, str] = {"Fibrosis": "Lung_Opacity"}
"""Of what a simulated data set draws: what its labels, as the labeller of reports, call it without its being a kind of
that."""

Part = Literal["train", "valid", "test"]
_FRONTAL, _LATERAL = "Frontal", "Lateral"
_OF_PEOPLE = ("Sex", "Age", "Frontal/Lateral", "AP/PA")
_PATH = (
    r"^(?:[^/]+/)?"  # the archive's name
    r"(?P<path>(?P<image_id>[^/]+/(?P<patient>patient[^/]+)/(?P<study>study[^/]+)/(?P<image>[^/]+))\.\w+)$"
)


class ChexpertConfig(BaseModel, frozen=True, extra="forbid"):
    """How to read it."""

    source: Literal["chexpert"] = "chexpert"
    split: SplitConfig = SplitConfig()
    """official: train.csv, valid.csv and test.csv are the three parts. Without a test.csv, valid.csv is the test part
    and validation patients are taken from train.csv."""
    images: ImagesConfig = ImagesConfig()
    findings: Literal["all", "competition"] = "all"
    """The 14 observations, or the five that the competition scored."""
    parts: tuple[Part, ...] | None = None
    """Which of the tables to read; None: train, valid and, if it is there, test."""
    train_table: str = "train.csv"
    """Another table of the training labels, such as train_visualCheXbert.csv."""
    clean: bool = False
    """Read the true labels of a simulated data set, <table>_clean.csv."""


@dataclass(frozen=True, eq=False)
class _Entries:
    """A table's rows: what assemble.Draft asks of them."""

    file: Path
    table: pd.DataFrame
    states: pd.DataFrame
    split: Split


def read(root: Path, config: ChexpertConfig, progress: Progress = silent) -> Manifest:
    """The manifest of the folder, table after table in their order, validated.

    root: the folder that holds train.csv, or the one above it. Raises ManifestError, EmptyCohortError, ConfigError.
    """
    home, files = _files(root, config)
    entries = [_entries(home, part, file, "test" in files, config) for part, file in files.items()]
    table = pd.concat([part.table for part in entries], ignore_index=True)
    states = pd.concat([part.states for part in entries], ignore_index=True)
    image_of = dict(zip(table["path"], table["image_id"], strict=True))
    draft = Draft(
        source=SOURCE,
        table=table.drop(columns="is_contradicted"),
        states=states,
        regions=simulated_boxes(home, image_of, list(states.columns), SHOWN_AS),
        official=np.concatenate([np.full(len(part.table), part.split.value) for part in entries]),
        notes=(f"Labels from {', '.join(part.file.name for part in entries)}.", *_notes(table)),
    )
    return assemble(home, draft, config.split, config.images, progress)


def _files(root: Path, config: ChexpertConfig) -> tuple[Path, dict[Part, Path]]:
    """The folder of the tables, and the table of each part that is wanted and there."""
    suffix = "_clean.csv" if config.clean else ".csv"
    names: dict[Part, tuple[str, ...]] = {
        "train": (config.train_table,),
        "valid": ("valid.csv",),
        "test": TEST_TABLES,
    }
    wanted = {part: names[part] for part in config.parts or names}
    home = _home(root, [name.replace(".csv", suffix) for options in wanted.values() for name in options])
    if config.clean:
        require_simulated(home, home)
    files: dict[Part, Path] = {}
    for part, options in wanted.items():
        paths = [home / name.replace(".csv", suffix) for name in options]
        there = next((path for path in paths if path.is_file()), None)
        if there is not None or part != "test" or config.parts is not None:
            files[part] = there or paths[0]
    return home, files


def _home(root: Path, names: list[str]) -> Path:
    """The folder that holds tables of these names: `root`, or the one below it that does."""
    tried = [root / folder for folder in FOLDERS]
    homes = [home for home in tried if any((home / name).is_file() for name in names)]
    if homes[:1] == [root] or len(homes) == 1:
        return homes[0]
    found = f"tables lie in {' and '.join(map(str, homes))}" if homes else "no table of CheXpert is there"
    raise ManifestError(
        f"{root}: {found}; looked for {', '.join(names)} in {', '.join(map(str, tried))} - "
        "give the one folder that holds train.csv"
    )


def _entries(home: Path, part: Part, file: Path, has_test: bool, config: ChexpertConfig) -> _Entries:
    """The rows of one part's table."""
    rows = read_csv(file)
    if part == "test":
        # Published apart from the rest, some of them by study and without people and views.
        if "Path" not in rows.columns and "Study" in rows.columns:
            rows = _images_of_studies(home, rows, file)
        rows = rows.assign(**{name: "" for name in _OF_PEOPLE if name not in rows.columns})
    findings = CHEXPERT if config.findings == "all" else CHEXPERT_COMPETITION
    # Radiologists looked at each image of valid and test: a gap there is no silence of a report.
    blank = LabelState.UNMENTIONED if part == "train" else LabelState.NOT_LABELLED
    told = findings_told(rows, file, findings) if part == "test" else findings
    states = observation_states(rows, file, told, blank)
    states = states.reindex(columns=list(findings), fill_value=LabelState.NOT_LABELLED.value)
    match part:
        case "train":
            split = Split.TRAIN
        case "valid":
            split = Split.VALIDATION if has_test else Split.TEST
        case "test":
            split = Split.TEST
    return _Entries(file, _people(rows, file), states, split)


def _images_of_studies(home: Path, rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """The rows of a table of studies, repeated for each image of the study, with a column Path."""
    # "CheXpert-v1.0/test/patient64741/study1": as published beside the test set's readings.
    folders = column(rows, ("Study",), file).str.extract(r"([^/]+/[^/]+/[^/]+)/?$")[0].fillna("")
    paths = folders.map(
        lambda folder: sorted(path.relative_to(home).as_posix() for path in (home / folder).glob("view*.jpg"))
    )
    is_bare = paths.str.len() == 0
    refuse_rows(is_bare, file, "name a study without images", "unpack the images of the test set beside it")
    return rows.assign(Path=paths).explode("Path", ignore_index=True).astype({"Path": "str"})


def _people(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """image_id, path, patient_id, study_id, view_position, sex, age_years and is_contradicted of every row."""
    parts = column(rows, ("Path",), file).str.extract(_PATH)
    where = "have no Path such as CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"
    refuse_rows(parts["path"].isna(), file, where, "restore the official paths")
    image_id = parts["image_id"]
    is_repeated = image_id.duplicated()
    first = image_id[is_repeated].iloc[0] if is_repeated.any() else ""
    refuse_rows(is_repeated, file, f"repeat an image, such as {first}", "keep one row an image")
    position, is_contradicted = _view_positions(rows, parts["image"], file)
    age = age_in_years(column(rows, ("Age",), file))
    return pd.DataFrame(
        {
            "image_id": image_id,
            "path": parts["path"],
            "patient_id": parts["patient"],
            "study_id": parts["patient"] + "/" + parts["study"],
            "view_position": position,
            "sex": sexes(column(rows, ("Sex",), file)),
            # The official tables are of adults, and have three rows of age 0: a placeholder.
            "age_years": age.where(age > 0),
            "is_contradicted": is_contradicted,
        }
    )


def _view_positions(
    rows: pd.DataFrame, images: "pd.Series[str]", file: Path
) -> tuple["pd.Series[str]", "pd.Series[bool]"]:
    """The view positions, UNKNOWN where the columns contradict each other; and where they do."""
    side, beam = column(rows, ("Frontal/Lateral",), file), views(column(rows, ("AP/PA",), file))
    # "view1_frontal": the files' names say it too, which the test tables without the column rely on.
    side = side.mask(side == "", images.str.extract(r"_(frontal|lateral)$")[0].str.capitalize())
    is_frontal_beam = beam.isin([ViewPosition.AP.value, ViewPosition.PA.value])
    is_lateral_beam = beam == ViewPosition.LATERAL.value
    is_lateral = side == _LATERAL
    is_contradicted = (is_lateral & is_frontal_beam) | ((side == _FRONTAL) & is_lateral_beam)
    position = beam.where((side == _FRONTAL) & is_frontal_beam, ViewPosition.UNKNOWN.value)
    position = position.mask(is_lateral & ~is_frontal_beam, ViewPosition.LATERAL.value)
    return position.astype("str"), is_contradicted


def _notes(table: pd.DataFrame) -> tuple[str, ...]:
    num = int(table["is_contradicted"].sum())
    if not num:
        return ()
    return (f"{num} images are frontal by one column and lateral by another: their view position is UNKNOWN.",)
