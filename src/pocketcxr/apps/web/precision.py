"""Which build of a bundle the page runs. Browsers compute in 32 bits: the smaller download decides."""

from pocketcxr.domain.errors import UsageError
from pocketcxr.runtime.card import Card
from pocketcxr.runtime.card_gate import Precision

_BY_DEFAULT: tuple[Precision, ...] = ("fp16", "fp32")


def choose_precision(card: Card, wanted: Precision | None = None) -> Precision:
    """The build to run: `wanted`, else fp16 if there is one, else fp32, else the one the bundle ships.

    onnxruntime-web widens fp16 to fp32 when it loads: half the download at equal speed, while INT8 is slower there
    (decision 11). Raises UsageError when the bundle has no build of the precision wanted.
    """
    available = card.builds.all
    if wanted is None:
        return next((precision for precision in _BY_DEFAULT if precision in available), card.builds.shipped)
    if wanted not in available:
        raise UsageError(
            f"--precision {wanted}: this bundle has no such build; available: {', '.join(available)}; "
            f"export the run again with --builds {','.join(dict.fromkeys(['fp32', wanted]))}: those that pass are in"
        )
    return wanted
