"""Opening a manifest keeps images, labels and patients together; hiding labels keeps patients whole."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pocketcxr.data.dataset import Cohort, CohortRequest, hide_labels, open_cohort
from pocketcxr.domain.errors import ConfigError
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec, square
from pocketcxr.manifest.labels import LabelPolicy
from pocketcxr.manifest.schema import Manifest

MakeManifest = Callable[[Sequence[str]], Manifest]
MakeCohort = Callable[[NDArray[np.float32]], Cohort]


def test_every_row_speaks_of_one_image_also_when_files_are_refused(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest(["a.png", "b.png", "broken.png", "c.png"])
    spec = PreprocessSpec(size=32)
    request = CohortRequest(("Nodule", "Effusion", "Hernia"), spec, LabelPolicy(), tmp_path / "cache")
    cohort = open_cohort(manifest, request)
    assert cohort.image_ids == ("a.png", "b.png", "c.png")
    assert cohort.patient_ids == ("patient0", "patient0", "patient1")
    np.testing.assert_array_equal(cohort.labels[:, 1], [0, 1, 1])
    assert np.isnan(cohort.labels[:, [0, 2]]).all()
    for row, name in enumerate(cohort.image_ids):
        np.testing.assert_array_equal(cohort.pixels([row])[0], square(load(manifest.file_of(name)).image, spec))
    assert [refusal.code.value for refusal in cohort.refused] == ["not-an-image"]
    assert (len(cohort), cohort.num_labelled) == (3, 3)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fraction=st.floats(0.001, 1), seed=st.integers(0, 1000))
def test_hidden_labels_leave_whole_patients_and_are_nested(make_cohort: MakeCohort, fraction: float, seed: int) -> None:
    cohort = make_cohort(np.zeros((20, 2), dtype=np.float32))
    hidden = hide_labels(cohort, fraction, seed)
    smaller = hide_labels(cohort, fraction / 2, seed)
    assert hidden.num_labelled == 2 * max(1, round(fraction * 10))
    kept = {hidden.patient_ids[row] for row in hidden.labelled_rows}
    assert not kept & {hidden.patient_ids[row] for row in hidden.unlabelled_rows}
    assert set(smaller.labelled_rows) <= set(hidden.labelled_rows)
    assert cohort.num_labelled == 20


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fraction=st.floats(0.001, 1), seed=st.integers(0, 1000))
def test_images_added_without_labels_do_not_change_whose_labels_are_seen(
    make_cohort: MakeCohort, fraction: float, seed: int
) -> None:
    labels = np.zeros((30, 2), dtype=np.float32)
    labels[20:] = np.nan
    whole = make_cohort(labels)
    among = np.arange(30) < 20
    alone = hide_labels(make_cohort(labels[:20]), fraction, seed)
    assert np.array_equal(hide_labels(whole, fraction, seed, among).labelled_rows, alone.labelled_rows)


def test_a_share_of_nothing_hides_every_label(make_cohort: MakeCohort) -> None:
    assert hide_labels(make_cohort(np.zeros((4, 2), dtype=np.float32)), 0, 0).num_labelled == 0


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_that_is_none_is_refused(make_cohort: MakeCohort, fraction: float) -> None:
    with pytest.raises(ConfigError, match="labelled_fraction"):
        hide_labels(make_cohort(np.zeros((4, 2), dtype=np.float32)), fraction, 0)
