"""The reliability curve of one finding as inline SVG: what was told to the right, what was true upwards."""

from collections.abc import Sequence

from markupsafe import Markup

from pocketcxr.evaluate.reliability import Reliability, ReliabilityBin

_SIDE, _LEFT, _TOP, _BOTTOM = 200, 30, 4, 34
_LIMITS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def reliability_plot(finding: str, before: Reliability, after: Reliability | None) -> Markup:
    """Both curves over equal-mass bins, on one scale from 0; the last has 95 % intervals. On the diagonal is honest."""
    limit = _limit([*before.curve, *(after.curve if after else ())])
    parts = _frame(limit)
    parts += _curve(before.curve, limit, "before", is_last=after is None)
    if after is not None:
        parts += _curve(after.curve, limit, "after", is_last=True)
    said = f"Reliability of {finding}: {_said(before, 'before')}" + (f"; {_said(after, 'after')}" if after else "")
    return Markup('<svg class="roc reliability" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _LEFT + _SIDE + 4, _TOP + _SIDE + _BOTTOM, said, Markup("").join(parts)
    )


def _limit(bins: Sequence[ReliabilityBin]) -> float:
    """The end of both axes: rare findings fill the drawing too."""
    highest = max(max(one.mean_probability, one.observed.value) for one in bins)
    return next(limit for limit in _LIMITS if highest <= limit)


def _frame(limit: float) -> list[Markup]:
    parts = [Markup('<rect class="frame" x="{}" y="{}" width="{}" height="{}"/>').format(_LEFT, _TOP, _SIDE, _SIDE)]
    for share in (0.25, 0.5, 0.75):
        parts.append(_line((share * limit, 0), (share * limit, limit), limit, "grid"))
        parts.append(_line((0, share * limit), (limit, share * limit), limit, "grid"))
    parts.append(_line((0, 0), (limit, limit), limit, "guess"))
    bottom = _TOP + _SIDE
    for x, y, anchor, text in (
        (_LEFT, bottom + 14, "start", "0"),
        (_LEFT + _SIDE / 2, bottom + 28, "middle", "probability told"),
        (_LEFT + _SIDE, bottom + 14, "end", f"{limit:g}"),
        (_LEFT - 6, bottom, "end", "0"),
        (_LEFT - 6, _TOP + 9, "end", f"{limit:g}"),
    ):
        parts.append(Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, text))
    turned = Markup('<text transform="translate({} {}) rotate(-90)" text-anchor="middle">share with the finding</text>')
    parts.append(turned.format(_LEFT - 10, _TOP + _SIDE / 2))
    return parts


def _curve(bins: Sequence[ReliabilityBin], limit: float, style: str, is_last: bool) -> list[Markup]:
    corners = " ".join("{:g},{:g}".format(*_place((b.mean_probability, b.observed.value), limit)) for b in bins)
    parts = [Markup('<polyline class="{}" points="{}"/>').format(style, corners)]
    for one in bins:
        x, y = _place((one.mean_probability, one.observed.value), limit)
        if is_last and one.observed.low is not None and one.observed.high is not None:
            low, high = (min(value, limit) for value in (one.observed.low, one.observed.high))
            parts.append(_line((one.mean_probability, low), (one.mean_probability, high), limit, f"whisker {style}"))
        parts.append(Markup('<circle class="{}" cx="{:g}" cy="{:g}" r="{}"/>').format(style, x, y, 3))
    return parts


def _line(start: tuple[float, float], end: tuple[float, float], limit: float, style: str) -> Markup:
    return Markup('<line class="{}" x1="{:g}" y1="{:g}" x2="{:g}" y2="{:g}"/>').format(
        style, *_place(start, limit), *_place(end, limit)
    )


def _place(point: tuple[float, float], limit: float) -> tuple[float, float]:
    told, true = point
    return round(_LEFT + told / limit * _SIDE, 1), round(_TOP + (1 - true / limit) * _SIDE, 1)


def _said(one: Reliability, when: str) -> str:
    return f"{when}, a mean of {one.mean_probability:.3f} was told and {one.prevalence:.3f} were true"
