"""The layouts by name."""

from pocketcxr.phantom.layouts import chestmnist, chestxray14, chexpert, padchest
from pocketcxr.phantom.layouts.layout import Layout

LAYOUTS: dict[str, Layout] = {
    "chestxray14": chestxray14.LAYOUT,
    "chexpert": chexpert.LAYOUT,
    "padchest": padchest.LAYOUT,
    "chestmnist": chestmnist.LAYOUT,
}


def layout_named(name: str) -> Layout:
    """The layout of a valid PhantomConfig."""
    return LAYOUTS[name]
