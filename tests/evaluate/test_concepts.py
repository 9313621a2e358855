"""Concept checks: a model that looks at the change is told from one that looks elsewhere or nowhere."""

from dataclasses import replace

import numpy as np
import pytest

from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.domain.study import Box
from pocketcxr.evaluate.concept_report import ConceptReport, concept_report
from pocketcxr.evaluate.concepts import ConceptPair, Seen, reactions
from pocketcxr.evaluate.heatmaps import inside

SIZE, NUM_PATIENTS = 20, 30
FINDINGS = ("Mass", "Nodule")


def generator() -> np.random.Generator:
    return np.random.default_rng(4)


def seen(logits: dict[str, float], heatmap: np.ndarray) -> Seen:
    return Seen(logits, dict.fromkeys(logits, heatmap.astype(np.float32)))


def random_box(rng: np.random.Generator) -> Box:
    return Box(*(float(side) for side in (*rng.integers(0, SIZE - 5, 2), 5, 5)))


def pair(patient: int, box: Box, thing: str, rise: np.ndarray, logit_change: float) -> ConceptPair:
    """A pair whose heatmap rises by `rise`, and whose logits rise by `logit_change`."""
    flat = np.full((SIZE, SIZE), -1.0)
    findings = (thing,) if thing in FINDINGS else FINDINGS
    return ConceptPair(
        patient_id=f"p{patient}",
        thing=thing,
        findings=findings,
        without=seen(dict.fromkeys(FINDINGS, 0.0), flat),
        with_thing=seen(dict.fromkeys(FINDINGS, logit_change), flat + rise),
        region=inside([box], SIZE, SIZE),
        boxes=(box,),
    )


def attentive(thing: str, logit_change: float) -> list[ConceptPair]:
    """Pairs of a model whose heatmap rises exactly where the picture changed."""
    rng = generator()
    boxes = [random_box(rng) for _ in range(NUM_PATIENTS)]
    return [pair(n, box, thing, inside([box], SIZE, SIZE) * 2.0, logit_change) for n, box in enumerate(boxes)]


def test_a_heatmap_that_rises_where_the_picture_changed_scores_one_and_beats_both_baselines() -> None:
    (mass,) = concept_report(reactions(attentive("Mass", 2.0)), generator(), 100).findings
    figures = mass.figures
    assert mass.num_pairs == NUM_PATIENTS
    assert mass.area == mass.box_area == pytest.approx(25 / SIZE**2)
    for one in (figures.energy, figures.pointing, figures.rose):
        assert one is not None
        assert (one.value, one.low, one.high) == (1, 1, 1)
    assert figures.over_area is not None
    assert figures.over_area.value == pytest.approx(1 - mass.area)
    assert figures.over_other is not None
    assert figures.over_other.excludes_zero
    assert figures.logit_change is not None
    assert figures.logit_change.value == 2
    assert figures.probability_change is not None
    assert figures.probability_change.value == pytest.approx(1 / (1 + np.exp(-2)) - 0.5)


def test_a_heatmap_that_rises_everywhere_is_worth_the_area() -> None:
    pairs = [replace_rise(one, np.ones((SIZE, SIZE))) for one in attentive("Mass", 1.0)]
    figures = concept_report(reactions(pairs), generator(), 100).findings[0].figures
    assert figures.over_area is not None
    assert figures.over_area.value == pytest.approx(0, abs=1e-6)
    assert figures.over_other is not None
    assert figures.over_other.value == pytest.approx(0, abs=1e-6)


def test_a_heatmap_that_always_rises_at_one_spot_is_worth_what_another_patients_is() -> None:
    blob = inside([Box(8, 8, 4, 4)], SIZE, SIZE) * 1.0
    pairs = [replace_rise(one, blob) for one in attentive("Mass", 1.0)]
    figures = concept_report(reactions(pairs), generator(), 100).findings[0].figures
    assert figures.over_other is not None
    assert (figures.over_other.value, figures.over_other.low, figures.over_other.high) == (0, 0, 0)
    assert figures.pointing_over_other is not None
    assert figures.pointing_over_other.value == 0


def test_a_heatmap_that_does_not_move_has_no_energy_rather_than_none_of_it() -> None:
    pairs = [replace_rise(one, np.zeros((SIZE, SIZE))) for one in attentive("Mass", 1.0)]
    figures = concept_report(reactions(pairs), generator(), 100).findings[0].figures
    assert figures.energy is None
    assert figures.pointing is None
    assert figures.drawn is None
    assert figures.rose is not None


def replace_rise(one: ConceptPair, rise: np.ndarray) -> ConceptPair:
    heatmap = one.without.heatmaps["Mass"] + rise.astype(np.float32)
    return replace(one, with_thing=seen(one.with_thing.logits, heatmap))


def test_a_device_that_counts_half_as_much_as_the_findings_is_a_shortcut_of_one_half() -> None:
    half = float(np.log(0.5 + 0.125) - np.log(0.5 - 0.125))
    full = float(np.log(0.5 + 0.25) - np.log(0.5 - 0.25))
    pairs = attentive("Mass", full) + attentive("Nodule", full) + attentive("pacemaker", -half)
    report = concept_report(reactions(pairs), generator(), 100)
    assert [one.finding for one in report.findings] == ["Mass", "Nodule"]
    (device,) = report.devices
    assert (device.device, device.num_pairs) == ("pacemaker", NUM_PATIENTS)
    assert [one.finding for one in device.findings] == ["Mass", "Nodule"]
    for one in (*device.findings,):
        assert one.shortcut is not None
        assert one.shortcut.value == pytest.approx(0.5)
        assert one.signed_shortcut is not None
        assert one.signed_shortcut.value == pytest.approx(-0.5)
    assert report.mean_shortcut is not None
    assert report.mean_shortcut.value == pytest.approx(0.5)
    assert device.mean.over_area is not None
    assert device.mean.over_area.value == pytest.approx(1 - device.area)
    assert ConceptReport.model_validate_json(report.model_dump_json()) == report


def test_a_device_that_changes_nothing_is_no_shortcut_and_one_beside_an_unseen_finding_has_none() -> None:
    report = concept_report(reactions(attentive("Mass", 1.0) + attentive("pacemaker", 0.0)), generator(), 60)
    of_mass, of_nodule = report.devices[0].findings
    assert of_mass.shortcut is not None
    assert of_mass.shortcut.value == 0
    assert of_nodule.shortcut is None
    blind = concept_report(reactions(attentive("Mass", 0.0) + attentive("pacemaker", 1.0)), generator(), 60)
    assert blind.mean_shortcut is None


def test_answers_far_from_zero_are_no_overflow() -> None:
    (first, *_) = reactions(attentive("Mass", 1e6))
    assert first.probability_change == 0.5


def test_what_does_not_fit_is_refused() -> None:
    one = attentive("Mass", 1.0)[0]
    with pytest.raises(ManifestError, match="says nothing of Edema"):
        replace(one, findings=("Edema",))
    with pytest.raises(ManifestError, match="place it on the picture"):
        replace(one, region=np.ones((3, 3), dtype=bool))
    with pytest.raises(ManifestError, match="twice"):
        concept_report(reactions([one, one]), generator())
    with pytest.raises(EmptyCohortError, match="no pair"):
        concept_report([], generator())
