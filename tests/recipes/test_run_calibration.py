"""A run's bundle is calibrated on the run's own validation images, and says so where it cannot be."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketcxr.evaluate.calibration_report import CalibrationOptions
from pocketcxr.recipes.export import export
from pocketcxr.recipes.run_calibration import fit_on_validation, labelled_logits, net_logits, open_validation
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import LoadedRun, load_run
from pocketcxr.recipes.train import train
from pocketcxr.runtime.bundle import open_bundle

QUICK = CalibrationOptions(num_resamples=40, least=2)


@pytest.fixture
def loaded(make_config: Callable[..., RunConfig], tmp_path: Path) -> LoadedRun:
    """A run of four steps; it never learnt Hernia."""
    return load_run(train(make_config(), tmp_path / "runs" / "student"))


def brightness(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits that know an effusion, and say the same of Mass and Hernia."""
    return np.repeat(3 * images.mean(axis=(1, 2, 3))[:, None], 3, axis=1).astype(np.float32)


def test_logits_and_labels_are_the_validation_images_row_by_row(loaded: LoadedRun) -> None:
    cohort = open_validation(loaded)
    assert cohort is not None
    data = labelled_logits(cohort, net_logits(loaded.net), loaded.header.unlearnt)
    assert data.logits.shape == (12, 3)
    assert data.patient_ids == tuple(f"p{row // 2}" for row in range(24, 36))
    assert data.labels[:, 0].tolist() == [0, 1] * 6
    assert np.isnan(data.logits[:, 2]).all()
    assert not np.isnan(data.logits[:, :2]).any()


def test_the_cohort_is_named_and_never_learnt_findings_stay_out(loaded: LoadedRun) -> None:
    fit = fit_on_validation(loaded, brightness, QUICK)
    assert fit is not None
    named = {line.finding for line in fit.calibration.findings} | set(fit.calibration.not_calibrated)
    assert named == {"Effusion", "Mass", "Hernia"}
    assert "Hernia" in fit.calibration.not_calibrated
    assert fit.report.cohort == "m.parquet, split validation: 12 images of 6 patients (simulated)"
    assert fit.operating_points == ()


def test_an_exported_card_says_which_findings_had_too_few_images(loaded: LoadedRun, tmp_path: Path) -> None:
    card = open_bundle(export(loaded.run.root, tmp_path / "b.zip")).card
    assert card.calibration is not None
    assert card.calibration.findings == ()
    assert card.calibration.not_calibrated["Effusion"] == "6 images with it and 6 without it; 10 of each are needed"
    assert card.operating_points == ()
    assert "No finding was calibrated." in (tmp_path / "b.calibration.html").read_text()


def test_a_manifest_that_is_gone_leaves_the_bundle_uncalibrated_and_says_so(
    loaded: LoadedRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded.config.manifest.unlink()
    with caplog.at_level(logging.WARNING):
        card = open_bundle(export(loaded.run.root, tmp_path / "b.zip")).card
    assert card.calibration is None
    assert "not calibrated, without operating points" in caplog.text
    assert str(loaded.config.manifest) in caplog.text
    assert not (tmp_path / "b.calibration.html").exists()
