"""The data card: one self-contained HTML page and the same figures as JSON."""

import os
from base64 import b64encode
from itertools import chain
from pathlib import Path

import jinja2
import numpy as np

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.manifest import card_plots
from pocketcxr.manifest.card_content import SPLITS, CoOccurrence, DataCard, describe, spoken
from pocketcxr.manifest.card_warnings import MIN_POSITIVES, warnings
from pocketcxr.manifest.contact_sheet import ContactSheet, contact_sheet
from pocketcxr.manifest.leaks import LeakReport, sentences
from pocketcxr.manifest.schema import Manifest

PAGE, FIGURES = "card.html", "card.json"
MAX_FINDINGS = 16
"""More rows and columns of the co-occurrence table than this nobody reads; the JSON holds all."""


def write_card(
    manifest: Manifest,
    folder: Path,
    rng: np.random.Generator,
    leaks: LeakReport | None = None,
    progress: Progress = silent,
) -> Path:
    """The page card.html, after writing it and card.json into `folder`; `rng` chooses the sample images.

    leaks: what the leakage check found, None where it was not asked for. Raises ManifestError when the disk is short.
    """
    card = describe(manifest)
    page = render(card, contact_sheet(manifest, rng, progress=progress), leaks)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / FIGURES, card.model_dump_json(indent=1) + "\n")
        _write(folder / PAGE, page)
    except OSError as error:
        raise ManifestError(f"{folder}: cannot be written ({error}) - free some space or choose another one") from error
    return folder / PAGE


def render(card: DataCard, sheet: ContactSheet, leaks: LeakReport | None = None) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pocketcxr.manifest", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filled = [split for split in SPLITS if card.splits[split].num_images]
    return environment.get_template("card.html.j2").render(
        card=card,
        warnings=(*_leak_warnings(leaks), *warnings(card)),
        sheet=sheet,
        leaks=leaks,
        leak_sentences=() if leaks is None else sentences(leaks),
        filled=filled,
        occurring=_occurring(card),
        states=_states(card),
        boxes=[one for one in card.findings if one.boxes is not None],
        together=shown_together(card.co_occurrence),
        split_parts=[(split, card.splits[split].num_images) for split in filled],
        limit=card_plots.prevalence_limit([one.prevalence for one in card.findings]),
        min_positives=MIN_POSITIVES,
        plots=card_plots,
        spoken=spoken,
        percent=percent,
        data_address=_data_address,
    )


def shown_together(co_occurrence: CoOccurrence) -> list[int]:
    """The places of the findings that the co-occurrence table shows: the most frequent ones that occur, in order."""
    frequent = sorted(
        (place for place, row in enumerate(co_occurrence.counts) if row[place]),
        key=lambda place: -co_occurrence.counts[place][place],
    )
    return sorted(frequent[:MAX_FINDINGS])


def percent(share: float, is_fine: bool = False) -> str:
    """A share as a person reads it: 12 %, 3.4 %, 0.21 %; never 0 for something that is there.

    is_fine: one decimal for the greater ones too, 12.3 %.
    """
    value = 100 * share
    if value == 0 or (value >= 9.95 and not is_fine):
        return f"{value:.0f} %"
    if value >= 0.95:
        return f"{value:.1f} %"
    return f"{value:.2f} %" if value >= 0.005 else "< 0.01 %"


def _leak_warnings(leaks: LeakReport | None) -> tuple[str, ...]:
    return sentences(leaks) if leaks is not None and (leaks.pairs or not leaks.is_clean) else ()


def _occurring(card: DataCard) -> dict[str, list[str]]:
    """By field of a split's counts, the names that occur in any split, in their order."""
    by_field = {
        "views": [split.views for split in card.splits.values()],
        "sexes": [split.sexes for split in card.splits.values()],
        "ages": [split.ages for split in card.splits.values()],
        "sources": [split.sources for split in card.splits.values()],
    }
    return {
        field: [name for name in dict.fromkeys(chain(*counts)) if any(one.get(name) for one in counts)]
        for field, counts in by_field.items()
    }


def _states(card: DataCard) -> set[str]:
    """The label states that occur, by their style."""
    totals = [one.total.model_dump() for one in card.findings]
    return {style for style, _ in card_plots.STATES if any(total[style.replace("-", "_")] for total in totals)}


def _data_address(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + b64encode(jpeg).decode("ascii")


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)  # noqa: PTH105 - Path.replace is the same call; the name says that it is atomic
