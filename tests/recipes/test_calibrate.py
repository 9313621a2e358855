"""A site's re-calibration: probabilities and thresholds of its own, the graphs untouched, nothing invented."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from pocketcxr.domain.errors import EmptyCohortError, ManifestError, UnknownNameError, UsageError
from pocketcxr.export.pack import pack
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.recipes.calibrate import CalibrateOptions, Recalibration, calibrate
from pocketcxr.recipes.local_scores import read_local_scores
from pocketcxr.runtime.bundle import Bundle, open_bundle
from pocketcxr.runtime.card import CardFacts
from pocketcxr.runtime.golden import verify_golden
from pocketcxr.runtime.input_gate import GATE
from pocketcxr.runtime.predict import finding_scores, probabilities_of
from pocketcxr.runtime.score_columns import score_cells, score_columns
from pocketcxr.runtime.session import open_engine

from ..tiny_bundles import packed, tiny_net  # noqa: TID252 - tests are no package of the path

FINDINGS = ("Effusion", "Nodule", "Mass")
QUICK = CalibrateOptions(num_resamples=50)
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with an input gate that never learnt Nodule and has no calibration."""
    out = tmp_path_factory.mktemp("bundle") / "site.zip"
    return packed(tiny_net(FINDINGS, PreprocessSpec(size=32)), out, has_gate=True, name="site", unlearnt=("Nodule",))


