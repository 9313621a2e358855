"""Small drawings of a data card as inline HTML and SVG: they follow the page's colours, light or dark.

The figures stand beside every drawing as text, so all are hidden from screen readers.
"""

from collections.abc import Sequence

from markupsafe import Markup

from pocketcxr.manifest.card_content import Prevalence, StateCounts

STATES: tuple[tuple[str, str], ...] = (
    ("present", "present"),
    ("absent", "absent"),
    ("uncertain", "uncertain"),
    ("unmentioned", "not mentioned"),
    ("not-labelled", "not labelled"),
)
"""The style and the spoken name of each label state."""

_WIDTH, _HEIGHT, _MARGIN = 200, 20, 8
_LIMITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


def stacked(parts: Sequence[tuple[str, float]]) -> Markup:
    """A bar of (style, amount) parts that fills its width; empty where all amounts are 0."""
    total = sum(amount for _, amount in parts)
    pieces = Markup("").join(
        Markup('<i class="{}" style="width:{}%"></i>').format(style, f"{100 * amount / total:.2f}")
        for style, amount in parts
        if amount
    )
    return Markup('<span class="stack" aria-hidden="true">{}</span>').format(pieces)


def states_bar(counts: StateCounts) -> Markup:
    """The label states of a finding as one bar."""
    amounts = (counts.present, counts.absent, counts.uncertain, counts.unmentioned, counts.not_labelled)
    return stacked([(style, amount) for (style, _), amount in zip(STATES, amounts, strict=True)])


def share_bar(share: float) -> Markup:
    """A bar filled to `share`, 0..1."""
    return Markup('<span class="stack" aria-hidden="true"><i class="share" style="width:{}%"></i></span>').format(
        f"{100 * share:.2f}"
    )


def prevalence_limit(prevalences: Sequence[Prevalence | None]) -> float:
    """A round right end for a column of `prevalence_bar` that holds every interval."""
    reach = max((one.high for one in prevalences if one is not None), default=0.0)
    return next((limit for limit in _LIMITS if reach <= limit), 1.0)


def prevalence_bar(prevalence: Prevalence, limit: float) -> Markup:
    """A dot with its interval on a scale from 0 to `limit`."""

    def x(share: float) -> str:
        return f"{_MARGIN + min(share / limit, 1.0) * (_WIDTH - 2 * _MARGIN):.1f}"

    middle = _HEIGHT // 2
    return Markup(
        '<svg class="bar" viewBox="0 0 {} {}" aria-hidden="true">'
        '<line class="reference" x1="{}" y1="0" x2="{}" y2="{}"/>'
        '<line class="interval" x1="{}" y1="{}" x2="{}" y2="{}"/><circle cx="{}" cy="{}" r="4"/></svg>'
    ).format(
        *(_WIDTH, _HEIGHT, x(0), x(0), _HEIGHT),
        *(x(prevalence.low), middle, x(prevalence.high), middle, x(prevalence.value), middle),
    )


def heat(share: float | None) -> str:
    """How strongly a cell of a table is coloured, percent of the full colour, for a share 0..1."""
    return "0" if share is None else f"{90 * share:.0f}"
