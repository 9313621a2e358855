"""Agreement of two models over a manifest: where the finding is present, on all images, and who agrees better."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pocketcxr.domain.errors import EmptyCohortError, UsageError
from pocketcxr.domain.study import Split
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.schema import Manifest, ManifestHeader, write_manifest
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.recipes.agreement import (
    AgreementCheck,
    AgreementOptions,
    GainCheck,
    MapSource,
    Rivals,
    agreement,
    compare_agreements,
)
from pocketcxr.recipes.config import config_data
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.train.run_dir import open_run
from pocketcxr.train.weights import ModelHeader, TrainingSummary, write_weights

FINDINGS = ("Mass", "Effusion")
NUM_IMAGES, SIZE = 8, 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agreement")


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Path:
    """Eight pictures of four patients, Mass in the first four; the last picture cannot be read."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(NUM_IMAGES):
        name = f"{number:02d}.png"
        Image.fromarray(rng.integers(0, 255, (48, 40), dtype=np.uint8)).save(folder / name)
        states = {"label.Mass": "present" if number < 4 else "absent", "label.Effusion": "absent"}
        who = {"patient_id": f"p{number // 2}", "study_id": f"s{number}", "view_position": "PA", "sex": "F"}
        what = {"age_years": 50.0, "height": 48, "width": 40, "split": "test"}
        rows.append({"image_id": name, "path": name, "source": "test", **who, **what, **states})
    (folder / "07.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    regions = pd.DataFrame({column: [] for column in ("image_id", "finding")}, dtype=str)
    regions = regions.assign(**{side: pd.Series(dtype=float) for side in "xywh"})
    header = ManifestHeader(source="test", root=str(folder), findings=FINDINGS)
    write_manifest(Manifest(pd.DataFrame(rows), regions, header), folder / "manifest.parquet")
    return folder / "manifest.parquet"


def run_of(folder: Path, manifest: Path, seed: int, findings: tuple[str, ...] = FINDINGS) -> Path:
    """A run of a net with the first weights of a seed."""
    spec, net = PreprocessSpec(size=SIZE), NetConfig(name="eeea-net-c2-lite-map", output_stride=16)
    config = RunConfig(manifest=manifest, findings=findings, net=net, preprocess=spec)
    counts = {"num_images": 1, "num_labelled": 1, "num_patients": 1, "seed": seed, "steps": 1, "batch_size": 1}
    training = TrainingSummary.model_validate(
        {"source": "test", "is_simulated": False, "objective": ("bce",), "teacher": None, **counts}
    )
    header = ModelHeader(net=net, findings=findings, preprocess=spec, training=training)
    directory = open_run(folder / f"run-{seed}-{len(findings)}", config_data(config))
    write_weights(directory.best, build(net, len(findings), seed=seed).state_dict(), header)
    return directory.root


@pytest.fixture(scope="module")
def runs(folder: Path, manifest: Path) -> tuple[Path, Path]:
    return run_of(folder, manifest, 0), run_of(folder, manifest, 1)


def options(manifest: Path) -> AgreementOptions:
    return AgreementOptions(manifest, num_resamples=50)


def test_a_model_agrees_with_itself_and_with_another_less(
    runs: tuple[Path, Path], manifest: Path, tmp_path: Path
) -> None:
    first, second = (MapSource(run) for run in runs)
    same = agreement(first, first, options(manifest), tmp_path / "same.json")
    assert same.all_images.mean.figures.rank_correlation is not None
    assert same.all_images.mean.figures.rank_correlation.value == pytest.approx(1)
    other = agreement(first, second, options(manifest), tmp_path / "deep" / "other.json")
    assert other.all_images.mean.figures.rank_correlation is not None
    assert other.all_images.mean.figures.rank_correlation.value < 0.99
    assert AgreementCheck.model_validate_json((tmp_path / "deep" / "other.json").read_bytes()) == other


def test_present_is_by_label_and_unreadable_files_are_named(
    runs: tuple[Path, Path], manifest: Path, tmp_path: Path
) -> None:
    check = agreement(MapSource(runs[0]), MapSource(runs[1]), options(manifest), tmp_path / "a.json")
    assert check.present is not None
    assert [(one.finding, one.num_images, one.num_patients) for one in check.present.findings] == [("Mass", 4, 2)]
    assert [one.num_images for one in check.all_images.findings] == [NUM_IMAGES - 1] * 2
    assert len(check.refused) == 1
    assert "07.png" in check.refused[0]
    assert (check.all_images.grid_rows, check.all_images.grid_columns) == (4, 4)


def test_heatmaps_of_one_model_by_two_methods_can_be_compared(
    runs: tuple[Path, Path], manifest: Path, tmp_path: Path
) -> None:
    by_cam = MapSource(runs[0], "grad-cam")
    check = agreement(MapSource(runs[0]), by_cam, options(manifest), tmp_path / "a.json")
    assert check.first == str(runs[0])
    assert check.second == f"{runs[0]} by grad-cam"


def test_the_model_itself_agrees_better_with_itself_than_another_does(
    runs: tuple[Path, Path], manifest: Path, tmp_path: Path
) -> None:
    reference, other = (MapSource(run) for run in runs)
    check = compare_agreements(Rivals(reference, other, reference), options(manifest), tmp_path / "gain.json")
    assert check.all_images.mean.rank_correlation is not None
    assert check.all_images.mean.rank_correlation.value > 0
    assert check.present is not None
    assert check.reference == str(runs[0])
    assert GainCheck.model_validate_json((tmp_path / "gain.json").read_bytes()) == check


def test_models_without_a_common_finding_and_empty_splits_are_refused(
    runs: tuple[Path, Path], folder: Path, manifest: Path, tmp_path: Path
) -> None:
    stranger = MapSource(run_of(folder, manifest, 2, ("Nodule",)))
    with pytest.raises(UsageError, match="no finding in common"):
        agreement(MapSource(runs[0]), stranger, options(manifest), tmp_path / "a.json")
    with pytest.raises(EmptyCohortError, match="'train'"):
        agreement(MapSource(runs[0]), MapSource(runs[1]), AgreementOptions(manifest, Split.TRAIN), tmp_path / "a.json")
