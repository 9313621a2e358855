"""The guard against scoring what a model was trained on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.study import Split
from pocketcxr.manifest.combine import combine
from pocketcxr.manifest.schema import Manifest, read_manifest, select, write_manifest
from pocketcxr.manifest.trained_on import doubts, refuse_trained_on

PATIENTS = ["p0", "p0", "p1", "p2", "p3", "p3"]
SPLITS = ["train"] * 3 + ["validation"] + ["test"] * 2


def other_splits(manifest: Manifest, splits: list[str]) -> Manifest:
    """The same images, split in another way."""
    return replace(manifest, table=manifest.table.assign(split=splits))


def from_source(manifest: Manifest, source: str, is_simulated: bool = False, root: str = "/data") -> Manifest:
    """The same rows under another source."""
    header = manifest.header.model_copy(update={"source": source, "is_simulated": is_simulated, "root": root})
    return replace(manifest, table=manifest.table.assign(source=source), header=header)


@pytest.fixture
def manifest(make_manifest: Callable[..., Manifest]) -> Manifest:
    return make_manifest({"Mass": ["present"] * 6}, patients=PATIENTS, splits=SPLITS)


def test_the_held_out_part_may_be_scored_and_the_training_part_may_not(manifest: Manifest) -> None:
    trained = select(manifest, Split.TRAIN)
    for split in (Split.TEST, Split.VALIDATION):
        refuse_trained_on(select(manifest, split), [trained], "model")
    with pytest.raises(ManifestError, match=r"model: 3 of the 3 images .* 3 of them .*\(first: 0.png, 1.png, 2.png\)"):
        refuse_trained_on(trained, [trained], "model")
    with pytest.raises(ManifestError, match="3 of the 6 images"):
        refuse_trained_on(manifest, [trained], "model")


def test_another_split_of_the_same_data_brings_people_back(manifest: Manifest) -> None:
    by_seed = other_splits(manifest, ["test", "test", "train", "train", "train", "train"])
    with pytest.raises(ManifestError, match="2 of the 2 images"):
        refuse_trained_on(select(by_seed, Split.TEST), [select(manifest, Split.TRAIN)], "model")
    refuse_trained_on(select(manifest, Split.TEST), [select(manifest, Split.TRAIN)], "model")


def test_another_image_of_a_person_counts(manifest: Manifest) -> None:
    trained = replace(manifest, table=manifest.table.iloc[:1])
    scored = replace(manifest, table=manifest.table.iloc[1:3])
    with pytest.raises(ManifestError, match=r"1 of the 2 images .* 0 of them are training images .*first: 1.png"):
        refuse_trained_on(scored, [trained], "model")


def test_the_same_file_under_other_names_counts(manifest: Manifest) -> None:
    renamed = manifest.table.assign(
        image_id="other-" + manifest.table["image_id"], patient_id="other-" + manifest.table["patient_id"]
    )
    with pytest.raises(ManifestError, match="6 of them are training images"):
        refuse_trained_on(replace(manifest, table=renamed), [manifest], "model")


def test_equal_ids_of_two_sources_or_two_simulations_are_two_people(manifest: Manifest) -> None:
    refuse_trained_on(from_source(manifest, "a", root="/a"), [from_source(manifest, "b", root="/b")], "model")
    first, second = (from_source(manifest, "chestxray14", True, root) for root in ("/first", "/second"))
    refuse_trained_on(first, [second], "model")
    with pytest.raises(ManifestError, match="6 of the 6"):
        refuse_trained_on(first, [first], "model")


def test_a_part_of_a_combined_manifest_is_found_in_it(manifest: Manifest) -> None:
    first, second = from_source(manifest, "a", root="/data/a"), from_source(manifest, "b", root="/data/b")
    trained = select(combine([first, second]), Split.TRAIN)
    with pytest.raises(ManifestError, match="3 of the 6 images"):
        refuse_trained_on(second, [trained], "model")


def test_chestmnist_is_chestxray14_under_other_names(manifest: Manifest) -> None:
    first = from_source(manifest, "chestxray14", root="/a")
    second = from_source(manifest, "chestmnist", root="/b")
    with pytest.raises(ManifestError, match="same people's radiographs"):
        refuse_trained_on(first, [second], "model")
    phantoms = from_source(manifest, "chestmnist", True, "/b")
    refuse_trained_on(from_source(manifest, "chestxray14", True, "/a"), [phantoms], "model")


def test_of_a_card_only_the_splits_can_be_compared(manifest: Manifest, tmp_path: Path) -> None:
    write_manifest(manifest, tmp_path / "m.parquet")
    written = read_manifest(tmp_path / "m.parquet")
    digest = written.header.splits_sha256
    assert doubts(select(written, Split.TEST), "test", digest) is None
    with pytest.raises(ManifestError, match=r"3 of the 6 .*first: 0.png"):
        doubts(written, "test", digest)
    assert doubts(select(written, Split.TEST), "another", "") is None
    for source, told in (("test", ""), ("test", "0" * 64), ("", ""), ("combine", "")):
        assert "cannot be told" in str(doubts(select(written, Split.TEST), source, told))
    assert "cannot be told" in str(doubts(from_source(manifest, "chestmnist"), "chestxray14", ""))
