"""Small plots as inline SVG: they follow the page's colours, light or dark, and stay sharp in print."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.report_content import Role

BAR_WIDTH, BAR_HEIGHT = 200, 20
_MARGIN = 14
_STEPS = 200  # ROC curves are drawn to half a percent


@dataclass(frozen=True, eq=False)
class Curve:
    """One model's ROC curve; `points` [k, 2] as false and true positive rate."""

    name: str
    role: Role
    points: NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """What the two ends of a bar stand for, and the value its reference line marks."""

    low: float
    high: float
    reference: float

    def x(self, value: float) -> float:
        """Where `value` lies in the drawing."""
        share = (value - self.low) / (self.high - self.low)
        return round(_MARGIN + min(max(share, 0.0), 1.0) * (BAR_WIDTH - 2 * _MARGIN), 1)


def scale_around_zero(estimates: Iterable[Estimate | None]) -> Scale:
    """A scale from -limit to +limit that holds every interval, with a round limit."""
    reach = 0.0
    for one in estimates:
        if one is not None:
            reach = max([reach, *(abs(value) for value in (one.value, one.low, one.high) if value is not None)])
    limits = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)
    limit = next((limit for limit in limits if reach <= limit), math.ceil(reach))
    return Scale(-limit, limit, 0.0)


def verdict(estimate: Estimate | None) -> str:
    """The style of a difference's bar: 'better' or 'worse' where the interval excludes zero, else none."""
    if estimate is None or not estimate.excludes_zero:
        return ""
    return "better" if estimate.value > 0 else "worse"


def interval_bar(estimate: Estimate, scale: Scale, style: str = "") -> Markup:
    """A dot with its interval on `scale`. The figures stand beside it as text, so it is hidden from screen readers."""
    middle = BAR_HEIGHT / 2
    parts = [_line(scale.x(scale.reference), 0, scale.x(scale.reference), BAR_HEIGHT, "reference")]
    if estimate.low is not None and estimate.high is not None:
        parts.append(_line(scale.x(estimate.low), middle, scale.x(estimate.high), middle, "interval"))
    parts.append(Markup('<circle cx="{}" cy="{}" r="4.5"/>').format(scale.x(estimate.value), middle))
    return _svg(BAR_WIDTH, BAR_HEIGHT, f"bar {style}", "", parts)


def axis(scale: Scale) -> Markup:
    """The labels of both ends and of the reference line of a column of bars; signed where zero lies between them."""
    is_signed = scale.low < 0 < scale.high
    parts = [
        Markup('<text x="{}" y="12" text-anchor="middle">{}</text>').format(scale.x(value), _short(value, is_signed))
        for value in sorted({scale.low, scale.reference, scale.high})
    ]
    return _svg(BAR_WIDTH, 16, "axis", "", parts)


def roc_plot(finding: str, curves: Sequence[Curve]) -> Markup:
    """One finding's ROC curves in a square, false positive rate to the right, true positive rate upwards."""
    side, left, bottom = 200, 26, 24
    parts = [Markup('<rect class="frame" x="{}" y="2" width="{}" height="{}"/>').format(left, side, side)]
    for share in (0.25, 0.5, 0.75):
        parts.append(_line(left + share * side, 2, left + share * side, side + 2, "grid"))
        parts.append(_line(left, 2 + share * side, left + side, 2 + share * side, "grid"))
    parts.append(_line(left, side + 2, left + side, 2, "guess"))
    for curve in curves:
        corners = np.round(curve.points * _STEPS) / _STEPS
        kept = np.append(True, (corners[1:] != corners[:-1]).any(axis=1))
        path = " ".join(f"{left + x * side:g},{2 + (1 - y) * side:g}" for x, y in corners[kept])
        parts.append(Markup('<polyline class="role-{}" points="{}"/>').format(curve.role, path))
    for x, y, anchor, text in (
        (left, side + 16, "start", "0"),
        (left + side / 2, side + 18, "middle", "false positive rate"),
        (left + side, side + 16, "end", "1"),
        (left - 6, side + 2, "end", "0"),
        (left - 6, 11, "end", "1"),
    ):
        parts.append(Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, text))
    parts.append(
        Markup('<text transform="translate({} {}) rotate(-90)" text-anchor="middle">{}</text>').format(
            left - 8, side / 2, "true positive rate"
        )
    )
    names = ", ".join(curve.name for curve in curves)
    return _svg(left + side + 4, side + bottom, "roc", f"ROC curves of {names} for {finding}", parts)


def _svg(width: float, height: float, style: str, label: str, parts: Iterable[Markup]) -> Markup:
    hidden = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="{}" viewBox="0 0 {} {}" {}>{}</svg>').format(
        style.strip(), width, height, hidden, Markup("").join(parts)
    )


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(style, x1, y1, x2, y2)


def _short(value: float, is_signed: bool) -> str:
    return f"{value:+g}".replace("-", "\u2212") if is_signed and value else f"{value:g}"
