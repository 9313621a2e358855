"""AUROC against multiply-accumulates: which models nobody beats at their price, and the plot of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pocketcxr.evaluate import wording
from pocketcxr.evaluate.report_content import Role

WIDTH, HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 12, 44
_LABEL_HEIGHT = 13
_DODGE = 11


@dataclass(frozen=True)
class Point:
    """One model: its price, how it ranks with its interval, what it is."""

    name: str
    macs: float
    auroc: float
    low: float | None
    high: float | None
    role: Role
    is_labelled: bool = True
    """Whether its name is written beside it; the others are dots."""


@dataclass(frozen=True)
class _Frame:
    """Where values lie in the drawing; multiply-accumulates on a logarithmic scale."""

    macs: tuple[float, float]
    auroc: tuple[float, float]

    def x(self, macs: float) -> float:
        low, high = (math.log(value) for value in self.macs)
        return round(_LEFT + (math.log(macs) - low) / (high - low) * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, auroc: float) -> float:
        low, high = self.auroc
        return round(HEIGHT - _BOTTOM - (auroc - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 1)


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats: none has at most as many MACs and a higher AUROC, or fewer and an equal one."""
    best: list[Point] = []
    for point in sorted(points, key=lambda one: (one.macs, -one.auroc)):
        if not best or point.auroc > best[-1].auroc:
            best.append(point)
    return best


def front_plot(points: Sequence[Point]) -> Markup:
    """All points, the front as a stepped line, the names of those that are labelled. Empty without points."""
    if not points:
        return Markup("")
    frame = _frame(points)
    parts = [*_grid(frame), _step(front(points), frame)]
    dodged = _dodged(points)
    ordered = sorted(points, key=lambda one: one.is_labelled)
    parts += [_dot(point, frame, frame.x(point.macs) + dodged.get(point.name, 0.0)) for point in ordered]
    parts += _labels(points, frame)
    said = "; ".join(f"{one.name}: {wording.number(one.auroc)} at {wording.count(round(one.macs))}" for one in points)
    return Markup('<svg class="front" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, f"Mean AUROC against multiply-accumulates. {said}", Markup("").join(parts)
    )


def _frame(points: Sequence[Point]) -> _Frame:
    macs = [point.macs for point in points]
    values = [
        value
        for point in points
        for value in (point.auroc, point.low if point.is_labelled else None)
        if value is not None
    ]
    values += [point.high for point in points if point.high is not None and point.is_labelled]
    step = _tick_step(max(values) - min(values))
    low, high = math.floor(min(values) / step) * step, math.ceil(max(values) / step) * step
    return _Frame((min(macs) / 1.6, max(macs) * 1.6), (low, high if high > low else low + step))


def _tick_step(reach: float) -> float:
    return next((step for step in (0.005, 0.01, 0.02, 0.05, 0.1) if reach <= 6 * step), 0.2)


def _grid(frame: _Frame) -> list[Markup]:
    """Lines and numbers of both axes."""
    low, high = frame.auroc
    step = _tick_step(high - low)
    parts = []
    for index in range(math.floor((high - low) / step + 1e-9) + 1):
        value = low + index * step
        y = frame.y(value)
        parts.append(Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(_LEFT, y, WIDTH - _RIGHT, y))
        parts.append(_text(_LEFT - 6, y + 4, "end", f"{value:.3f}" if step < 0.01 else f"{value:.2f}"))
    for exponent in range(math.floor(math.log10(frame.macs[0])), math.ceil(math.log10(frame.macs[1])) + 1):
        for factor in (1, 2, 5):
            macs = factor * 10**exponent
            if frame.macs[0] <= macs <= frame.macs[1]:
                x, bottom = frame.x(macs), HEIGHT - _BOTTOM
                parts.append(Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(x, _TOP, x, bottom))
                parts.append(_text(x, bottom + 16, "middle", wording.count(macs)))
    parts.append(_text((WIDTH + _LEFT) / 2, HEIGHT - 6, "middle", "multiply-accumulates for one image"))
    return parts


def _step(best: Sequence[Point], frame: _Frame) -> Markup:
    """The best AUROC to be had for at most so many MACs."""
    corners: list[str] = []
    for index, point in enumerate(best):
        end = frame.x(best[index + 1].macs) if index + 1 < len(best) else WIDTH - _RIGHT
        corners += [f"{frame.x(point.macs):g},{frame.y(point.auroc):g}", f"{end:g},{frame.y(point.auroc):g}"]
    return Markup('<polyline class="best" points="{}"/>').format(" ".join(corners))


def _dodged(points: Sequence[Point]) -> dict[str, float]:
    """How far aside each labelled point stands, so that the intervals of models of one price do not hide another."""
    by_price: dict[float, list[str]] = {}
    for point in points:
        if point.is_labelled:
            by_price.setdefault(point.macs, []).append(point.name)
    return {
        name: (index - (len(names) - 1) / 2) * _DODGE for names in by_price.values() for index, name in enumerate(names)
    }


def _dot(point: Point, frame: _Frame, x: float) -> Markup:
    y = frame.y(point.auroc)
    parts = []
    if point.is_labelled and point.low is not None and point.high is not None:
        parts.append(
            Markup('<line class="interval" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
                x, frame.y(point.low), x, frame.y(point.high)
            )
        )
    radius = 5 if point.is_labelled else 3
    parts.append(Markup('<circle cx="{}" cy="{}" r="{}"/>').format(x, y, radius))
    style = f"role-{point.role}" if point.is_labelled else f"role-{point.role} faint"
    return Markup('<g class="{}">{}</g>').format(style, Markup("").join(parts))


def _labels(points: Sequence[Point], frame: _Frame) -> list[Markup]:
    """Names beside their dots, pushed down where two of one price would overlap; leftwards at the right edge."""
    parts = []
    lowest: dict[float, float] = {}
    prices = [point.macs for point in points if point.is_labelled]
    for point in sorted((one for one in points if one.is_labelled), key=lambda one: -one.auroc):
        x = frame.x(point.macs)
        y = max(frame.y(point.auroc) + 4, lowest.get(x, -math.inf) + _LABEL_HEIGHT)
        lowest[x] = y
        is_left = x > 0.6 * WIDTH
        aside = 10 + (prices.count(point.macs) - 1) * _DODGE / 2
        parts.append(_text(x - aside if is_left else x + aside, y, "end" if is_left else "start", point.name, "name"))
    return parts


def _text(x: float, y: float, anchor: str, text: str, style: str = "") -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        style, x, round(y, 1), anchor, text
    )
