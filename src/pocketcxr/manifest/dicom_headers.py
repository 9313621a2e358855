"""What the headers of a folder of DICOM files say: which of them are chest radiographs, of whom, in which view."""

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread

from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.load import measure
from pocketcxr.manifest.people import VIEWS

MODALITIES: tuple[str, ...] = ("CR", "DX", "RG")
"""Computed, digital and plain film radiography (PS3.3 C.7.3.1.1.1)."""
SUFFIXES: tuple[str, ...] = (".dcm", ".dicom")
"""Files so named are told of even if they are no DICOM files; others are looked into and passed over."""
HUMAN: tuple[str, ...] = ("", "HOMO SAPIENS", "HUMAN")
_VIEWS = VIEWS | dict.fromkeys(("LAT", "LLD", "RLD"), ViewPosition.LATERAL.value)
_VIEWS_BY_MEANING: dict[str, str] = {
    "posteroanterior": ViewPosition.PA.value,
    "anteroposterior": ViewPosition.AP.value,
    **dict.fromkeys(("lateral", "leftlateral", "rightlateral"), ViewPosition.LATERAL.value),
}
"""Code meanings of View Code Sequence (PS3.16 CID 4010), without hyphens and spaces."""
_TAGS: tuple[str, ...] = (
    *("SOPInstanceUID", "StudyInstanceUID", "PatientID", "PatientSex", "PatientAge", "PatientBirthDate", "StudyDate"),
    *("PatientSpeciesDescription", "Modality", "BodyPartExamined", "AnatomicRegionSequence"),
    *("ViewPosition", "ViewCodeSequence", "PatientOrientation", "PresentationIntentType"),
)
_NUM_REPORTS = 200
_NUM_THREADS = 8
"""Reading headers waits for the disk, all the more where it is a network's."""


@dataclass(frozen=True)
class Header:
    """One chest radiograph's header as text, "" where it says nothing; dates as DICOM writes them (YYYYMMDD)."""

    path: str
    image_id: str
    patient_id: str
    study_id: str
    view_position: str
    sex: str
    age: str
    birth_date: str
    study_date: str
    height: int
    width: int
    body_part: str
    is_raw: bool
    """Whether it is meant for processing and not for people (Presentation Intent Type FOR PROCESSING)."""


@dataclass(frozen=True)
class Wanted:
    """What counts as a chest radiograph, and whether links may lead out of the folder."""

    body_parts: tuple[str, ...]
    outside: bool


def read_headers(root: Path, wanted: Wanted, progress: Progress = silent) -> tuple[list[Header], list[Refusal]]:
    """The chest radiographs below `root` in the order of their paths, and the other DICOM files with the reason.

    Links to folders are not followed. Files that are no DICOM files by their first bytes are passed over.
    """
    home = root.resolve()
    paths = sorted(_files(home))
    headers: list[Header] = []
    refused: list[Refusal] = []
    every = max(len(paths) // _NUM_REPORTS, 1)
    # Around all threads and not in each: filters of warnings are the whole process's. pydicom warns of oddities.
    with warnings.catch_warnings(), ThreadPoolExecutor(_NUM_THREADS) as pool:
        warnings.simplefilter("ignore")
        for done, answer in enumerate(pool.map(lambda path: _look(home, path, wanted), paths), 1):
            if isinstance(answer, Header):
                headers.append(answer)
            elif answer is not None:
                refused.append(answer)
            if done % every == 0 or done == len(paths):
                progress("DICOM headers", done, len(paths))
    return headers, refused


def _files(home: Path) -> Iterator[str]:
    for folder, _, names in os.walk(home):
        below = Path(folder).relative_to(home)
        for name in names:
            yield (below / name).as_posix()


def _look(home: Path, path: str, wanted: Wanted) -> Header | Refusal | None:
    """What one file is; None where it is no DICOM file and does not claim to be one."""
    file, shown = home / path, path.encode(errors="replace").decode()
    try:
        if shown != path:
            raise ImageRefusedError(RefusalCode.BAD_RECORD, f"{shown}: its name is no text - rename it")
        if file.is_symlink() and not wanted.outside and not file.resolve().is_relative_to(home):
            raise ImageRefusedError(
                RefusalCode.OUTSIDE_ROOT, f"{path}: leads out of {home} - copy it, or --set images.outside=true"
            )
        if not (path.lower().endswith(SUFFIXES) or _has_magic(file)):
            return None
        height, width = measure(file)
        header = dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS))
        _check_chest(path, header, wanted.body_parts)
        return _read(path, header, height, width)
    except ImageRefusedError as error:
        return Refusal(path=shown, code=error.code, message=str(error))


def _has_magic(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip()


def _meaning(header: Dataset, keyword: str) -> str:
    """The code meaning of a sequence's first item."""
    items: Sequence[Dataset] = header.get(keyword) or ()
    return _text(items[0], "CodeMeaning") if len(items) else ""


def _check_chest(path: str, header: Dataset, body_parts: tuple[str, ...]) -> None:
    """Nothing, when the file is a projection X-ray image of a person's chest. Raises ImageRefusedError."""
    modality, species = _text(header, "Modality"), _text(header, "PatientSpeciesDescription")
    body_part = _body_part(header)
    if modality not in MODALITIES:
        what = f"modality {modality!r} is none of {', '.join(MODALITIES)}"
    elif species.upper() not in HUMAN:
        what = f"of a {species}, not of a person"
    elif body_part and not any(part in body_part for part in body_parts):
        what = f"body part {body_part!r} has none of {', '.join(body_parts)} in it; see body_parts"
    else:
        return
    raise ImageRefusedError(RefusalCode.NOT_A_CHEST_RADIOGRAPH, f"{path}: {what} - leave it out")


def _body_part(header: Dataset) -> str:
    return (_text(header, "BodyPartExamined") or _meaning(header, "AnatomicRegionSequence")).upper()


def _read(path: str, header: Dataset, height: int, width: int) -> Header:
    image_id = _text(header, "SOPInstanceUID")
    if not image_id:
        raise ImageRefusedError(RefusalCode.BAD_RECORD, f"{path}: has no SOP Instance UID - export it again")
    return Header(
        path=path,
        image_id=image_id,
        patient_id=_text(header, "PatientID"),
        study_id=_text(header, "StudyInstanceUID") or image_id,
        view_position=_view(header),
        sex=_text(header, "PatientSex").upper(),
        age=_text(header, "PatientAge"),
        birth_date=_text(header, "PatientBirthDate"),
        study_date=_text(header, "StudyDate"),
        height=height,
        width=width,
        body_part=_body_part(header),
        is_raw=_text(header, "PresentationIntentType").upper() == "FOR PROCESSING",
    )


def _view(header: Dataset) -> str:
    """By View Position; else by View Code Sequence; else lateral where rows run along front and back."""
    by_position = _VIEWS.get(_text(header, "ViewPosition").upper())
    if by_position is not None and by_position != ViewPosition.UNKNOWN.value:
        return by_position
    meaning = _meaning(header, "ViewCodeSequence").casefold().replace("-", "").replace(" ", "")
    if meaning in _VIEWS_BY_MEANING:
        return _VIEWS_BY_MEANING[meaning]
    # PS3.3 C.7.6.1.1.1: where the rows' direction points, A(nterior), P(osterior), L(eft) ...; PA and AP look alike.
    direction = str((header.get("PatientOrientation") or [""])[0])
    return ViewPosition.LATERAL.value if direction[:1] in {"A", "P"} else ViewPosition.UNKNOWN.value
