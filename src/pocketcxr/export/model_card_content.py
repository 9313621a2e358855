"""What a model card says, as plain values taken from card.json; model_card.py sets them as pages.

After Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv 1810.03993): use, data, training, figures, groups,
limits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from pocketcxr.evaluate import wording
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.export.model_card_limits import limits
from pocketcxr.runtime.card import CardFacts, Group, Metric
from pocketcxr.runtime.card_calibration import FindingCalibration, Interval, OperatingPoint
from pocketcxr.runtime.card_gate import BuildMeasurement, ExportGate

Facts = tuple[tuple[str, str], ...]
"""Pairs of word and explanation."""

OUT_OF_SCOPE = (
    "Any decision about a person: diagnosis, triage, treatment, insurance, employment.",
    "Anything but a frontal chest radiograph: lateral views, other body parts, other modalities, photographs of films "
    "or screens.",
    "Patients unlike those it was trained and tested on, children among them unless the tables below show them.",
    "Ruling disease out: it knows the findings listed here and no other, so no positive finding is not a normal image.",
)


@dataclass(frozen=True)
class FindingRow:
    """One finding's figures."""

    finding: str
    is_learnt: bool
    auroc: Estimate | None
    auprc: Estimate | None
    line: FindingCalibration | None
    why_not_calibrated: str
    points: tuple[OperatingPoint, ...]


@dataclass(frozen=True)
class GroupRow:
    """One group's figures, means over findings."""

    group: Group
    auroc: Estimate | None
    difference: Estimate | None
    by_finding: Mapping[str, Estimate]
    """AUROC of the findings that have one."""


@dataclass(frozen=True)
class BuildRow:
    """One build that was tried."""

    name: str
    build: BuildMeasurement
    verdict: str


@dataclass(frozen=True)
class StandingOut:
    """A difference of a group to all other images whose interval excludes zero."""

    group: str
    finding: str
    difference: Estimate


@dataclass(frozen=True, eq=False)
class ModelCard:
    """The whole card."""

    facts: CardFacts
    headline: str
    model: Facts
    data: Facts
    training: Facts
    cohort: str | None
    """The images the figures are of; None where there are none."""
    mean: tuple[Estimate | None, Estimate | None]
    """AUROC and AUPRC over findings."""
    findings: tuple[FindingRow, ...]
    groups: tuple[GroupRow, ...]
    num_differences: int
    standing_out: tuple[StandingOut, ...]
    builds: tuple[BuildRow, ...]
    """Empty where no others than float32 were tried."""
    limits: tuple[str, ...]
    versions: Facts


def model_card(facts: CardFacts) -> ModelCard:
    """What the card's facts come to."""
    figures = {(one.name, one.finding, one.group): _estimate(one) for one in facts.metrics}
    differences = [one for one in facts.metrics if one.name == "auroc-minus-rest" and one.finding is not None]
    standing_out = [_standing_out(one) for one in differences]
    cohort = facts.metrics[0].cohort if facts.metrics else None
    mean = figures.get(("auroc", None, None)), figures.get(("auprc", None, None))
    return ModelCard(
        facts=facts,
        headline=_headline(mean[0], sum(_has_auroc(one) for one in facts.metrics), cohort),
        model=_model(facts),
        data=_data(facts.training),
        training=_training(facts.training),
        cohort=cohort,
        mean=mean,
        findings=tuple(_finding(facts, finding, figures) for finding in facts.findings),
        groups=tuple(_group(group, facts, figures) for group in facts.groups),
        num_differences=len(differences),
        standing_out=tuple(one for one in standing_out if one.difference.excludes_zero),
        builds=() if facts.gate is None else tuple(_builds(facts.gate)),
        limits=limits(facts),
        versions=_versions(facts),
    )


_Figures = Mapping[tuple[str, str | None, str | None], Estimate | None]


def _estimate(one: Metric | Interval) -> Estimate | None:
    return None if one.value is None else Estimate(value=one.value, low=one.low, high=one.high)


def _has_auroc(one: Metric) -> bool:
    return one.name == "auroc" and one.finding is not None and one.group is None and one.value is not None


def _headline(mean: Estimate | None, num_findings: int, cohort: str | None) -> str:
    if cohort is None:
        return "Nobody measured how well this model ranks images."
    if mean is None:
        return f"No finding has figures on {cohort}."
    findings = f"{num_findings} finding{'' if num_findings == 1 else 's'}"
    return f"Mean AUROC {wording.number(mean.value)} (95 % CI {wording.interval(mean)}) over {findings}, on {cohort}."


def _model(facts: CardFacts) -> Facts:
    net, builds = facts.net, facts.builds
    heads = {
        "class-map": "class map: a heatmap's mean is the logit",
        "paper": "pooled features: heatmaps are Grad-CAM in closed form",
    }
    size = facts.preprocess.size
    return (
        ("Net", net.name),
        ("Head", heads[net.head]),
        ("Size", f"{wording.count(net.num_parameters)} parameters, {wording.count(net.num_macs)} MACs an image"),
        ("Input", f"one gray image, padded to a square and resized to {size} x {size} pixels"),
        (
            "Output",
            f"logits and heatmaps of {net.heatmap_height} x {net.heatmap_width} cells for {_num(facts)} findings",
        ),
        (
            "Builds",
            ", ".join(f"{name} ({build.file})" for name, build in builds.all.items()) + f"; run: {builds.shipped}",
        ),
    )


