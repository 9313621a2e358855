"""Small manifests and small folders in the official layout."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pocketcxr.manifest.rules import label_column, no_regions, table_columns
from pocketcxr.manifest.schema import Manifest, ManifestHeader

MakeManifest = Callable[..., Manifest]

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"


@pytest.fixture
def make_manifest() -> MakeManifest:
    """(states by finding, patients, splits) -> a manifest with one image a state."""

    def make(
        states: dict[str, Sequence[str]], patients: Sequence[str] | None = None, splits: Sequence[str] | None = None
    ) -> Manifest:
        findings = tuple(states)
        num = len(next(iter(states.values())))
        patients = patients or [f"p{row}" for row in range(num)]
        table = pd.DataFrame(
            {
                "image_id": [f"{row}.png" for row in range(num)],
                "path": [f"images/{row}.png" for row in range(num)],
                "source": "test",
                "patient_id": list(patients),
                "study_id": [f"s{row}" for row in range(num)],
                "view_position": ["PA", "AP"] * (num // 2) + ["PA"] * (num % 2),
                "sex": "F",
                "age_years": np.array([50.0, np.nan] * (num // 2) + [50.0] * (num % 2)),
                "height": np.full(num, 100),
                "width": np.full(num, 80),
                "split": list(splits or ["train"] * num),
            }
            | {label_column(finding): list(column) for finding, column in states.items()}
        )
        assert tuple(table.columns) == table_columns(findings)
        return Manifest(table, no_regions(), ManifestHeader(source="test", root="/data", findings=findings))

    return make


@dataclass
class Layout:
    """A folder in the layout of ChestX-ray14, to be broken in one way and written."""

    root: Path
    header: str = HEADER
    rows: list[str] = field(
        default_factory=lambda: [
            "00000001_000.png,Cardiomegaly,0,1,57,M,PA,2682,2749,0.143,0.143",
            "00000001_001.png,Cardiomegaly|Effusion,1,1,58,M,AP,2894,2729,0.143,0.143",
            "00000002_000.png,No Finding,0,2,80,M,PA,2500,2048,0.171,0.171",
            "00000003_000.png,Hernia,0,3,81,F,PA,2582,2991,0.143,0.143",
            "00000004_000.png,Infiltration|Mass|Nodule,0,4,060Y,F,PA,2582,2991,0.143,0.143",
            "00000005_000.png,No Finding,0,5,414,F,XX,2048,2500,0.168,0.168",
        ]
    )
    train_val: list[str] = field(
        default_factory=lambda: [f"0000000{name}.png" for name in ("1_000", "1_001", "2_000", "4_000")]
    )
    test: list[str] = field(default_factory=lambda: ["00000003_000.png", "00000005_000.png"])
    boxes: list[str] = field(
        default_factory=lambda: [
            "00000001_001.png,Cardiomegaly,256,512,128,64,,,",
            "00000004_000.png,Infiltrate,0,0,512,1024,,,",
            "00099999_000.png,Mass,1,2,3,4,,,",
        ]
    )
    box_header: str = BOX_HEADER
    size: tuple[int, int] = (32, 48)
    suffix: str = ".png"
    without_image: frozenset[str] = frozenset()

    def write(self) -> Path:
        """The folder, written."""
        table = "\n".join([self.header, *self.rows]) + "\n"
        (self.root / "Data_Entry_2017_v2020.csv").write_text(table)
        (self.root / "train_val_list.txt").write_text("\n".join(self.train_val))
        (self.root / "test_list.txt").write_text("\n".join(self.test) + "\n")
        (self.root / "BBox_List_2017.csv").write_text("\n".join([self.box_header, *self.boxes]) + "\n")
        (self.root / "images").mkdir(exist_ok=True)
        pixels = np.arange(self.size[0] * self.size[1], dtype=np.uint8).reshape(self.size)
        for name in {row.split(",")[0] for row in self.rows} - self.without_image:
            Image.fromarray(pixels).save(self.root / "images" / name.replace(".png", self.suffix))
        return self.root


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Six images of five patients."""
    return Layout(tmp_path)


@pytest.fixture(params=["bom", "latin-1", "crlf"])
def respell(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """(file, text) -> the file with the text as other programs write it: each in a test run of its own."""

    def write(path: Path, text: str) -> None:
        match request.param:
            case "bom":
                path.write_text(text, encoding="utf-8-sig")
            case "latin-1":
                path.write_text(text, encoding="latin-1")
            case _:
                path.write_bytes(text.replace("\n", "\r\n").encode())

    return write
