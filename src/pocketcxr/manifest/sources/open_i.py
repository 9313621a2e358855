"""Open-i, the chest X-rays of Indiana University (Demner-Fushman et al. 2016, doi 10.1093/jamia/ocv080).

As the National Library of Medicine has it      As Kaggle has it (raddar/chest-xrays-indiana-university)
    ecgen-radiology/*.xml       a report each       indiana_reports.csv         a report a line
    NLMCXR_png/*.png            7,470 images        indiana_projections.csv     an image a line
                                                    images/images_normalized/*.png

Labels come from the MeSH terms by which people indexed the reports. docs/reference/sources/open-i.md.
"""

import csv
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from pydantic import BaseModel

from pocketcxr.domain.errors import ManifestError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import LabelState, Sex, ViewPosition
from pocketcxr.manifest.assemble import Draft, assemble
from pocketcxr.manifest.csv_tables import column, read_csv, refuse_rows
from pocketcxr.manifest.image_files import ImagesConfig, find_images
from pocketcxr.manifest.mapping import LabelMapping
from pocketcxr.manifest.mesh_terms import report_states
from pocketcxr.manifest.people import views
from pocketcxr.manifest.rules import no_regions
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.splits import SplitConfig

SOURCE = "open-i"
REPORTS = "ecgen-radiology"
KAGGLE_REPORTS, PROJECTIONS = "indiana_reports.csv", "indiana_projections.csv"
DICOM_METADATA = "nlmcxr_dicom_metadata.csv.gz"
"""What the headers of the DICOM files say, as torchxrayvision ships it; read where it lies in the folder."""
FOLDERS = ("NLMCXR_png", "images", "images/images_normalized", "images_normalized", ".")
_NAME = r"^(?:CXR)?(?P<uid>\d+)_(?:(?P=uid)_)?(?P<image>IM-[\d-]+)"
"""CXR1_1_IM-0001-3001 of the reports, 1_IM-0001-3001.dcm.png of Kaggle and CXR1_IM-0001-3001 of the headers are one."""
_REPORT_STEP = 100


def _mappings() -> tuple[LabelMapping, ...]:
    text = files("pocketcxr.manifest.sources").joinpath("open_i_terms.csv").read_text(encoding="utf-8")
    return tuple(
        LabelMapping(row["label"], row["finding"] or None, row["note"]) for row in csv.DictReader(text.splitlines())
    )


MAPPINGS: tuple[LabelMapping, ...] = _mappings()
"""A term, or a term with qualifiers that must be there in any order: mesh_terms.findings_named."""


class OpenIConfig(BaseModel, frozen=True, extra="forbid"):
    """How to read it."""

    source: Literal["open-i"] = "open-i"
    split: SplitConfig = SplitConfig(method="patients")
    """There is no official split."""
    images: ImagesConfig = ImagesConfig()
    """broken=exclude leaves out damaged reports, too."""


@dataclass(frozen=True, eq=False)
class _Entries:
    """image_ids, names of files and patients, row by row; terms by patient; reports that were left out."""

    images: pd.DataFrame
    terms: dict[str, tuple[str, ...]]
    refused: tuple[Refusal, ...] = ()


class _NoDoctype(ElementTree.TreeBuilder):
    """A document type can define entities that blow up or point elsewhere; a report has no use for one."""

    def doctype(self, name: str, *_: str | None) -> None:
        raise ValueError(f"declares a document type ({name}), which no report does")


def read(root: Path, config: OpenIConfig, progress: Progress = silent) -> Manifest:
    """The manifest of the folder, report after report, validated. Raises ManifestError or EmptyCohortError."""
    if (root / REPORTS).is_dir():
        entries = _from_xml(root / REPORTS, config.images.broken == "exclude", progress)
    elif (root / KAGGLE_REPORTS).is_file():
        entries = _from_kaggle(root)
    else:
        raise ManifestError(f"{root}: holds neither {REPORTS}/ nor {KAGGLE_REPORTS} - give the folder that does")
    images = entries.images
    reports = report_states(entries.terms, MAPPINGS)
    states = reports.loc[images["patient_id"]].reset_index(drop=True)
    names = images["file"].tolist()
    folders = FOLDERS if (root / REPORTS).is_dir() else (FOLDERS[2], *FOLDERS)
    paths = [f"{folders[0]}/{name}" for name in names] if config.images.labels_only else _find(root, folders, names)
    table = images[["image_id", "patient_id"]].assign(
        path=paths,
        study_id=images["patient_id"],
        view_position=_view_positions(root, images["image_id"]),
        sex=Sex.UNKNOWN.value,
        age_years=np.nan,
    )
    notes = _notes(reports, states, entries)
    draft = Draft(SOURCE, table, states, no_regions(), notes=notes, refused=entries.refused)
    return assemble(root, draft, config.split, config.images, progress)


