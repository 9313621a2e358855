"""The layout of ChestMNIST: one NumPy archive with the images and labels of three parts, as MedMNIST writes it."""

import shutil
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import Split
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.layouts.layout import Layout
from pocketcxr.phantom.layouts.tables import BOX_CONTENTS, TRUTH_CONTENTS, write_boxes, write_truth
from pocketcxr.phantom.picture import NOTICE, PART_SUFFIX, Drawn
from pocketcxr.phantom.plan import PlannedImage

SIZES: tuple[int, ...] = (28, 64, 128, 224)
"""Sides that MedMNIST has; others can be simulated, but readers of MedMNIST do not expect them."""
PARTS: dict[Split, str] = {Split.TRAIN: "train", Split.VALIDATION: "val", Split.TEST: "test"}
DRAWN = "drawn"
"""Folder of the images until they are in the archive: a stopped run finds there what it has drawn."""
WRITTEN_AT = (1980, 1, 1, 0, 0, 0)
"""The time in the archives, the earliest that ZIP can tell: equal settings give equal files."""

CONTENTS = f"""\
chestmnist_SIZE.npz                train_images, train_labels, val_... and test_..., the labels with the label noise of
                                   the configuration below; chestmnist.npz where SIZE is 28; its comment is this notice
chestmnist_SIZE_clean.npz          labels of what is truly there
{BOX_CONTENTS}{TRUTH_CONTENTS}
Image Index train/000012.png in these tables is image 12, counted from 0, of train_images.
"""


def archive_stem(size: int) -> str:
    """The archive's name without its ending, as MedMNIST forms it."""
    return "chestmnist" if size == 28 else f"chestmnist_{size}"


def write_tables(out: Path, config: PhantomConfig, images: Sequence[PlannedImage], drawn: Sequence[Drawn]) -> None:
    """Packs the images that were drawn, with their labels, writes the truth, and removes the single images."""
    parts = {part: [image for image in images if image.split is split] for split, part in PARTS.items()}
    noisy, clean = list[_Array](), list[_Array]()
    for part, members in parts.items():
        pixels = (_pixels(out / path_of(image)) for image in members)
        noisy.append(_Array(f"{part}_images", (len(members), config.size, config.size), pixels))
        shape = (len(members), len(CHESTXRAY14))
        noisy.append(_Array(f"{part}_labels", shape, (_flags(image.labels) for image in members)))
        clean.append(_Array(f"{part}_labels", shape, (_flags(image.truth) for image in members)))
    stem = archive_stem(config.size)
    _pack(out / f"{stem}.npz", noisy)
    _pack(out / f"{stem}_clean.npz", clean)
    names = {image.image_id: f"{part}/{row:06d}.png" for part in parts for row, image in enumerate(parts[part])}
    in_order = [names[image.image_id] for image in images]
    write_boxes(out, in_order, drawn)
    write_truth(out, in_order, images, drawn)
    shutil.rmtree(out / DRAWN)


def path_of(image: PlannedImage) -> str:
    """Where the image waits to be packed."""
    return f"{DRAWN}/{image.image_id}"


@dataclass(frozen=True)
class _Array:
    """An array of uint8 that is written row by row, because all images at once may not fit into memory."""

    name: str
    shape: tuple[int, ...]
    rows: Iterable[NDArray[np.uint8]]


def _pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.array(picture, dtype=np.uint8)


def _flags(findings: Sequence[str]) -> NDArray[np.uint8]:
    """1 where a finding is named, uint8 [14]: ChestMNIST has the order of CHESTXRAY14."""
    return np.array([finding in findings for finding in CHESTXRAY14], dtype=np.uint8)


def _pack(path: Path, arrays: Iterable[_Array]) -> None:
    """Writes an .npz archive, whole or not at all."""
    part = path.with_name(f"{path.name}{PART_SUFFIX}")
    with zipfile.ZipFile(part, "w") as archive:
        archive.comment = NOTICE.encode("ascii")
        for array in arrays:
            member = zipfile.ZipInfo(f"{array.name}.npy", WRITTEN_AT)
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as stream:
                header = {"descr": "|u1", "fortran_order": False, "shape": array.shape}
                npy.write_array_header_1_0(stream, header)
                for row in array.rows:
                    stream.write(row.tobytes())
    part.replace(path)


LAYOUT = Layout(
    follows="the layout of ChestMNIST of MedMNIST v2 (Yang et al., Scientific Data 2023)",
    contents=CONTENTS,
    picture="png-8",
    path=path_of,
    write_tables=write_tables,
)
