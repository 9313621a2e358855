"""The model card as the two files of a bundle: MODEL_CARD.md for repositories, model_card.html for a browser."""

from collections.abc import Mapping

import jinja2

from pocketcxr.evaluate import wording
from pocketcxr.evaluate.plots import Scale, axis, interval_bar, scale_around_zero, verdict
from pocketcxr.export.model_card_content import OUT_OF_SCOPE, ModelCard, model_card
from pocketcxr.runtime.card import NOTICE, CardFacts

MARKDOWN, HTML = "MODEL_CARD.md", "model_card.html"


def model_card_files(facts: CardFacts) -> dict[str, bytes]:
    """Both files by name; equal facts give equal bytes."""
    card = model_card(facts)
    return {
        MARKDOWN: _render("model_card.md.j2", card, is_html=False).encode(),
        HTML: _render("model_card.html.j2", card, is_html=True).encode(),
    }


def _render(name: str, card: ModelCard, is_html: bool) -> str:
    environment = jinja2.Environment(
        # The pages of a run and of its bundle look alike.
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("pocketcxr.export", "."), jinja2.PackageLoader("pocketcxr.evaluate", ".")]
        ),
        autoescape=is_html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not is_html,
    )
    environment.filters["cell"] = _cell
    return environment.get_template(name).render(
        card=card,
        facts=card.facts,
        wording=wording,
        notice=NOTICE,
        out_of_scope=OUT_OF_SCOPE,
        auroc_scale=_auroc_scale(card),
        gap_scale=scale_around_zero([row.difference for row in card.groups]),
        axis=axis,
        bar=interval_bar,
        verdict=verdict,
    )


def _auroc_scale(card: ModelCard) -> Scale:
    estimates = [card.mean[0], *(row.auroc for row in card.findings)]
    lowest = min((one.value if one.low is None else one.low for one in estimates if one is not None), default=0.5)
    return Scale(min(0.5, int(lowest * 10) / 10), 1.0, 0.5)


_SPECIAL: Mapping[str, str] = {sign: f"\\{sign}" for sign in "\\`*_[]<>|#"}


def _cell(text: object) -> str:
    """Text that Markdown shows as it is, also inside a table."""
    return "".join(_SPECIAL.get(sign, sign) for sign in str(text)).replace("\n", " ")
