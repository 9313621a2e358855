"""What a model card warns of, in sentences that follow from the card's facts."""

from pocketcxr.runtime.card import CardFacts

NODULE_SHARE = 15 / 224
"""Median side of ChestX-ray14's nodule boxes as a share of the image's (15 pixels of 224)."""


def limits(facts: CardFacts) -> tuple[str, ...]:
    """Every limit that this model has, the gravest first."""
    return (*_of_data(facts), *_of_figures(facts), *_of_groups(facts), *_of_heatmaps(facts))


def _of_data(facts: CardFacts) -> list[str]:
    said = []
    if facts.is_simulated:
        said.append("It was trained on simulated radiographs: what it says of a real X-ray means nothing.")
    if facts.unlearnt:
        said.append(f"It never learnt {_spoken(facts.unlearnt)}: their scores are null.")
    said.append("Its labels are those of its source, with their errors; no figure here is better than they are.")
    return said


def _of_figures(facts: CardFacts) -> list[str]:
    if not facts.metrics:
        return ["It was not evaluated: nothing is known of how well it ranks images."]
    said = [
        "The figures are of one cohort; other hospitals, devices and patients may fare worse, which was not looked at.",
        "One training run: the intervals hold the luck of the patients, not that of the training seed.",
    ]
    missing = [finding for finding in facts.findings if finding not in {*facts.calibrated, *facts.unlearnt}]
    if missing:
        said.append(f"The probabilities of {_spoken(missing)} are not calibrated: read them as a ranking, not a risk.")
    if facts.operating_points:
        said.append(
            "Thresholds were chosen on the images their figures are of, and PPV and NPV hold for the prevalence beside "
            "them: re-fit with pocketcxr calibrate before use at another site."
        )
    return said


def _of_groups(facts: CardFacts) -> list[str]:
    if not facts.metrics:
        return []
    if not facts.groups:
        return ["Groups by sex, age and view position were not looked at apart."]
    silent = [group.name for group in facts.groups if not group.num_scored]
    said = [f"Too few patients to say anything of the groups {', '.join(silent)}."] if silent else []
    absent = [name for name in ("age: 0-17", "view: lateral") if name not in {group.name for group in facts.groups}]
    if absent:
        said.append(f"No image of these was among those measured: {', '.join(absent)}.")
    return said


def _of_heatmaps(facts: CardFacts) -> list[str]:
    rows, size = facts.net.heatmap_height, facts.preprocess.size
    cell = size / rows
    return [
        f"A heatmap has {rows} x {facts.net.heatmap_width} cells of {cell:.0f} pixels at the model's {size} x {size}; "
        f"half of all nodules are smaller than {NODULE_SHARE * size:.0f} pixels there. It shows what moved the score, "
        "not the outline of a finding.",
        "Findings are not independent: a tube or a device that goes with a finding can lift its score.",
    ]


def _spoken(findings: tuple[str, ...] | list[str]) -> str:
    return ", ".join(finding.replace("_", " ") for finding in findings)
