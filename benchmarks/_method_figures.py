"""The figures of method_table.py: parts that were measured -> one table, as JSON values and as Markdown."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _method_parts import NUM_RESAMPLES, SEED, Arm, Part
from pocketcxr.evaluate.bootstrap import Estimate, estimate_each
from pocketcxr.evaluate.explanation_means import pair_means
from pocketcxr.evaluate.patient_means import patient_means

Shown = list[float | None] | None
"""[value, low, high], or the value alone."""
Row = dict[str, Any]


def localisation_row(part: Part, base: Part) -> Row:
    """Hit rate and energy in the box, and minus those of `base`, by finding and in the mean over findings."""
    ours = np.array([[one.hit, np.nan if one.energy is None else one.energy] for one in part.pairs])
    theirs = np.array([[one.hit, np.nan if one.energy is None else one.energy] for one in base.pairs])
    pairs = [[(one.image_id, one.finding) for one in of.pairs] for of in (part, base)]
    assert pairs[0] == pairs[1], "all methods meet the same images in the same order"
    means = pair_means(
        np.concatenate([ours, ours - theirs], axis=1),
        [one.finding for one in part.pairs],
        [one.patient_id for one in part.pairs],
        np.random.default_rng(SEED),
        NUM_RESAMPLES,
    )
    names = ("hit", "energy", "hit_minus", "energy_minus")
    by_finding = {
        finding: dict(zip(names, map(shown, of_finding), strict=True))
        for finding, of_finding in means.by_finding.items()
    }
    over_mean = part.localisation.mean.over_mean_heatmap
    return {
        **dict(zip(names, map(shown, means.mean), strict=True)),
        "hit_minus_own_mean_heatmap": None if over_mean is None else shown(over_mean.pointing),
        "by_finding": by_finding,
    }


def faithfulness_row(part: Part, base: Part) -> Row:
    """Means over images of insertion and deletion: heatmap, shuffled, mean heatmap; and minus those of `base`."""
    if not part.judged:
        return {}
    columns = np.concatenate([_areas(part), _areas(part)[:, [0, 3]] - _areas(base)[:, [0, 3]]], axis=1)
    patients = [one.patient_id for one in part.judged]
    means = patient_means(columns, patients, np.random.default_rng(SEED), NUM_RESAMPLES)
    names = [f"{kind}{role}" for kind in ("insertion", "deletion") for role in ("", "_shuffled", "_mean_heatmap")]
    names += ["insertion_minus", "deletion_minus"]
    return dict(zip(names, map(shown, estimate_each(means.values, means.resampled)), strict=True))


def _areas(part: Part) -> NDArray[np.float64]:
    return np.array([[*one.insertion, *one.deletion] for one in part.judged])


def shown(estimate: Estimate | None) -> Shown:
    """[value, low, high] with four decimals."""
    if estimate is None:
        return None
    return [None if one is None else round(one, 4) for one in (estimate.value, estimate.low, estimate.high)]


def baselines_of(part: Part) -> Row:
    """What never looks at the image, on the same images; differences are to the student's one-pass heatmap."""

    def minus(over: Estimate | None) -> Shown:
        value, low, high = shown(over) or (None, None, None)
        return [None if one is None else -one for one in (value, high, low)]

    mean, faithful = part.localisation.mean, faithfulness_row(part, part)
    of_mean, over_mean = mean.mean_heatmap, mean.over_mean_heatmap
    return {
        "random point, shuffled heatmap": {
            "hit": [round(mean.random_point, 4)],
            "energy": [round(mean.random_point, 4)],
            "insertion": faithful.get("insertion_shuffled"),
            "deletion": faithful.get("deletion_shuffled"),
        },
        "centre": {"hit": [round(mean.centre, 4)], "hit_minus": minus(mean.over_centre)},
        "best fixed point (oracle)": {
            "hit": [round(mean.best_fixed_point, 4)],
            "hit_minus": minus(mean.over_best_fixed_point),
        },
        "mean heatmap": {
            "hit": None if of_mean is None else [round(of_mean.pointing, 4)],
            "energy": None if of_mean is None or of_mean.energy is None else [round(of_mean.energy, 4)],
            "hit_minus": None if over_mean is None else minus(over_mean.pointing),
            "energy_minus": None if over_mean is None else minus(over_mean.energy),
            "insertion": faithful.get("insertion_mean_heatmap"),
            "deletion": faithful.get("deletion_mean_heatmap"),
        },
    }


def result_of(parts: Mapping[Arm, Part]) -> Row:
    """All figures, as JSON values."""
    first = parts["student", "one-pass"]
    rows = {
        f"{model}: {method}": {
            **localisation_row(part, parts[model, "one-pass"]),
            **faithfulness_row(part, parts[model, "one-pass"]),
            "ms_one_finding": round(part.cost.one_finding, 2),
            "ms_all_findings": round(part.cost.all_findings, 2),
            "seconds_in_all": part.seconds,
        }
        for (model, method), part in parts.items()
    }
    of_findings = {one.finding: one for one in first.localisation.findings}
    return {
        "num_images": len({one.image_id for one in first.pairs}),
        "num_pairs": len(first.pairs),
        "num_patients": first.localisation.mean.num_patients,
        "num_faithfulness": len(first.judged),
        "num_resamples": NUM_RESAMPLES,
        "rows": rows,
        "teacher_minus_student": localisation_row(parts["teacher", "one-pass"], first),
        "baselines": baselines_of(first),
        "baselines_by_finding": {
            name: {
                "num_images": one.num_images,
                **one.baselines.model_dump(),
                "mean_heatmap": one.mean_heatmap and one.mean_heatmap.pointing,
            }
            for name, one in of_findings.items()
        },
    }


def as_markdown(result: Row) -> str:
    """Two tables: every method with all of its figures, and hit rates by finding."""
    lines = [
        "| | hit rate | minus one-pass | energy | minus one-pass | insertion | minus one-pass | deletion |"
        " minus one-pass | ms, 14 findings |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    columns = [f"{name}{suffix}" for name in ("hit", "energy", "insertion", "deletion") for suffix in ("", "_minus")]
    for name, row in {**result["rows"], **result["baselines"]}.items():
        milliseconds = f"{row['ms_all_findings']:.3g}" if "ms_all_findings" in row else ""
        is_base = name.endswith(": one-pass")
        cells = ["" if is_base and one.endswith("minus") else in_words(row.get(one)) for one in columns]
        lines.append(f"| {name} | {' | '.join(cells)} | {milliseconds} |")
    rows, fixed = result["rows"], result["baselines_by_finding"]
    lines += ["", f"| hit rate by finding | {' | '.join(rows)} | centre | best fixed point | mean heatmap |"]
    lines.append("|---" * (len(rows) + 4) + "|")
    for finding, of_finding in fixed.items():
        hits = [f"{row['by_finding'][finding]['hit'][0]:.2f}" for row in rows.values()]
        points = [of_finding[name] for name in ("centre", "best_fixed_point", "mean_heatmap")]
        cells = [*hits, *("" if one is None else f"{one:.2f}" for one in points)]
        lines.append(f"| {finding} ({of_finding['num_images']}) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def in_words(one: Shown) -> str:
    """The value with its interval; nothing where there is none."""
    if one is None or one[0] is None:
        return ""
    value, low, high = [*one, None, None][:3]
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
