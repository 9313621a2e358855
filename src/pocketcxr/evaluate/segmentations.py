"""Masks of findings from JSON files in the two forms of CheXlocalize.

Saporta et al., Nature Machine Intelligence 2022; rajpurkarlab/cheXlocalize.

    segmentations   {image: {finding: {"size": [height, width], "counts": COCO's run lengths}}}, empty where absent
    annotations     {image: {"img_size": [height, width], finding: [[[x, y], ...], ...]}}, polygons

Masks are large, so they stay encoded until asked for. docs/reference/regions.md.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from pocketcxr.domain.errors import ManifestError, UnknownNameError
from pocketcxr.domain.findings import canonical, known_findings
from pocketcxr.evaluate.heatmaps import EDGE_TOLERANCE_PX
from pocketcxr.evaluate.run_lengths import drawn, run_lengths

Size = tuple[int, int]
Polygon = list[tuple[float, float]]
_IMAGE_SIZE = "img_size"
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".dcm", ".dicom"})


class _RunLengths(BaseModel, frozen=True):
    size: Size
    counts: str | tuple[int, ...]


class _Polygons(BaseModel, frozen=True):
    size: Size
    polygons: list[Polygon]


_SEGMENTATION: TypeAdapter[dict[str, _RunLengths]] = TypeAdapter(dict[str, _RunLengths])
_ANNOTATION: TypeAdapter[dict[str, list[Polygon]]] = TypeAdapter(dict[str, list[Polygon]])
_SIZE: TypeAdapter[Size] = TypeAdapter(Size)
_FILE: TypeAdapter[dict[str, dict[str, JsonValue]]] = TypeAdapter(dict[str, dict[str, JsonValue]])


@dataclass(frozen=True, eq=False)
class Segmentations:
    """The masks of a file, still encoded, of the images that were asked for."""

    outlines: Mapping[str, Mapping[str, _RunLengths | _Polygons]]
    """By image_id and finding; none is empty."""
    missing: tuple[str, ...]
    """Images asked for that the file does not name: nobody outlined them, so they say nothing of a finding."""
    foreign: tuple[str, ...]
    """Images of the file that were not asked for."""

    def findings(self, image_id: str) -> tuple[str, ...]:
        """What is outlined in the image."""
        return tuple(self.outlines.get(image_id, {}))

    def mask(self, image_id: str, finding: str) -> NDArray[np.bool_]:
        """[height, width]: where the finding is; only for one of `findings(image_id)`."""
        return _drawn(self.outlines[image_id][finding])


def read_segmentations(path: Path, sizes: Mapping[str, Size], findings: Sequence[str]) -> Segmentations:
    """The masks in the file at `path` of the images in `sizes` (image_id -> height, width).

    An image may go by its image_id, or by the end of its path with "_" for "/" and without suffix, as CheXlocalize
    names CheXpert's. findings: those of the manifest, beside the vocabulary's. Raises ManifestError where the file
    cannot be read, is of another form or of other images, a mask differs from its image in size, a finding is unknown,
    or a polygon has no area or leaves its image.
    """
    entries = _entries(path)
    image_of = _image_of(sizes)
    outlines: dict[str, dict[str, _RunLengths | _Polygons]] = {}
    foreign = []
    for name, entry in entries.items():
        image_id = image_of.get(name, "")
        if image_id is None:
            raise ManifestError(f"{path}: {name!r} may be several images of the manifest; name it by its image_id")
        if not image_id:
            foreign.append(name)
            continue
        where = f"{path}: image {name!r}"
        if image_id in outlines:
            raise ManifestError(f"{where} is there twice, under two names; leave one of them out")
        outlines[image_id] = _of_image(entry, sizes[image_id], (*findings, *known_findings()), where)
    if not outlines:
        raise ManifestError(
            f"{path}: names none of the {len(sizes)} images (its first is {next(iter(entries), 'none')!r}, the "
            f"manifest's {next(iter(sizes), 'none')!r}); give the file of these images"
        )
    return Segmentations(outlines, tuple(image for image in sizes if image not in outlines), tuple(foreign))


def _entries(path: Path) -> dict[str, dict[str, JsonValue]]:
    try:
        return _FILE.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: there is no such file; give a JSON file of segmentations") from error
    except (OSError, ValueError) as error:  # JSON, UTF-8 and pydantic's errors are ValueErrors
        reason = str(error).splitlines()[0]
        raise ManifestError(
            f"{path}: holds no segmentations as JSON ({reason}); the two forms are in docs/reference/regions.md"
        ) from error


def _image_of(image_ids: Mapping[str, Size]) -> dict[str, str | None]:
    """Which image goes by each name; None where several do."""
    image_of: dict[str, str | None] = {}
    for image_id in image_ids:
        path = PurePosixPath(image_id)
        parts = (path.with_suffix("") if path.suffix.lower() in _SUFFIXES else path).parts
        for start in range(len(parts)):
            for name in {"_".join(parts[start:]), "/".join(parts[start:])}:
                image_of[name] = image_id if name not in image_of else None
    return image_of | {image_id: image_id for image_id in image_ids}


def _of_image(
    entry: Mapping[str, JsonValue], size: Size, known: Sequence[str], where: str
) -> dict[str, _RunLengths | _Polygons]:
    """The outlines of one image by finding, empty ones left out."""
    try:
        if _IMAGE_SIZE in entry:
            drawn_on = _SIZE.validate_python(entry[_IMAGE_SIZE])
            named = _ANNOTATION.validate_python({name: one for name, one in entry.items() if name != _IMAGE_SIZE})
            read: dict[str, _RunLengths | _Polygons] = {
                name: _Polygons(size=drawn_on, polygons=polygons) for name, polygons in named.items()
            }
        else:
            read = dict(_SEGMENTATION.validate_python(entry))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ManifestError(
            f"{where}: {place or _IMAGE_SIZE}: {first['msg']}; the two forms are in docs/reference/regions.md"
        ) from error
    outlines: dict[str, _RunLengths | _Polygons] = {}
    for name, outline in read.items():
        finding = _canonical(name, known, where)
        if finding in outlines:
            raise ManifestError(f"{where} has {finding} twice, under two names; leave one of them out")
        if _is_marked(outline, size, f"{where}, {name}"):
            outlines[finding] = outline
    return outlines


def _canonical(name: str, known: Sequence[str], where: str) -> str:
    try:
        return canonical(name, known)
    except UnknownNameError as error:
        raise ManifestError(f"{where}: {error}") from error


def _is_marked(outline: _RunLengths | _Polygons, size: Size, where: str) -> bool:
    """Whether anything is outlined. Raises ManifestError where that is not on the image of this size."""
    if outline.size != size:
        raise ManifestError(
            f"{where} was drawn on an image of {outline.size[0]} x {outline.size[1]} (height x width), the image has "
            f"{size[0]} x {size[1]}; prepare the manifest from the very images that were outlined"
        )
    match outline:
        case _RunLengths():
            try:
                return bool(run_lengths(outline.counts, size[0] * size[1])[1::2].any())
            except ValueError as error:
                raise ManifestError(f"{where}: is no mask, {error}; download the file again") from error
        case _Polygons():
            for number, polygon in enumerate(outline.polygons):
                _check_polygon(np.array(polygon, dtype=np.float64).reshape(-1, 2), size, f"{where}, polygon {number}")
            return bool(outline.polygons)


def _check_polygon(points: NDArray[np.float64], size: Size, where: str) -> None:
    x, y = points.T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    if len(points) < 3 or not area > 0:
        raise ManifestError(f"{where} has no area; correct or leave out the polygon")
    limit = np.array(size[::-1]) + EDGE_TOLERANCE_PX
    if (points < -EDGE_TOLERANCE_PX).any() or (points > limit).any():
        raise ManifestError(
            f"{where} leaves the image of {size[0]} x {size[1]} (height x width); give x, y in its pixels"
        )


def _drawn(outline: _RunLengths | _Polygons) -> NDArray[np.bool_]:
    height, width = outline.size
    match outline:
        case _RunLengths():
            return drawn(run_lengths(outline.counts, height * width), height, width)
        case _Polygons():
            # As CheXlocalize turns its annotations into segmentations (annotation_to_segmentation.py).
            canvas = Image.new("1", (width, height))
            for polygon in outline.polygons:
                ImageDraw.Draw(canvas).polygon(polygon, fill=1, outline=1)
            return np.array(canvas)
