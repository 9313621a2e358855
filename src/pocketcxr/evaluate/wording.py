"""The report's sentences and numbers, as a person reads them."""

from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.report_content import Comparison, ModelRow, ReportContent

MINUS = "\u2212"
UNKNOWN = "\u2013"
SIMULATED = "Simulated radiographs: the figures say how the software behaves, not how a model does on patients."
RESEARCH_ONLY = "Research use only. Not a medical device."
ONE_SEED = (
    "One run: the interval holds the luck of which patients were in the test set, not the luck of the training seed,"
    " which can be larger."
)


def number(value: float, is_signed: bool = False) -> str:
    """Three decimals with a true minus sign; with a plus sign where asked."""
    text = f"{value:+.3f}" if is_signed else f"{value:.3f}"
    if float(text) == 0:
        return "0.000"
    return text.replace("-", MINUS)


def interval(estimate: Estimate | None, is_signed: bool = False) -> str:
    """The interval alone: '0.812 to 0.864'; a dash where there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return UNKNOWN
    return f"{number(estimate.low, is_signed)} to {number(estimate.high, is_signed)}"


def figure(estimate: Estimate | None, is_signed: bool = False) -> str:
    """The figure alone; a dash where there is none."""
    return UNKNOWN if estimate is None else number(estimate.value, is_signed)


def count(value: int | None) -> str:
    """A large count in words: '4.73 million', '290 million', '812 thousand'."""
    if value is None:
        return UNKNOWN
    for unit, name in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if value >= unit:
            return f"{value / unit:.3g} {name}" if value < 999.5 * unit else f"{value / unit:.0f} {name}"
    return str(value)


def milliseconds(value: float | None) -> str:
    """A duration with two or three digits that mean something."""
    if value is None:
        return UNKNOWN
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def spoken(finding: str) -> str:
    """A finding's name without underscores."""
    return finding.replace("_", " ")


def headline(content: ReportContent) -> str:
    """What the run showed, in one sentence, whatever it is."""
    comparison = _distilled_minus_alone(content)
    if comparison is not None:
        return _gain(comparison)
    if not content.models:
        return "Nothing was evaluated."
    return _level(content.models[0])


def _distilled_minus_alone(content: ReportContent) -> Comparison | None:
    roles = {model.name: model.role for model in content.models}
    for comparison in content.comparisons:
        if (roles.get(comparison.first), roles.get(comparison.second)) == ("distilled", "alone"):
            return comparison
    return None


def _gain(comparison: Comparison) -> str:
    difference = comparison.difference
    cohort = f"on {difference.num_images:,} images of {difference.num_patients:,} patients"
    gain = difference.mean_auroc
    if gain is None:
        return f"What distillation brought cannot be told {cohort}: no finding has figures for both students."
    figures = f"{number(gain.value, True)} mean AUROC (95 % CI {interval(gain, True)})"
    if not gain.excludes_zero:
        return f"No clear effect of distillation in this run: {figures} {cohort}; the interval does not exclude zero."
    if gain.value > 0:
        return f"Distillation brought {figures} {cohort} in this run."
    return f"Distillation did harm in this run: {figures} {cohort}."


def _level(model: ModelRow) -> str:
    ranking = model.ranking
    cohort = f"on {ranking.num_images:,} images of {ranking.num_patients:,} patients"
    if ranking.mean_auroc is None:
        return f"{model.name} cannot be judged {cohort}: no finding has figures."
    findings = f"{len(ranking.mean_over)} finding{'' if len(ranking.mean_over) == 1 else 's'}"
    return (
        f"{model.name}: mean AUROC {figure(ranking.mean_auroc)} (95 % CI {interval(ranking.mean_auroc)})"
        f" over {findings}, {cohort}."
    )
