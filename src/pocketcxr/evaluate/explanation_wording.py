"""What the page of explanations says in words: what was found, and what no heatmap proves."""

from collections.abc import Sequence

from pocketcxr.evaluate.explanation_content import MethodRow
from pocketcxr.evaluate.faithfulness_pairs import Metric
from pocketcxr.evaluate.wording import UNKNOWN

METRICS: dict[Metric, tuple[str, str]] = {
    "deletion": ("Deletion", "lower is better"),
    "insertion": ("Insertion", "higher is better"),
    "road": ("ROAD", "higher is better"),
    "infidelity": ("Infidelity", "lower is better"),
    "max_sensitivity": ("Max-sensitivity", "lower is steadier"),
}
NOT_PROVEN = (
    "Not why. A heatmap shows where evidence entered the model's last features. One cell of them has seen the whole"
    " image: a hot cell may owe its heat to a tube, a marker or a rib elsewhere.",
    "Not that the finding is there. The heatmap of a wrong answer looks just as convincing: see the confident errors."
    " Read the probability first.",
    "Not an outline. A heatmap has a few cells a side, drawn smoothly; its edge is the grid's, not the lesion's.",
    "Not that the model looked. Findings have typical places, so a point or a mean heatmap that never sees the image"
    " hits often: a figure counts only as far as it lies above those.",
    "Faithful is not right. Insertion, deletion and randomisation ask whether a heatmap tells what this model does, not"
    " whether the model is right about the patient. Blurred images are like no X-ray, and the model may answer oddly.",
    "Not comparable by colour. Every method has units of its own; compare places between methods, never brightness.",
)


def headline(methods: Sequence[MethodRow]) -> str:
    """What the first method's heatmaps are worth, in one sentence, whatever it is."""
    first = methods[0]
    report = first.localisation
    if report.mean.pointing is None:
        return f"The {first.name} heatmaps cannot be judged: no finding has figures."
    fixed = report.mean.over_best_fixed_point
    verdict = "no clear difference from"
    if fixed is not None and fixed.excludes_zero:
        verdict = "more than" if fixed.value > 0 else "less than"
    num_findings = len(report.findings)
    return (
        f"The hottest point of the {first.name} heatmaps lies in the true region in "
        f"{percent(report.mean.pointing.value)} of images (mean of {num_findings} "
        f"finding{'' if num_findings == 1 else 's'}), {verdict} the best fixed point "
        f"({percent(report.mean.best_fixed_point)}), which never looks."
    )


def second_line(methods: Sequence[MethodRow]) -> str:
    """By finding: where the first method beats the best fixed point, where it does not, where it cannot be told."""
    rows = methods[0].localisation.findings
    above = sum(row.over_best_fixed_point.excludes_zero and row.over_best_fixed_point.value > 0 for row in rows)
    below = sum(row.over_best_fixed_point.excludes_zero and row.over_best_fixed_point.value < 0 for row in rows)
    return (
        f"By finding, against the best fixed point: above it for {above}, below it for {below}, "
        f"not to be told apart for {len(rows) - above - below}."
    )


def percent(share: float | None) -> str:
    """A share as a person reads it; a dash where there is none."""
    return UNKNOWN if share is None else f"{100 * share:.0f} %"


def milliseconds(value: float) -> str:
    """A duration with two or three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
