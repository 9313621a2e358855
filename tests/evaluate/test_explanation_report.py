"""The page of explanations: whole in one file, beside its baselines, honest whatever was found."""

from dataclasses import replace

import numpy as np
import pytest

from pocketcxr.domain.study import Box
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.explanation_content import (
    ExplanationContent,
    GalleryGroup,
    GalleryPanel,
    GalleryRow,
    MethodRow,
    Randomised,
)
from pocketcxr.evaluate.explanation_plots import curve_plot, mean_curves
from pocketcxr.evaluate.explanation_report import render, write_explanation
from pocketcxr.evaluate.explanation_wording import NOT_PROVEN, headline, percent
from pocketcxr.evaluate.faithfulness import FaithfulnessTask, measure_faithfulness
from pocketcxr.evaluate.faithfulness_pairs import FaithfulnessSample, FaithfulnessSettings
from pocketcxr.evaluate.faithfulness_report import report_faithfulness
from pocketcxr.evaluate.heatmaps import LocalisationSample
from pocketcxr.evaluate.localisation import localise

SETTINGS = FaithfulnessSettings(num_steps=4, road_fractions=(0.5,), num_squares=4, num_nearby=2)


def method(name: str) -> MethodRow:
    """Figures of ten patients whose finding lies in one corner, and whose heatmaps point there in half of them."""
    rng = np.random.default_rng(0)
    samples = []
    for number in range(10):
        heatmap = rng.random((16, 16)).astype(np.float32)
        heatmap[(2, 2) if number % 2 else (12, 12)] = 2
        samples.append(LocalisationSample(f"{number}", f"p{number}", "Mass", heatmap, (Box(0, 0, 5, 5),), 16, 16))
    pairs = [
        FaithfulnessSample(one.image_id, one.patient_id, "Mass", 0, one.heatmap[None], one.heatmap) for one in samples
    ]
    task = FaithfulnessTask(lambda images: images.mean(axis=(1, 2, 3))[:, None], settings=SETTINGS)
    return MethodRow(
        name=name,
        localisation=localise(samples, np.random.default_rng(0), 50),
        one_ms=1.234,
        all_ms=1234.5,
        faithfulness=report_faithfulness(measure_faithfulness(task, pairs), np.random.default_rng(0), 50),
        randomised=Randomised(stages=((1, 0.5), (9, None)), most=0.2, is_passed=True),
    )


@pytest.fixture(scope="module")
def content() -> ExplanationContent:
    panel = GalleryPanel(b"\xff\xd8jpeg", "one-pass <b>", "strongest colour: 2", "A picture of a <chest>")
    return ExplanationContent(
        title="Heatmaps of <student>",
        created="today",
        command="pocketcxr explain",
        version="0",
        is_simulated=True,
        unseen="None of these images was trained on.",
        methods=(method("one-pass"), method("grad-cam")),
        groups=(GalleryGroup("Hits", "It hits.", (GalleryRow("Mass", (panel,)),)),),
        rule="The most probable first.",
    )


def test_the_page_needs_nothing_from_anywhere_and_escapes_names(content: ExplanationContent) -> None:
    page = render(content)
    assert "<script" not in page
    assert "http" not in page
    assert "<student>" not in page
    assert page.count('src="data:image/jpeg;base64,') == 1
    assert 'alt="A picture of a &lt;chest&gt;"' in page


def test_figures_stand_beside_what_never_looks(content: ExplanationContent) -> None:
    page = render(content)
    for words in ("Best fixed point", "Mean heatmap", "Image centre", "Random point", "cells shuffled"):
        assert words in page
    assert all(line.split(".")[0] in page for line in NOT_PROVEN)


def test_what_was_not_asked_for_is_left_out(content: ExplanationContent) -> None:
    plain = replace(content.methods[0], faithfulness=None, randomised=None)
    page = render(replace(content, methods=(plain,), groups=()))
    for words in ("Does the model do", "need what was learnt", "side by side", "Hits, misses", "Agreement"):
        assert words not in page


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.1, 0.3, "more than the best"), (-0.3, -0.1, "less than the best"), (-0.1, 0.1, "no clear difference from")],
)
def test_the_headline_says_what_was_found(low: float, high: float, words: str, content: ExplanationContent) -> None:
    first = content.methods[0]
    over = Estimate(value=(low + high) / 2, low=low, high=high)
    mean = first.localisation.mean.model_copy(update={"over_best_fixed_point": over})
    localisation = first.localisation.model_copy(update={"mean": mean})
    assert words in headline([replace(first, localisation=localisation)])


def test_curves_run_from_the_image_to_the_blur_and_back(content: ExplanationContent) -> None:
    report = content.methods[0].faithfulness
    assert report is not None
    curves = mean_curves(report, "heatmap")
    assert curves is not None
    deletion, insertion = curves
    assert deletion[0] == pytest.approx(insertion[-1])
    assert deletion[-1] == pytest.approx(insertion[0])
    assert curve_plot("one-pass", report).count("<polyline") == 4


def test_a_page_is_written_whole(content: ExplanationContent, tmp_path) -> None:
    write_explanation(content, tmp_path / "new" / "page.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
    assert (tmp_path / "new" / "page.html").read_text() == render(content)


def test_an_unknown_share_is_a_dash() -> None:
    assert (percent(None), percent(0.204)) == ("\u2013", "20 %")
