"""Files to load, made on the spot."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.imaging.load import load

WriteDicom = Callable[..., Path]


def dicom_dataset(stored: NDArray[np.generic], bits_stored: int, syntax: str = ExplicitVRLittleEndian) -> FileDataset:
    """A DX image of the stored values [h, w] or [h, w, 3], uncompressed."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel = 1 if stored.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if stored.ndim == 2 else "RGB"
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * stored.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = bits_stored, bits_stored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    raw = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    dataset.add_new("PixelData", "OB" if dataset.BitsAllocated == 8 else "OW", raw + b"\0" * (len(raw) % 2))
    return dataset


@pytest.fixture
def write_dicom(tmp_path: Path) -> WriteDicom:
    """Writes an image as DICOM: (stored values, bits stored, header changes, transfer syntax) -> path."""

    def write(
        stored: NDArray[np.generic],
        bits_stored: int,
        change: Callable[[Dataset], None] = lambda dataset: None,
        syntax: str = ExplicitVRLittleEndian,
    ) -> Path:
        dataset = dicom_dataset(stored, bits_stored, syntax)
        change(dataset)
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.dcm"
        dcmwrite(path, dataset, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def refusal_of() -> Callable[[Path], RefusalCode]:
    """The code with which a file is refused; fails when it is not, or when the message does not name the file."""

    def refused(path: Path) -> RefusalCode:
        with pytest.raises(ImageRefusedError) as caught:
            load(path)
        assert str(path) in str(caught.value)
        assert " - " in str(caught.value), "no next step"
        return caught.value.code

    return refused