def _from_xml(folder: Path, leave_out_broken: bool, progress: Progress) -> _Entries:
    """What the reports say, in the order of their numbers."""
    rows: list[tuple[str, str, str]] = []
    terms: dict[str, tuple[str, ...]] = {}
    refused: list[Refusal] = []
    paths = sorted(folder.glob("*.xml"), key=lambda path: (len(path.stem), path.stem))
    for done, path in enumerate(paths, start=1):
        try:
            uid, majors, image_ids = _report(path)
        except ManifestError as error:
            if not leave_out_broken:
                raise
            refused.append(Refusal(f"{REPORTS}/{path.name}", RefusalCode.BAD_RECORD, str(error)))
            continue
        if uid in terms:
            raise ManifestError(f"{path}: is a second report of {uid} - keep one of them")
        terms[uid] = majors
        rows += [(image_id, f"{image_id}.png", uid) for image_id in image_ids]
        if done % _REPORT_STEP == 0 or done == len(paths):
            progress("reports", done, len(paths))
    images = pd.DataFrame(rows, columns=["image_id", "file", "patient_id"], dtype="str")
    return _Entries(images, terms, tuple(refused))


def _report(path: Path) -> tuple[str, tuple[str, ...], list[str]]:
    """The report's id, its MeSH terms and its images. Raises ManifestError."""
    try:
        # Expat, under ElementTree, fetches nothing from elsewhere; without a document type there are no entities.
        root = ElementTree.parse(path, ElementTree.XMLParser(target=_NoDoctype())).getroot()
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise ManifestError(
            f"{path}: is no readable XML file ({error}) - unpack the reports again, or go on without it: "
            "--set images.broken=exclude"
        ) from error
    uid = root.find("uId")
    name = "" if uid is None else uid.get("id", "").strip()
    images = [image.get("id", "").strip() for image in root.iter("parentImage")]
    majors = tuple((term.text or "").strip() for term in root.findall("MeSH/major"))
    if not name or not all(images) or not all(majors):
        raise ManifestError(
            f"{path}: is no report of Open-i, uId, an id of parentImage or the text of a MeSH term is missing - unpack "
            "the reports again, or go on without it: --set images.broken=exclude"
        )
    return name, majors, images


def _from_kaggle(root: Path) -> _Entries:
    """What Kaggle's two tables say; patients are named as in the reports, CXR and a number."""
    path = root / KAGGLE_REPORTS
    reports = read_csv(path, ("uid", "MeSH"))
    uid = column(reports, ("uid",), path)
    refuse_rows(uid == "", path, "have no uid", "fill it in")
    refuse_rows(uid.duplicated(), path, "repeat a report", "keep one row a report")
    mesh = column(reports, ("MeSH",), path)
    terms = {
        f"CXR{name}": tuple(term.strip() for term in text.split(";") if term.strip())
        for name, text in zip(uid, mesh, strict=True)
    }
    path = root / PROJECTIONS
    rows = read_csv(path)
    patient_id = "CXR" + column(rows, ("uid",), path)
    refuse_rows(~patient_id.isin(list(terms)), path, f"are of no report in {KAGGLE_REPORTS}", "add it, or remove them")
    file = column(rows, ("filename",), path)
    refuse_rows(file == "", path, "have no filename", "fill it in")
    refuse_rows(file.duplicated(), path, "repeat an image", "keep one row an image")
    image_id = file.str.replace(r"(?:\.dcm)?\.\w+$", "", regex=True)
    return _Entries(pd.DataFrame({"image_id": image_id, "file": file, "patient_id": patient_id}), terms)


def _find(root: Path, folders: tuple[str, ...], names: list[str]) -> list[str]:
    return [path.removeprefix("./") for path in find_images(root, folders, names)]


def _view_positions(root: Path, image_ids: "pd.Series[str]") -> "pd.Series[str]":
    """Lateral where Kaggle's table says so; else AP or PA where the DICOM headers do; else UNKNOWN."""
    wanted = _key(image_ids)
    unknown = ViewPosition.UNKNOWN.value
    told = pd.Series(unknown, index=image_ids.index, dtype="str")
    path = root / DICOM_METADATA
    if path.is_file():
        rows = read_csv(path, ("imageid", "View Position"))
        beams = views(column(rows, ("View Position",), path)).set_axis(_key(column(rows, ("imageid",), path)))
        told = wanted.map(beams[~beams.index.duplicated()]).fillna(unknown)
    path = root / PROJECTIONS
    if not path.is_file():
        return told
    rows = read_csv(path)
    side = column(rows, ("projection",), path)
    refuse_rows(~side.isin(["Frontal", "Lateral"]), path, "are neither Frontal nor Lateral", "correct the table")
    sides = side.set_axis(_key(column(rows, ("filename",), path)))
    here = wanted.map(sides[~sides.index.duplicated()]).fillna("")
    # People sorted the images by looking at them; headers of laterals often say PA.
    lateral = ViewPosition.LATERAL.value
    return told.mask((here == "Frontal") & (told == lateral), unknown).mask(here == "Lateral", lateral)


def _key(names: "pd.Series[str]") -> "pd.Series[str]":
    """The same text for all spellings of an image's name."""
    parts = names.str.extract(_NAME)
    key: pd.Series[str] = (parts["uid"] + "_" + parts["image"]).fillna(names)
    return key


def _notes(reports: pd.DataFrame, states: pd.DataFrame, entries: _Entries) -> tuple[str, ...]:
    bare = len(set(entries.terms) - set(entries.images["patient_id"]))
    unlabelled = int((states == LabelState.NOT_LABELLED.value).all(axis=1).sum())
    return (
        f"Labels from the MeSH terms of {len(reports)} reports: all images of a report have the same.",
        f"{bare} reports have no image. {unlabelled} images are of reports that nobody indexed: not labelled.",
    )
