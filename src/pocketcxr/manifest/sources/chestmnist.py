"""ChestMNIST of MedMNIST v2 (Yang et al., Scientific Data 2023, arXiv 2110.14795): ChestX-ray14 at 28 to 224 pixels.

    chestmnist.npz, chestmnist_64.npz, chestmnist_128.npz or chestmnist_224.npz
        {train,val,test}_images   uint8 [n, side, side]
        {train,val,test}_labels   0 or 1 [n, 14]

Later stages read image files, so the arrays are unpacked into PNG files, once. docs/reference/sources/chestmnist.md.
"""

import contextlib
import hashlib
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.errors import ConfigError, EmptyCohortError, ManifestError
from pocketcxr.domain.extras import require
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import LabelState, Sex, Split, ViewPosition
from pocketcxr.manifest.assemble import SIMULATED, Draft, assemble, require_simulated
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.mapping import LabelMapping
from pocketcxr.manifest.npz_images import Images, described_images, file_of, names, unpack
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.simulated_boxes import simulated_boxes
from pocketcxr.manifest.splits import SplitConfig

SOURCE = "chestmnist"
MAPPINGS: tuple[LabelMapping, ...] = (
    LabelMapping("atelectasis", "Atelectasis"),
    LabelMapping("cardiomegaly", "Cardiomegaly"),
    LabelMapping("effusion", "Effusion"),
    LabelMapping("infiltration", "Infiltration"),
    LabelMapping("mass", "Mass"),
    LabelMapping("nodule", "Nodule"),
    LabelMapping("pneumonia", "Pneumonia"),
    LabelMapping("pneumothorax", "Pneumothorax"),
    LabelMapping("consolidation", "Consolidation"),
    LabelMapping("edema", "Edema"),
    LabelMapping("emphysema", "Emphysema"),
    LabelMapping("fibrosis", "Fibrosis"),
    LabelMapping("pleural", "Pleural_Thickening", "short for Pleural_Thickening of ChestX-ray14"),
    LabelMapping("hernia", "Hernia"),
)
"""Column of the label arrays -> finding, in order."""
OFFICIAL_MD5: dict[int, str] = {
    28: "02c8a6516a18b556561a56cbdd36c4a8",
    64: "9de6cd0b934ebb5b7426cfba5efbae16",
    128: "db107e5590b27930b62dbaf558aebee3",
    224: "45bd33e6f06c3e8cdb481c74a89152aa",
}
"""By side, as medmnist 3.0 checks them after a download."""
WHERE_FROM = "https://zenodo.org/records/10519652"
PARTS: dict[str, Split] = {"train": Split.TRAIN, "val": Split.VALIDATION, "test": Split.TEST}
_NO_PATIENTS = (
    "MedMNIST names no patients: patient_id is the image's own, so intervals by bootstrap over patients are over "
    "images and too narrow, and whether the three parts keep patients apart cannot be seen from the file."
)


class ChestmnistConfig(BaseModel, frozen=True, extra="forbid"):
    """How to read it."""

    source: Literal["chestmnist"] = "chestmnist"
    split: SplitConfig = SplitConfig()
    """official, or external-test: nobody can tell whose images are whose, so no other split keeps patients apart."""
    images: ImagesConfig = ImagesConfig()
    size: Literal[28, 64, 128, 224] | None = None
    """Side in pixels, where the folder holds several files; None: the only file there."""
    unpack_to: Path | None = None
    """Folder for the PNG files, relative to the one that holds the .npz file; None: named like that file."""
    download: bool = False
    """Fetch the file of `size` with the package medmnist (extra "medmnist") where it is not there."""
    check_md5: bool = True
    """Refuse a file that is not the published one. Simulated files are not compared."""
    clean: bool = False
    """Read the true labels of a simulated data set, <name>_clean.npz."""


def read(root: Path, config: ChestmnistConfig, progress: Progress = silent) -> Manifest:
    """The manifest: the images of train, val and test in their order, validated.

    root: the .npz file or the folder that holds it. Raises ManifestError, EmptyCohortError, ConfigError,
    MissingExtraError.
    """
    if config.split.method == "patients":
        raise ConfigError(f"{root}: MedMNIST names no patients to split by; leave out split.method=patients")
    archive = _archive(root, config)
    is_simulated = (archive.parent / SIMULATED).is_file()
    arrays = _images(archive, config)
    states = _states(_label_file(archive, config), arrays)
    folder = archive.parent / (config.unpack_to or archive.stem)
    if not config.images.labels_only:
        unpack(archive, _checked_md5(archive, arrays, config.check_md5 and not is_simulated), arrays, folder, progress)
        if is_simulated:
            (folder / SIMULATED).write_bytes((archive.parent / SIMULATED).read_bytes())
    table = _table(arrays)
    image_of = dict(zip(table["path"], table["image_id"], strict=True))
    draft = Draft(
        source=SOURCE,
        table=table,
        states=states,
        regions=simulated_boxes(archive.parent, image_of, CHESTXRAY14),
        official=np.concatenate([np.full(arrays[part].count, split.value) for part, split in PARTS.items()]),
        notes=(f"Images and labels from {archive.name}.", _NO_PATIENTS),
    )
    manifest = assemble(folder, draft, config.split, config.images, progress)
    # With labels only there is no folder yet that could be marked.
    return replace(manifest, header=manifest.header.model_copy(update={"is_simulated": is_simulated}))


