"""What a layout decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.picture import Drawn, PictureFormat
from pocketcxr.phantom.plan import PlannedImage

WriteTables = Callable[[Path, PhantomConfig, Sequence[PlannedImage], Sequence[Drawn]], None]
"""Writes all but the images, once these are there: the folder, the settings, the images, what was drawn of each."""


@dataclass(frozen=True)
class Layout:
    """Where files lie and what they look like.

    follows: whose layout it is, with its source. contents: what lies where, a line or more each, for SIMULATED.txt.
    path: an image's file, relative to the data set's folder, "/" between parts.
    """

    follows: str
    contents: str
    picture: PictureFormat
    path: Callable[[PlannedImage], str]
    write_tables: WriteTables
