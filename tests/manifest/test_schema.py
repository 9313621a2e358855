"""A manifest keeps its rules, survives the disk, and is chosen from."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.domain.study import LabelState, Split, ViewPosition
from pocketcxr.manifest.schema import (
    Manifest,
    read_manifest,
    regions_path,
    select,
    validate,
    write_manifest,
)

Make = Callable[..., Manifest]
MASS = {"Mass": ["present", "absent", "uncertain", "unmentioned"]}


def _with(manifest: Manifest, column: str, value: object, row: int = 2) -> Manifest:
    table = manifest.table.copy()
    table[column] = table[column].astype(object)
    table.loc[row, column] = value
    return replace(manifest, table=table)


def _boxed(manifest: Manifest, **changes: object) -> Manifest:
    box = {"image_id": "1.png", "finding": "Mass", "x": 10.0, "y": 20.0, "w": 30.0, "h": 40.0} | changes
    return replace(manifest, regions=pd.DataFrame([box]))


def test_a_whole_manifest_is_valid(make_manifest: Make) -> None:
    validate(_boxed(make_manifest(MASS)))


@given(
    states=st.lists(st.sampled_from([state.value for state in LabelState]), min_size=1, max_size=8),
    splits=st.lists(st.sampled_from([split.value for split in Split]), min_size=8, max_size=8),
)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_what_is_read(
    states: list[str], splits: list[str], make_manifest: Make, tmp_path: Path
) -> None:
    manifest = make_manifest({"Mass": states, "Hernia": states[::-1]}, splits=splits[: len(states)])
    manifest = _boxed(manifest, image_id="0.png")
    write_manifest(manifest, tmp_path / "deep" / "m.parquet")
    back = read_manifest(tmp_path / "deep" / "m.parquet")
    pd.testing.assert_frame_equal(back.table, manifest.table)
    pd.testing.assert_frame_equal(back.regions, manifest.regions)
    sealed = {"splits_sha256": hashlib.sha256((tmp_path / "deep" / "m.splits.csv").read_bytes()).hexdigest()}
    assert back.header == manifest.header.model_copy(update=sealed)
    assert back.findings == ("Mass", "Hernia")
    assert back.num_images == back.num_patients == len(states)
    assert back.file_of("images/0.png") == Path("/data/images/0.png")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("view_position", "XX", "column 'view_position': 1 rows"),
        ("sex", "W", "column 'sex'"),
        ("split", "dev", "column 'split'"),
        ("label.Mass", "maybe", "column 'label.Mass'"),
        ("image_id", "1.png", "column 'image_id'"),
        ("path", "images/1.png", "column 'path'"),
        ("patient_id", "", "column 'patient_id'"),
    ],
)
def test_a_wrong_value_is_named_with_its_column_and_row(
    column: str, value: object, message: str, make_manifest: Make
) -> None:
    with pytest.raises(ManifestError) as caught:
        validate(_with(make_manifest(MASS), column, value), "here.parquet")
    assert str(caught.value).startswith("here.parquet: ")
    assert message in str(caught.value)
    assert "row" in str(caught.value)


@pytest.mark.parametrize(("column", "value"), [("age_years", -1.0), ("age_years", 414.0), ("height", 0)])
def test_a_wrong_number_is_named(column: str, value: float, make_manifest: Make) -> None:
    manifest = make_manifest(MASS)
    table = manifest.table.copy()
    table.loc[2, column] = value
    with pytest.raises(ManifestError, match=f"column '{column}'"):
        validate(replace(manifest, table=table))


def test_a_missing_or_foreign_column_is_named(make_manifest: Make) -> None:
    manifest = make_manifest(MASS)
    with pytest.raises(ManifestError, match="age_years"):
        validate(replace(manifest, table=manifest.table.drop(columns="age_years")))
    with pytest.raises(ManifestError, match="remark"):
        validate(replace(manifest, table=manifest.table.assign(remark=1)))


def test_a_patient_in_two_splits_is_refused(make_manifest: Make) -> None:
    manifest = make_manifest(MASS, patients=["a", "b", "b", "c"], splits=["train", "train", "test", "test"])
    with pytest.raises(ManifestError, match=r"1 patients are in more than one split \(first: patient 'b'\)"):
        validate(manifest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": "nowhere.png"}, "belong to no image"),
        ({"finding": "Masss"}, "finding"),
        ({"w": 0.0}, "'w'"),
        ({"x": 60.0}, "beyond their image"),
        ({"y": -5.0}, "'y'"),
    ],
)
def test_a_wrong_box_is_named(changes: dict[str, object], message: str, make_manifest: Make) -> None:
    with pytest.raises(ManifestError, match=message):
        validate(_boxed(make_manifest(MASS), **changes))


def test_choosing_keeps_order_regions_and_header(make_manifest: Make) -> None:
    manifest = _boxed(make_manifest(MASS, splits=["train", "test", "train", "test"]))
    test = select(manifest, Split.TEST)
    assert test.table["image_id"].tolist() == ["1.png", "3.png"]
    assert test.regions["image_id"].tolist() == ["1.png"]
    assert test.header == manifest.header
    assert select(manifest, Split.TRAIN).regions.empty
    assert select(manifest, view_positions=[ViewPosition.PA]).table["image_id"].tolist() == ["0.png", "2.png"]
    validate(test)


def test_choosing_nothing_names_the_filter(make_manifest: Make) -> None:
    manifest = make_manifest(MASS)
    with pytest.raises(EmptyCohortError, match=r"split 'test' \(there are train: 4\)"):
        select(manifest, Split.TEST)
    with pytest.raises(EmptyCohortError, match=r"view positions LATERAL \(there are AP: 2, PA: 2\)"):
        select(manifest, Split.TRAIN, [ViewPosition.LATERAL])


@given(split=st.sampled_from(Split), view=st.sampled_from(ViewPosition), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_chosen_is_of_the_kind_and_nothing_of_it_is_left(
    split: Split, view: ViewPosition, seed: int, make_manifest: Make
) -> None:
    splits = np.random.default_rng(seed).choice([each.value for each in Split], 4).tolist()
    manifest = make_manifest(MASS, splits=splits)
    table = manifest.table
    expected = table[(table["split"] == split.value) & (table["view_position"] == view.value)]["image_id"].tolist()
    if not expected:
        with pytest.raises(EmptyCohortError):
            select(manifest, split, [view])
    else:
        assert select(manifest, split, [view]).table["image_id"].tolist() == expected


def test_files_that_are_no_manifest_are_refused(make_manifest: Make, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file"):
        read_manifest(tmp_path / "m.parquet")
    (tmp_path / "m.parquet").write_text("image_id\n1.png\n")
    with pytest.raises(ManifestError, match="no readable parquet"):
        read_manifest(tmp_path / "m.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "m.parquet")
    with pytest.raises(ManifestError, match="header is missing"):
        read_manifest(tmp_path / "m.parquet")
    with pytest.raises(ManifestError, match=r"\.parquet"):
        write_manifest(make_manifest(MASS), tmp_path / "m.csv")


def test_another_version_or_foreign_regions_are_refused(make_manifest: Make, tmp_path: Path) -> None:
    manifest = make_manifest(MASS)
    path = tmp_path / "m.parquet"
    newer = replace(manifest, header=manifest.header.model_copy(update={"schema_version": 99}))
    write_manifest(newer, path)
    with pytest.raises(ManifestError, match="schema version 99"):
        read_manifest(path)
    write_manifest(manifest, path)
    write_manifest(replace(manifest, header=manifest.header.model_copy(update={"root": "/b"})), tmp_path / "b.parquet")
    regions_path(tmp_path / "b.parquet").replace(regions_path(path))
    with pytest.raises(ManifestError, match="belongs to another manifest"):
        read_manifest(path)


def test_a_full_disk_leaves_the_old_manifest(
    make_manifest: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.parquet"
    write_manifest(make_manifest(MASS), path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ManifestError, match="No space left"):
        write_manifest(make_manifest({"Hernia": ["present"]}), path)
    assert read_manifest(path).findings == ("Mass",)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.parquet", "m.regions.parquet", "m.splits.csv"]
