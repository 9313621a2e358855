"""The layout of PadChest: PNG files of 16 bits, and one table of 36 columns with lists of labels in it."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from pocketcxr.domain.study import ViewPosition
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.devices import Device
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
from pocketcxr.phantom.picture import GREATEST_12_BIT, Drawn
from pocketcxr.phantom.plan import PlannedImage
from pocketcxr.phantom.randomness import DATE, READER, stream

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19"
OFFICIAL_HEADER: tuple[str, ...] = (
    # The official file was written with its row numbers, which have no name.
    "",
    "ImageID",
    "ImageDir",
    "StudyDate_DICOM",
    "StudyID",
    "PatientID",
    "PatientBirth",
    "PatientSex_DICOM",
    "ViewPosition_DICOM",
    "Projection",
    "MethodProjection",
    "Pediatric",
    "Modality_DICOM",
    "Manufacturer_DICOM",
    "PhotometricInterpretation_DICOM",
    "PixelRepresentation_DICOM",
    "PixelAspectRatio_DICOM",
    "SpatialResolution_DICOM",
    "BitsStored_DICOM",
    "WindowCenter_DICOM",
    "WindowWidth_DICOM",
    "Rows_DICOM",
    "Columns_DICOM",
    "XRayTubeCurrent_DICOM",
    "Exposure_DICOM",
    "ExposureInuAs_DICOM",
    "ExposureTime",
    "RelativeXRayExposure_DICOM",
    "ReportID",
    "Report",
    "MethodLabel",
    "Labels",
    "Localizations",
    "LabelsLocalizationsBySentence",
    "labelCUIS",
    "LocalizationsCUIS",
)
HEADER: tuple[str, ...] = (*OFFICIAL_HEADER, "Simulated")
UNKNOWN = "None"
"""What the official table writes where DICOM gave no value."""
LABELS: dict[str, str] = {
    "Atelectasis": "atelectasis",
    "Cardiomegaly": "cardiomegaly",
    "Effusion": "pleural effusion",
    "Infiltration": "infiltrates",
    "Mass": "pulmonary mass",
    "Nodule": "nodule",
    "Pneumonia": "pneumonia",
    "Pneumothorax": "pneumothorax",
    "Consolidation": "consolidation",
    "Edema": "pulmonary edema",
    "Emphysema": "emphysema",
    "Fibrosis": "pulmonary fibrosis",
    "Pleural_Thickening": "pleural thickening",
    "Hernia": "hiatal hernia",
}
"""Finding -> official label."""
DEVICE_LABELS: dict[str, str] = {
    Device.CENTRAL_LINE.value: "central venous catheter",
    Device.TRACHEAL_TUBE.value: "endotracheal tube",
    Device.FEEDING_TUBE.value: "NSG tube",
    Device.CHEST_TUBE.value: "chest drain tube",
    Device.PACEMAKER.value: "pacemaker",
    Device.STERNAL_WIRES.value: "sternotomy",
}
"""Device -> official label; for leads of an ECG there is none."""
NORMAL = "normal"
PHYSICIAN, NETWORK = "Physician", "RNN_model"
PHYSICIAN_SHARE = 39_053 / 160_861
"""Of the official rows, those whose labels physicians gave."""
PROJECTIONS: dict[ViewPosition, tuple[str, str]] = {
    ViewPosition.PA: ("POSTEROANTERIOR", "PA"),
    ViewPosition.AP: ("ANTEROPOSTERIOR", "AP"),
}
"""View -> ViewPosition_DICOM, Projection."""
YEARS = range(2009, 2018)
DAYS_BETWEEN_STUDIES = 18
"""So that twenty studies fit into one year, in which nobody grows older."""
PATIENTS_A_FOLDER = 1000

CONTENTS = f"""\
0/, 1/, ...                        the radiographs, PNG of 16 bits of which 12 are used; each carries this notice in a
                                   text chunk
{TABLE}.csv
                                   labels: of a row with MethodLabel {PHYSICIAN} what is truly there, of one with
                                   {NETWORK} with the label noise of the configuration below
{TABLE}_clean.csv
                                   the same table with what is truly there
{BOX_CONTENTS}{TRUTH_CONTENTS}"""


def write_tables(out: Path, config: PhantomConfig, images: Sequence[PlannedImage], drawn: Sequence[Drawn]) -> None:
    """Writes the table, its clean twin and the truth; drawn[i] belongs to images[i]."""
    pairs = list(enumerate(zip(images, drawn, strict=True)))
    for suffix, is_clean in (("", False), ("_clean", True)):
        rows = ((number, *_entry(image, truth, config, is_clean), MARK) for number, (image, truth) in pairs)
        write_table(out / f"{TABLE}{suffix}.csv", HEADER, rows)
    names = [image_id(image) for image in images]
    write_boxes(out, names, drawn)
    write_truth(out, names, images, drawn)


def image_id(image: PlannedImage) -> str:
    """The file's name: as officially, the study and something behind it."""
    return f"{_study_id(image)}_simulated.png"


def path_of(image: PlannedImage) -> str:
    """The image's file."""
    return f"{_folder(image)}/{image_id(image)}"


def _folder(image: PlannedImage) -> int:
    return (image.patient - 1) // PATIENTS_A_FOLDER


def _study_id(image: PlannedImage) -> str:
    return f"{image.patient:08d}{image.study:03d}"


def _entry(image: PlannedImage, truth: Drawn, config: PhantomConfig, is_clean: bool) -> Row:
    """The cells of ImageID to LocalizationsCUIS."""
    day = _day_of_study(image, config.seed)
    is_physician = bool(stream(config.seed, image.patient, READER, image.study).random() < PHYSICIAN_SHARE)
    labels = _labels(image.truth if is_clean or is_physician else image.labels, truth.devices)
    # Physicians labelled sentence after sentence, the network the report as a whole.
    by_sentence = [[label] for label in labels] if is_physician else labels
    study = (_folder(image), f"{day:%Y%m%d}", _study_id(image), f"{image.patient:08d}")
    person = (f"{day.year - image.age_years}.0", image.sex.value)
    view = (*PROJECTIONS[image.view], "Manual review of DICOM fields", "No")
    device = ("DX", "pocketcxr", "MONOCHROME2", 0, UNKNOWN, UNKNOWN, 12, f"{GREATEST_12_BIT / 2}", f"{GREATEST_12_BIT}")
    exposure = (UNKNOWN,) * 5
    report = (_study_id(image), "simulated", PHYSICIAN if is_physician else NETWORK)
    told = (str(labels), "[]", str(by_sentence), "[]", "[]")
    return (image_id(image), *study, *person, *view, *device, config.size, config.size, *exposure, *report, *told)


def _labels(findings: Sequence[str], devices: Sequence[str]) -> list[str]:
    labels = [LABELS[finding] for finding in findings]
    labels += [DEVICE_LABELS[device] for device in devices if device in DEVICE_LABELS]
    return labels or [NORMAL]


def _day_of_study(image: PlannedImage, seed: int) -> date:
    """The studies of a patient follow each other within one year, whatever their number."""
    year = int(stream(seed, image.patient, DATE).choice(YEARS))
    late = int(stream(seed, image.patient, DATE, 1 + image.study).integers(DAYS_BETWEEN_STUDIES))
    return date(year, 1, 1) + timedelta(days=DAYS_BETWEEN_STUDIES * image.study + late)


LAYOUT = Layout(
    follows="the layout of PadChest (Bustos et al., Medical Image Analysis 2020)",
    contents=CONTENTS,
    picture="png-12-in-16",
    path=path_of,
    write_tables=write_tables,
)