def predicted(bundle: Bundle, num: int, seed: int = 0) -> Rows:
    """What `predict --csv` writes of `num` images; truth is sigmoid(0.4 logit - 1) for Effusion and for Mass."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(num):
        logits = rng.normal(scale=2, size=3).astype(np.float32)
        cells = score_cells(bundle.card, finding_scores(bundle.card, logits))
        row = {"path": f"{number}.png", "status": "scored", "message": ""}
        row |= dict(zip(score_columns(bundle.card), cells, strict=True))
        row |= {f"label.{name}": str(int(rng.random() < expit(0.4 * logits[k] - 1))) for k, name in enumerate(FINDINGS)}
        rows.append(row)
    return rows


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Rows], Path]:
    """(rows) -> the CSV."""

    def written(rows: Rows, name: str = "local.csv") -> Path:
        with (tmp_path / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return tmp_path / name

    return written


def refit(
    bundle: Path, scores: Path, tmp_path: Path, options: CalibrateOptions = QUICK
) -> tuple[Recalibration, Bundle]:
    result = calibrate(bundle, scores, tmp_path / "new.zip", options)
    return result, open_bundle(Path(result.out))


def test_a_site_gets_its_own_probabilities_and_thresholds_and_the_graphs_stay(
    bundle: Path, write: Callable[[Rows], Path], tmp_path: Path
) -> None:
    old = open_bundle(bundle)
    rows = predicted(old, 600)
    result, new = refit(bundle, write(rows), tmp_path)
    assert result.refitted == ("Effusion", "Mass")
    assert result.kept == {"Nodule": "the model never learnt the finding"}
    kept = {name for name in old.files if name.endswith((".onnx", ".npy", ".npz", ".png"))}
    assert {"model.onnx", "preprocess.onnx", GATE} < kept
    assert {name: new.files[name] for name in kept} == {name: old.files[name] for name in kept}
    assert set(new.files) == set(old.files)
    line = new.card.calibrated["Effusion"]
    assert (line.slope, line.offset) == (pytest.approx(0.4, abs=0.15), pytest.approx(-1, abs=0.3))
    assert line.fitted_on == "local.csv: 600 images"
    assert line.before is not None
    assert line.after is not None
    assert line.after.ece.value < line.before.ece.value
    assert new.card.criteria == ("sensitivity-90", "sensitivity-95", "specificity-90", "youden")
    assert "Nodule" not in {point.finding for point in new.card.operating_points}
    assert old.digest == open_bundle(bundle).digest
    assert verify_golden(open_engine(new, 1)) <= 1e-4
    assert "Effusion" in Path(result.page).read_text()


def test_a_thresholds_figures_are_those_of_its_decisions_on_the_same_images(
    bundle: Path, write: Callable[[Rows], Path], tmp_path: Path
) -> None:
    rows = predicted(open_bundle(bundle), 300)
    _, new = refit(bundle, write(rows), tmp_path)
    labels = np.array([row["label.Mass"] == "1" for row in rows])
    logits = np.array([[0, 0, float(row["logit.Mass"])] for row in rows])
    probabilities = probabilities_of(new.card, logits)[:, 2]
    for point in new.card.operating_points:
        if point.finding != "Mass":
            continue
        called = probabilities >= point.threshold
        assert point.sensitivity is not None
        assert point.specificity is not None
        assert point.sensitivity.value == pytest.approx(called[labels].mean())
        assert point.specificity.value == pytest.approx((~called[~labels]).mean())
        assert point.prevalence == pytest.approx(labels.mean())


def test_history_keeps_what_was_replaced_and_a_second_fit_starts_from_the_logits(
    bundle: Path, write: Callable[[Rows], Path], tmp_path: Path
) -> None:
    _, first = refit(bundle, write(predicted(open_bundle(bundle), 300)), tmp_path)
    rows = predicted(first, 300)
    for row in rows:
        row["label.Mass"] = ""
    again = calibrate(Path(first.path), write(rows), tmp_path / "again.zip", QUICK)
    second = open_bundle(Path(again.out)).card
    assert again.refitted == ("Effusion",)
    assert again.kept["Mass"] == "no image has a known label"
    assert second.calibrated["Mass"] == first.card.calibrated["Mass"]
    # Same images, same logits: the same fit, whatever the probabilities told in between.
    assert second.calibrated["Effusion"].slope == pytest.approx(first.card.calibrated["Effusion"].slope)
    assert len(first.card.history) == 1
    assert first.card.history[0].calibration is None
    assert len(second.history) == 2
    assert second.history[:1] == first.card.history
    assert second.history[1].calibration == first.card.calibration
    assert second.history[1].operating_points == first.card.operating_points
    kept = [point for point in second.operating_points if point.finding == "Mass"]
    assert kept == [point for point in first.card.operating_points if point.finding == "Mass"]


def test_too_small_a_set_is_said_so_finding_by_finding(
    bundle: Path, write: Callable[[Rows], Path], tmp_path: Path
) -> None:
    rows = predicted(open_bundle(bundle), 300)
    positive = [row for row in rows if row["label.Mass"] == "1"]
    for row in positive[19:]:
        row["label.Mass"] = ""
    result, new = refit(bundle, write(rows), tmp_path)
    assert result.refitted == ("Effusion",)
    assert result.kept["Mass"].startswith("19 images with it")
    assert new.card.calibration is not None
    assert new.card.calibration.not_calibrated["Mass"].startswith("19 images with it")
    few = predicted(open_bundle(bundle), 110)
    result, _ = refit(bundle, write(few), tmp_path)
    assert any(row.wide for row in result.report.calibrated)
    with pytest.raises(EmptyCohortError, match="no finding can be re-fitted"):
        refit(bundle, write(few[:30]), tmp_path)


def test_a_set_of_one_kind_only_writes_no_bundle(bundle: Path, write: Callable[[Rows], Path], tmp_path: Path) -> None:
    rows = [row | {"label.Effusion": "1", "label.Mass": "0"} for row in predicted(open_bundle(bundle), 60)]
    with pytest.raises(EmptyCohortError, match="0 without it"):
        refit(bundle, write(rows), tmp_path)
    assert not (tmp_path / "new.zip").exists()


def test_patients_are_told_apart_where_a_column_says_who_is_who(
    bundle: Path, write: Callable[[Rows], Path], tmp_path: Path
) -> None:
    rows = [row | {"patient_id": f"p{i // 3}"} for i, row in enumerate(predicted(open_bundle(bundle), 300))]
    rows[7] |= {"status": "corrupt", "logit.Mass": "", "logit.Effusion": ""}
    result, new = refit(bundle, write(rows), tmp_path)
    assert result.has_patients
    assert result.num_left_out == 1
    assert new.card.calibrated["Mass"].fitted_on == "local.csv: 299 images of 100 patients"


def test_a_stated_prevalence_and_temperature_scaling_are_used(
    bundle: Path, write: Callable[[Rows], Path], tmp_path: Path
) -> None:
    options = replace(QUICK, prevalence=0.01, method="temperature")
    _, new = refit(bundle, write(predicted(open_bundle(bundle), 300)), tmp_path, options)
    assert {point.prevalence for point in new.card.operating_points} == {0.01}
    assert {line.offset for line in new.card.calibrated.values()} == {0}


def test_a_folder_bundle_gets_a_folder_beside_it(bundle: Path, write: Callable[[Rows], Path], tmp_path: Path) -> None:
    opened = open_bundle(bundle)
    files = {name: data for name, data in opened.files.items() if not name.startswith("card.")}
    folder = pack(CardFacts.model_validate(opened.card.model_dump(exclude={"sha256"})), files, tmp_path / "mine")
    result = calibrate(folder, write(predicted(opened, 200)), None, QUICK)
    assert Path(result.out) == tmp_path / "mine.calibrated"
    assert (tmp_path / "mine.calibrated" / "card.json").is_file()
    assert Path(result.page) == tmp_path / "mine.calibrated.calibration.html"


def test_the_bundle_itself_is_never_replaced(bundle: Path, write: Callable[[Rows], Path]) -> None:
    scores = write(predicted(open_bundle(bundle), 60))
    with pytest.raises(UsageError, match="is the bundle itself"):
        calibrate(bundle, scores, bundle.parent / ".." / bundle.parent.name / bundle.name, QUICK)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"label.Mass": "2"}, ManifestError, "row 4: label.Mass is '2'"),
        ({"label.Mass": "yes"}, ManifestError, "write 1, 0 or leave it blank"),
        ({"logit.Mass": "nan"}, ManifestError, "row 4: logit.Mass is 'nan'"),
        ({"logit.Mass": "high"}, ManifestError, "no finite number"),
        ({"logit.Mass": ""}, ManifestError, "1 of 60 logits of Mass are NaN"),
        ({"path": "0.png"}, ManifestError, "0.png has 2 rows"),
    ],
)
def test_cells_that_make_no_sense_are_refused_with_their_row(
    changes: Mapping[str, str], error: type[Exception], message: str, bundle: Path, write: Callable[[Rows], Path]
) -> None:
    rows = predicted(open_bundle(bundle), 60)
    rows[2] |= changes
    with pytest.raises(error, match=message):
        read_local_scores(write(rows), FINDINGS)


@pytest.mark.parametrize(
    ("renamed", "error", "message"),
    [
        ({"label.Mass": "label.Mas"}, UnknownNameError, "did you mean 'Mass'"),
        ({"logit.Mass": "Logit"}, ManifestError, r"lacks the column logit\.Mass"),
        ({"status": "state"}, ManifestError, "lacks the column status"),
        ({f"label.{name}": name.lower() for name in FINDINGS}, ManifestError, "has no column label"),
    ],
)
def test_columns_that_are_missing_or_unknown_are_named(
    renamed: Mapping[str, str], error: type[Exception], message: str, bundle: Path, write: Callable[[Rows], Path]
) -> None:
    rows = [{renamed.get(name, name): cell for name, cell in row.items()} for row in predicted(open_bundle(bundle), 5)]
    with pytest.raises(error, match=message):
        read_local_scores(write(rows), FINDINGS)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (b"", EmptyCohortError, "is empty"),
        (b"path,status,logit.Mass,label.Mass\n", EmptyCohortError, "no rows"),
        (b"path,status,logit.Mass,label.Mass\na,corrupt,,\n", EmptyCohortError, "none of 1 rows has status"),
        (b"path,status,logit.Mass,label.Mass\na,scored\n", ManifestError, "row 2 has 2 cells, the header 4"),
        (b"path,path,status\na,b,scored\n", ManifestError, "named twice"),
        (b"\xff\xfe\x00", ManifestError, "not a CSV file in UTF-8"),
        (b'path,status\n"a', ManifestError, "not a CSV file"),
        (b"path,patient_id,status,logit.Mass,label.Mass\na, ,scored,0,1\n", ManifestError, "row 2 has no patient_id"),
    ],
)
def test_files_that_are_no_such_table_are_refused(
    text: bytes, error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "local.csv"
    path.write_bytes(text)
    with pytest.raises(error, match=message):
        read_local_scores(path, FINDINGS)
    with pytest.raises(ManifestError, match="cannot be read"):
        read_local_scores(tmp_path / "absent.csv", FINDINGS)


def test_a_spreadsheets_spelling_is_read(tmp_path: Path) -> None:
    path = tmp_path / "local.csv"
    path.write_bytes(b"\xef\xbb\xbfpath,status,logit.Mass,label.Mass\r\na,scored,0.5,1.0\r\nb,scored,-1,\r\n")
    data = read_local_scores(path, FINDINGS).data
    assert data.findings == ("Mass",)
    assert data.logits.tolist() == [[0.5], [-1.0]]
    assert data.labels[0, 0] == 1
    assert np.isnan(data.labels[1, 0])
