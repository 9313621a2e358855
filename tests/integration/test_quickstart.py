"""The main job, whole and tiny: every stage after the other, and the same again."""

import pytest

from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.recipes.export_page import builds_page, headline
from pocketcxr.recipes.quickstart import QuickstartResult, quickstart
from pocketcxr.recipes.quickstart_config import SHORT
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.input_gate import GATE

TINY = SHORT.model_copy(
    update={"num_images": 160, "teacher_steps": 4, "student_steps": 4, "num_resamples": 20, "gallery": 2}
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> QuickstartResult:
    return quickstart(TINY, tmp_path_factory.mktemp("quickstart"))


def test_it_ends_with_a_bundle_a_report_and_a_prediction(done: QuickstartResult) -> None:
    assert done.places.bundle.stat().st_size > 1_000_000
    page = done.places.report.read_text()
    for words in ("Distilled student", "Student alone", "Teacher", "Research use only", "Simulated radiographs"):
        assert words in page
    assert len(done.prediction.scores) == 14


def test_every_build_of_the_bundle_was_measured_and_the_page_and_the_summary_say_which_is_shipped(
    done: QuickstartResult,
) -> None:
    gate = done.summary.builds
    assert gate is not None
    assert {build.precision for build in gate.builds} == {"fp32", "fp16", "int8"}
    assert gate.builds[gate.shipped].passes
    bundle = open_bundle(done.places.bundle)
    assert bundle.card.gate == gate
    assert GATE in bundle.files
    assert builds_page(done.places.bundle).exists()
    page = done.places.report.read_text()
    assert headline(gate) in page
    assert builds_page(done.places.bundle).name in page


def test_the_page_needs_nothing_from_anywhere(done: QuickstartResult) -> None:
    page = done.places.report.read_text()
    assert "<script" not in page
    assert 'src="http' not in page
    assert page.count("data:image/png;base64") >= TINY.gallery


def test_the_same_again_gives_the_same_figures(done: QuickstartResult) -> None:
    again = quickstart(TINY, done.places.root)
    assert again.summary.evaluations == done.summary.evaluations
    assert again.summary.distilled_minus_alone == done.summary.distilled_minus_alone


def test_a_folder_of_other_settings_is_left_alone(done: QuickstartResult) -> None:
    before = sorted(path for path in done.places.root.rglob("*") if path.is_file())
    with pytest.raises(PocketCxrError, match="size"):
        quickstart(TINY.model_copy(update={"size": 96}), done.places.root)
    assert sorted(path for path in done.places.root.rglob("*") if path.is_file()) == before


def test_a_simulated_model_says_so(done: QuickstartResult) -> None:
    assert open_bundle(done.places.bundle).card.is_simulated
