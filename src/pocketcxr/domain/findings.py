"""Findings: the radiological observations we score, their names and their order."""

from collections.abc import Iterable, Sequence

from pocketcxr.domain.errors import UnknownNameError

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

NO_FINDING = "No Finding"

SYNONYMS: dict[str, str] = {
    "Pleural Effusion": "Effusion",
    "Pleural Thickening": "Pleural_Thickening",
    "Infiltrate": "Infiltration",  # BBox_List_2017.csv spells it so
}
"""Other spellings met in official files -> our name."""


def canonical(name: str, known: Sequence[str] = CHESTXRAY14) -> str:
    """The finding's one spelling. Raises UnknownNameError when it is none of `known`."""
    spelled = SYNONYMS.get(name, name)
    if spelled not in known:
        raise UnknownNameError.of("finding", name, known)
    return spelled


def in_order(names: Iterable[str], order: Sequence[str] = CHESTXRAY14) -> tuple[str, ...]:
    """`names` made canonical, unique and sorted as in `order`."""
    wanted = {canonical(name, order) for name in names}
    return tuple(name for name in order if name in wanted)
