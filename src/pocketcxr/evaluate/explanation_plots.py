"""Deletion and insertion curves as small inline SVG, beside those of the shuffled heatmap."""

from collections.abc import Iterable

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pocketcxr.evaluate.faithfulness_pairs import Role
from pocketcxr.evaluate.faithfulness_report import FaithfulnessReport

SIDE, HEIGHT, LEFT, BOTTOM = 220, 140, 30, 34


def curve_plot(name: str, report: FaithfulnessReport) -> Markup:
    """Mean probabilities (mean of the findings) as pixels are deleted and inserted, heatmap solid, shuffled dashed."""
    curves = mean_curves(report, "heatmap"), mean_curves(report, "random")
    if curves[0] is None or curves[1] is None:
        return Markup("")
    top = _round_up(max(float(one.max()) for one in curves if one is not None))
    parts = [Markup('<rect class="frame" x="{}" y="4" width="{}" height="{}"/>').format(LEFT, SIDE, HEIGHT)]
    parts += [
        _line(curve[way], top, f"{style} {role}")
        for curve, role in ((curves[1], "random"), (curves[0], "heatmap"))
        if curve is not None
        for way, style in enumerate(("deletion", "insertion"))
    ]
    parts += [
        _text(LEFT - 5, 13, "end", f"{top:g}"),
        _text(LEFT - 5, HEIGHT + 4, "end", "0"),
        _text(LEFT, HEIGHT + 18, "start", "0"),
        _text(LEFT + SIDE, HEIGHT + 18, "end", "100 %"),
        _text(LEFT + SIDE / 2, HEIGHT + 18, "middle", "share of pixels"),
    ]
    label = f"Mean probability by share of pixels deleted and inserted in the order of {name} heatmaps"
    return Markup('<svg class="curves" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        LEFT + SIDE + 4, HEIGHT + BOTTOM - 8, label, Markup("").join(parts)
    )


def mean_curves(report: FaithfulnessReport, role: Role) -> NDArray[np.float64] | None:
    """[2, step]: deletion and insertion, mean of the findings; None where no finding has curves."""
    curves = [
        (one.deletion, one.insertion) for finding in report.findings for one in finding.curves if one.role == role
    ]
    return np.mean(curves, axis=0) if curves else None


def _line(values: Iterable[float], top: float, style: str) -> Markup:
    heights = np.asarray(list(values))
    across = LEFT + np.linspace(0, SIDE, len(heights))
    path = " ".join(f"{x:.1f},{4 + HEIGHT * (1 - y / top):.1f}" for x, y in zip(across, heights, strict=True))
    return Markup('<polyline class="{}" points="{}"/>').format(style, path)


def _text(x: float, y: float, anchor: str, text: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, text)


def _round_up(value: float) -> float:
    return next((top for top in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8) if value <= top), 1.0)