def _num(facts: CardFacts) -> str:
    unlearnt = f", {len(facts.unlearnt)} of them never learnt" if facts.unlearnt else ""
    return f"{len(facts.findings)}{unlearnt}"


def _data(training: Mapping[str, JsonValue]) -> Facts:
    pairs = [
        ("Source", _text(training, "source")),
        (
            "Simulated",
            {True: "yes: made radiographs, no patients", False: "no"}.get(training.get("is_simulated") is True),
        ),
        ("Images", _number(training, "num_images")),
        ("Patients", _number(training, "num_patients")),
        ("With a label", _number(training, "num_labelled")),
        ("Sources without labels", _listed(training, "unlabelled_sources")),
        ("Label policy", _policy(training.get("labels"))),
        ("Digest of the splits", _text(training, "splits_sha256")),
    ]
    return tuple((word, text) for word, text in pairs if text)


def _training(training: Mapping[str, JsonValue]) -> Facts:
    pairs = [
        ("Objective", _listed(training, "objective")),
        ("Teacher", _text(training, "teacher") or "none"),
        ("Seed", _number(training, "seed")),
        ("Steps", _number(training, "steps")),
        ("Images a step", _number(training, "batch_size")),
        ("Kept step", _number(training, "step")),
        ("Reference of the heatmaps", _reference(training)),
    ]
    return tuple((word, text) for word, text in pairs if text)


def _reference(training: Mapping[str, JsonValue]) -> str | None:
    """What heatmaps are a difference from; cards of before there was a reference say nothing."""
    if "num_reference_images" not in training:
        return None
    if not training["num_reference_images"]:
        return "none: heatmaps are the plain class maps"
    return f"what the net expects without the finding, over {_number(training, 'num_reference_images')} images"


def _policy(labels: JsonValue) -> str | None:
    """How unclear labels were read, in words."""
    if not isinstance(labels, dict):
        return None
    own = labels.get("by_finding")
    others = f"; otherwise for {', '.join(own)}" if isinstance(own, dict) and own else ""
    return f"uncertain is read as {labels.get('uncertain')}, unmentioned as {labels.get('unmentioned')}{others}"


def _text(training: Mapping[str, JsonValue], key: str) -> str | None:
    value = training.get(key)
    return value if isinstance(value, str) else None


def _number(training: Mapping[str, JsonValue], key: str) -> str | None:
    value = training.get(key)
    return f"{value:,}" if isinstance(value, int) else None


def _listed(training: Mapping[str, JsonValue], key: str) -> str | None:
    value = training.get(key)
    return ", ".join(str(one) for one in value) if isinstance(value, list | tuple) else None


def _finding(facts: CardFacts, finding: str, figures: _Figures) -> FindingRow:
    reasons = {} if facts.calibration is None else facts.calibration.not_calibrated
    return FindingRow(
        finding=finding,
        is_learnt=finding not in facts.unlearnt,
        auroc=figures.get(("auroc", finding, None)),
        auprc=figures.get(("auprc", finding, None)),
        line=facts.calibrated.get(finding),
        why_not_calibrated=reasons.get(finding, "no calibration was fitted"),
        points=tuple(point for point in facts.operating_points if point.finding == finding),
    )


def _group(group: Group, facts: CardFacts, figures: _Figures) -> GroupRow:
    each = {finding: figures.get(("auroc", finding, group.name)) for finding in facts.findings}
    return GroupRow(
        group=group,
        auroc=figures.get(("auroc", None, group.name)),
        difference=figures.get(("auroc-minus-rest", None, group.name)),
        by_finding={finding: one for finding, one in each.items() if one is not None},
    )


def _standing_out(one: Metric) -> StandingOut:
    estimate = _estimate(one)
    assert estimate is not None
    return StandingOut(one.group or "", one.finding or "", estimate)


def _builds(gate: ExportGate) -> Iterator[BuildRow]:
    for place, build in enumerate(gate.builds):
        name = f"{build.precision} after qat" if build.fine_tuning else build.precision
        if build.precision == "int8" and build.num_float_layers:
            name += f", {build.num_float_layers} of {build.num_layers} layers in float"
        verdict = "; ".join(build.failures) if build.failures else "passes"
        yield BuildRow(name, build, "passes and is shipped" if place == gate.shipped else verdict)


def _versions(facts: CardFacts) -> Facts:
    return (
        ("Bundle", facts.name),
        ("Made", f"{facts.created:%Y-%m-%d %H:%M} UTC by {facts.made_by}"),
        ("Card schema", str(facts.schema_version)),
        ("Re-calibrated", ", ".join(f"{one.replaced:%Y-%m-%d}" for one in facts.history) or "never"),
        ("Needs", "sbom.cdx.json lists every package with version and licence, and the SHA-256 of every file"),
        ("Check", "pocketcxr predict BUNDLE --verify"),
    )
