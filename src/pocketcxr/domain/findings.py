"""Findings: the radiological observations we score, their names, their order, which is a kind of which."""

from collections.abc import Iterable, Sequence
from functools import cache

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.vocabulary import VOCABULARY, Finding

CHESTXRAY14: tuple[str, ...] = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""The 14 findings of ChestX-ray14 in the order of Wang et al., CVPR 2017 (arXiv 1705.02315)."""

CHEXPERT: tuple[str, ...] = (
    "No_Finding",
    "Enlarged_Cardiomediastinum",
    "Cardiomegaly",
    "Lung_Opacity",
    "Lung_Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Effusion",
    "Pleural_Other",
    "Fracture",
    "Support_Devices",
)
"""The 14 observations of CheXpert in the order of its tables (Irvin et al. 2019, arXiv 1901.07031)."""

CHEXPERT_COMPETITION: tuple[str, ...] = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion")
"""The five that CheXpert's competition scored (ibid., section 4)."""

NO_FINDING = "No Finding"
"""What ChestX-ray14 writes where none of its findings is present."""


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


_MEANINGS: dict[str, Finding] = {finding.name: finding for finding in VOCABULARY}
_SPELLINGS: dict[str, str] = {_key(text): f.name for f in VOCABULARY for text in (f.name, *f.synonyms)}


def canonical(name: str, known: Sequence[str] = CHESTXRAY14) -> str:
    """The finding's one spelling. Raises UnknownNameError when it is none of `known`.

    Capitals, underscores and spaces do not matter, and synonyms of the vocabulary are understood.
    """
    spelled = name if name in known else _SPELLINGS.get(_key(name), name)
    if spelled not in known:
        raise UnknownNameError.of("finding", name, known)
    return spelled


def in_order(names: Iterable[str], order: Sequence[str] = CHESTXRAY14) -> tuple[str, ...]:
    """`names` made canonical, unique and sorted as in `order`."""
    wanted = {canonical(name, order) for name in names}
    return tuple(name for name in order if name in wanted)


def place_in_order(finding: str) -> tuple[int, str]:
    """A key that sorts findings as CHESTXRAY14 does, others by name at the end."""
    return (CHESTXRAY14.index(finding) if finding in CHESTXRAY14 else len(CHESTXRAY14), finding)


def known_findings() -> tuple[str, ...]:
    """The names of the whole vocabulary, in its order."""
    return tuple(_MEANINGS)


def meaning(name: str) -> Finding:
    """What the vocabulary says of a finding. Raises UnknownNameError."""
    return _MEANINGS[canonical(name, known_findings())]


@cache
def broader(name: str) -> frozenset[str]:
    """Every finding that `name` is a kind of, directly or not: an image with `name` has them too.

    Empty for a name that the vocabulary lacks: a table may bring names of its own.
    """
    finding = _MEANINGS.get(name)
    parents = frozenset[str]() if finding is None else frozenset(finding.broader)
    return parents.union(*(broader(parent) for parent in parents))


@cache
def narrower(name: str) -> frozenset[str]:
    """Every finding that is a kind of `name`, directly or not; the other way round of `broader`."""
    return frozenset(other for other in _MEANINGS if name in broader(other))