def _archive(root: Path, config: ChestmnistConfig) -> Path:
    """The .npz file that is meant; downloaded if it is to be."""
    if root.is_file():
        return root
    if not root.is_dir():
        raise ManifestError(f"{root}: there is no such file or folder - give the .npz file or the folder that holds it")
    if config.size is None:
        found = [path for path in map(root.joinpath, map(_name, OFFICIAL_MD5)) if path.is_file()]
        if len(found) == 1:
            return found[0]
        what = f"holds {', '.join(path.name for path in found)}" if found else "holds no chestmnist.npz"
        raise ManifestError(
            f"{root}: {what} - say which size is meant: --set size=64 (28, 64, 128 or 224); from {WHERE_FROM}, or "
            "with --set download=true"
        )
    archive = root / _name(config.size)
    if not archive.is_file():
        if not config.download:
            raise ManifestError(
                f"{archive}: there is no such file - download it from {WHERE_FROM}, or with --set download=true"
            )
        _download(root, config.size)
    return archive


def _name(size: int) -> str:
    return "chestmnist.npz" if size == 28 else f"chestmnist_{size}.npz"


def _download(folder: Path, size: int) -> None:
    """Fetch the official file with medmnist, which checks its MD5. Raises ManifestError or MissingExtraError."""
    medmnist = require("medmnist.dataset", "medmnist", "downloading ChestMNIST")
    try:
        # What medmnist says goes to stderr. It also opens the part that is asked for: val is the smallest.
        with contextlib.redirect_stdout(sys.stderr):
            medmnist.ChestMNIST(split="val", download=True, root=str(folder), size=size)
    except (RuntimeError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ManifestError(
            f"{folder / _name(size)}: medmnist could not download it - check the network, or download it from "
            f"{WHERE_FROM} and put it there"
        ) from error


def _images(archive: Path, config: ChestmnistConfig) -> dict[str, Images]:
    """The image array of each part; all squares of one official side."""
    arrays = {part: described_images(archive, f"{part}_images") for part in PARTS}
    sides = {(images.height, images.width) for images in arrays.values()}
    side = arrays["train"].height
    if sides != {(side, side)} or side not in OFFICIAL_MD5 or side != (config.size or side):
        told = ", ".join(f"{part} {images.height} x {images.width}" for part, images in arrays.items())
        raise ManifestError(
            f"{archive}: its images are {told}; squares of one side, "
            f"{config.size or ', '.join(map(str, OFFICIAL_MD5))}, are read - give the right file"
        )
    if not any(images.count for images in arrays.values()):
        raise EmptyCohortError(f"{archive}: holds no image - download it again")
    return arrays


def _label_file(archive: Path, config: ChestmnistConfig) -> Path:
    if not config.clean:
        return archive
    require_simulated(archive.parent, archive)
    return archive.with_name(f"{archive.stem}_clean.npz")


def _states(path: Path, arrays: dict[str, Images]) -> pd.DataFrame:
    """The LabelState texts of every image: a source that knows only yes and no."""
    is_present = np.concatenate([_labels(path, part, images.count) for part, images in arrays.items()])
    states = np.where(is_present, LabelState.PRESENT.value, LabelState.ABSENT.value)
    return pd.DataFrame(states, columns=[mapping.finding for mapping in MAPPINGS], dtype="str")[list(CHESTXRAY14)]


def _labels(path: Path, part: str, count: int) -> NDArray[np.bool_]:
    """Bool [image, label] of one part."""
    name = f"{part}_labels"
    try:
        # Never unpickled: a file from elsewhere would run code.
        with np.load(path, allow_pickle=False) as archive:
            labels: NDArray[np.generic] = archive[name]
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: there is no such file - download or simulate it again") from error
    except KeyError as error:
        raise ManifestError(f"{path}: has no array {name!r}; it has {names(path)} - give MedMNIST's file") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ManifestError(f"{path}: array {name!r} cannot be read ({error}) - download it again") from error
    if labels.shape != (count, len(MAPPINGS)) or labels.dtype.kind not in "iub":
        raise ManifestError(
            f"{path}: array {name!r} is {labels.dtype}{list(labels.shape)}; whole numbers [{count}, {len(MAPPINGS)}] "
            "are expected, a row an image - give MedMNIST's file"
        )
    is_wrong = ~np.isin(labels, (0, 1)).all(axis=1)
    if is_wrong.any():
        raise ManifestError(
            f"{path}: array {name!r} holds other values than 0 and 1 in {int(is_wrong.sum())} rows (first: row "
            f"{int(is_wrong.argmax())}) - give MedMNIST's file"
        )
    return labels.astype(np.bool_)


def _checked_md5(archive: Path, arrays: dict[str, Images], is_checked: bool) -> str:
    """The file's MD5. Raises ManifestError where it is not the published one and that matters."""
    with archive.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    expected = OFFICIAL_MD5[arrays["train"].height]
    if is_checked and md5 != expected:
        raise ManifestError(
            f"{archive}: has MD5 {md5}, the published file {expected} - download it again from {WHERE_FROM}, or, if it "
            "is another on purpose: --set check_md5=false"
        )
    return md5


def _table(arrays: dict[str, Images]) -> pd.DataFrame:
    paths = [file_of(part, row) for part, images in arrays.items() for row in range(images.count)]
    image_id = pd.Series(paths, dtype="str").str.removesuffix(".png")
    side = arrays["train"].height
    return pd.DataFrame(
        {
            "image_id": image_id,
            "path": paths,
            "patient_id": image_id,
            "study_id": image_id,
            "view_position": ViewPosition.UNKNOWN.value,
            "sex": Sex.UNKNOWN.value,
            "age_years": np.nan,
            "height": side,
            "width": side,
        }
    )
