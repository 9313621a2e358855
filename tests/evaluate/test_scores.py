"""A table of scores comes back as it was written, and a wrong one is refused with its reason."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.evaluate.scores import ScoreTable, read_scores, write_scores


@st.composite
def score_tables(draw: st.DrawFn) -> ScoreTable:
    names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=6)
    images = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    findings = draw(st.lists(names, max_size=3, unique=True))
    shape = (len(images), len(findings))
    labels = draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([0.0, 1.0, np.nan])))
    probabilities = draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    probabilities[:, draw(hnp.arrays(np.bool_, shape[1]))] = np.nan
    patients = draw(st.lists(names, min_size=len(images), max_size=len(images)))
    return ScoreTable(tuple(findings), tuple(images), tuple(patients), labels, probabilities)


@settings(deadline=None, max_examples=40)
@given(score_tables())
def test_what_is_written_is_read_back_bit_for_bit(tmp_path_factory, table: ScoreTable) -> None:
    path = tmp_path_factory.mktemp("scores") / "deep" / "scores.parquet"
    write_scores(table, path)
    back = read_scores(path)
    assert (back.findings, back.image_ids, back.patient_ids) == (table.findings, table.image_ids, table.patient_ids)
    np.testing.assert_array_equal(back.labels, table.labels)
    np.testing.assert_array_equal(back.probabilities, table.probabilities)
    assert back.labels.dtype == back.probabilities.dtype == np.float32
    assert [file.name for file in path.parent.iterdir()] == ["scores.parquet"]


def test_a_missing_file_names_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="pocketcxr evaluate"):
        read_scores(tmp_path / "none.parquet")


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    path.write_text("image_id,patient_id\n")
    with pytest.raises(ManifestError, match="not a parquet file"):
        read_scores(path)


def test_a_parquet_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    pq.write_table(pa.table({"image_id": ["a"]}), path)
    with pytest.raises(ManifestError, match="header is missing"):
        read_scores(path)


@pytest.mark.parametrize("change", ["drop", "add"])
def test_columns_that_do_not_fit_the_header_are_named(tmp_path: Path, score_table, change: str) -> None:
    path = tmp_path / "scores.parquet"
    write_scores(score_table(), path)
    frame = pq.read_table(path)
    changed = frame.drop_columns(["label.Hernia"]) if change == "drop" else frame.append_column("x", frame.column(0))
    pq.write_table(changed, path)
    with pytest.raises(ManifestError, match=r"label\.Hernia" if change == "drop" else r"unexpected \['x'\]"):
        read_scores(path)


def test_a_column_of_another_type_is_named(tmp_path: Path, score_table) -> None:
    path = tmp_path / "scores.parquet"
    write_scores(score_table(), path)
    frame = pq.read_table(path)
    column = frame.column_names.index("label.Hernia")
    pq.write_table(frame.set_column(column, "label.Hernia", frame.column(column).cast(pa.float64())), path)
    with pytest.raises(ManifestError, match=r"label\.Hernia.* not float32"):
        read_scores(path)


def test_an_image_scored_twice_is_named(score_table) -> None:
    table = score_table()
    with pytest.raises(ManifestError, match=r"'0000\.png' has 2 rows"):
        replace(table, image_ids=("0000.png", "0000.png", *table.image_ids[2:]))


def test_a_label_that_is_no_label_is_refused(score_table) -> None:
    table = score_table()
    labels = table.labels.copy()
    labels[4, 1] = 0.5
    with pytest.raises(ManifestError, match="1 labels of Effusion"):
        replace(table, labels=labels)


@pytest.mark.parametrize("value", [np.nan, -0.1, 1.5, np.inf])
def test_a_finding_scored_in_some_images_only_or_beyond_one_is_refused(score_table, value: float) -> None:
    table = score_table()
    probabilities = table.probabilities.copy()
    probabilities[3, 2] = value
    with pytest.raises(ManifestError, match="1 of 120 probabilities of Hernia"):
        replace(table, probabilities=probabilities)


def test_no_image_is_no_cohort() -> None:
    empty = np.empty((0, 1), np.float32)
    with pytest.raises(EmptyCohortError):
        ScoreTable(("Hernia",), (), (), empty, empty)


def test_shapes_that_do_not_fit_are_refused(score_table) -> None:
    table = score_table()
    with pytest.raises(ManifestError, match="labels are"):
        replace(table, labels=table.labels[:, :2])
    with pytest.raises(ManifestError, match="patient_ids"):
        replace(table, patient_ids=table.patient_ids[1:])
