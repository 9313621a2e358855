"""Reports indexed by MeSH terms with qualifiers ("Thickening/pleura/apex/bilateral"): which findings they name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pandas as pd

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.findings import broader, known_findings
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.mapping import LabelMapping

NORMAL, NOT_INDEXED = "normal", "no indexing"
BORDERLINE = "borderline"
"""The qualifier that leaves open whether the finding is there."""
NO_FINDING = "No_Finding"


@dataclass(frozen=True)
class Rule:
    """What a term means that has all of the qualifiers; findings: none where it is not mapped."""

    qualifiers: frozenset[str]
    finding: str | None


Rules = Mapping[str, Sequence[Rule]]
"""By the first part of the term, small letters."""


def rules_of(mappings: Iterable[LabelMapping]) -> Rules:
    """The rules that mapped terms give. A term without qualifiers stands for all that no other one fits better."""
    rules: dict[str, list[Rule]] = {}
    for mapping in mappings:
        head, qualifiers = _parts(mapping.label)
        rules.setdefault(head, []).append(Rule(qualifiers, mapping.finding))
    return rules


def findings_named(term: str, rules: Rules, where: str) -> frozenset[str]:
    """The findings that a term names: those of the rules with the most qualifiers among the ones that fit it.

    where: the file, for the error. Raises ManifestError for a term that nobody mapped: an unknown term is no absent
    finding.
    """
    head, qualifiers = _parts(term)
    fitting = [rule for rule in rules.get(head, ()) if rule.qualifiers <= qualifiers]
    if not fitting:
        near = get_close_matches(head, rules, n=3)
        hint = f"; nearest: {', '.join(map(repr, near))}" if near else ""
        raise ManifestError(
            f"{where}: term {term!r} is none that this source is known to use{hint} - correct it, or look at the known "
            "ones with `pocketcxr prepare SOURCE --list-findings`"
        )
    most = max(len(rule.qualifiers) for rule in fitting)
    return frozenset(rule.finding for rule in fitting if len(rule.qualifiers) == most and rule.finding is not None)


def report_states(reports: Mapping[str, Sequence[str]], mappings: Sequence[LabelMapping]) -> pd.DataFrame:
    """The LabelState texts of every report and mapped finding, in the vocabulary's order.

    reports: terms by the report's name. "normal": everything is absent. What a term names is present, uncertain where
    it is called borderline, and so is what it is a kind of; everything else is unmentioned. Without a term, or
    with "No Indexing", nothing is labelled. Raises ManifestError.
    """
    rules = rules_of(mappings)
    mapped = {mapping.finding for mapping in mappings}
    findings = [finding for finding in known_findings() if finding in mapped]
    states = np.full((len(reports), len(findings)), LabelState.UNMENTIONED.value, dtype=object)
    place = {finding: column for column, finding in enumerate(findings)}
    for row, (name, terms) in enumerate(reports.items()):
        heads = {_parts(term)[0] for term in terms}
        if heads <= {NOT_INDEXED}:
            states[row] = LabelState.NOT_LABELLED.value
        elif NORMAL in heads:
            if len(heads) > 1:
                raise ManifestError(f"{name}: is indexed as both normal and {', '.join(terms)} - correct it")
            states[row] = LabelState.ABSENT.value
            states[row, place[NO_FINDING]] = LabelState.PRESENT.value
        else:
            for finding, state in _told(terms, rules, name).items():
                if finding in place:
                    states[row, place[finding]] = state.value
    return pd.DataFrame(states, index=list(reports), columns=findings, dtype="str")


def _told(terms: Sequence[str], rules: Rules, name: str) -> dict[str, LabelState]:
    """The state of every finding that the terms tell of; a clear term counts for more than a borderline one."""
    clear: set[str] = set()
    borderline: set[str] = set()
    for term in terms:
        (borderline if BORDERLINE in _parts(term)[1] else clear).update(findings_named(term, rules, name))
    told = dict.fromkeys(borderline, LabelState.UNCERTAIN)
    told |= dict.fromkeys(clear.union(*map(broader, clear)), LabelState.PRESENT)
    if clear:
        told[NO_FINDING] = LabelState.ABSENT
    return told


def _parts(term: str) -> tuple[str, frozenset[str]]:
    """The term's first part and its qualifiers, in small letters and with single spaces."""
    head, *qualifiers = (" ".join(part.split()).casefold() for part in term.split("/"))
    return head, frozenset(qualifiers)
