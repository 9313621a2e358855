"""The teacher's answers on disk: a large teacher runs once over every (image, view), a student's run only looks up.

A cache folder is named by a digest of everything its numbers depend on (TeacherCacheKey), so a cache of another
teacher, other images or other augmentation cannot be opened by mistake. Answers are float16; `done.npy` notes which
chunks are written, and an interrupted build goes on with the others.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from torch import Tensor

from pocketcxr.distill.teacher import PixelsAt, Teach, TeacherSource
from pocketcxr.domain.errors import ConfigError, PocketCxrError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.outputs import ModelOutput

logger = logging.getLogger(__name__)

_FORMAT = 2
"""Of the folder and of what may stand in it: since 2 only numbers where the teacher knows a finding."""
_LARGEST = float(np.finfo(np.float16).max)

Part = Literal["class_maps", "features"]


class TeacherCacheKey(BaseModel, frozen=True, extra="forbid"):
    """Everything the cached numbers depend on. `teacher_hash` is OpenTeacher.digest, `images_hash` is hash_images."""

    teacher_hash: str
    teacher_spec: PreprocessSpec
    images_hash: str
    images_spec: PreprocessSpec
    augment: str
    """The augmentation config as JSON."""
    seed: int
    findings: tuple[str, ...]
    """Findings of the answers, in order."""
    stride: int | None
    """Of the features; None for those the head pools."""
    num_images: Annotated[int, Field(ge=1)]
    num_views: Annotated[int, Field(ge=1)]
    parts: tuple[Part, ...] = ("class_maps", "features")
    """What is kept beside the logits."""
    chunk: Annotated[int, Field(ge=1)] = 64
    """Images the teacher sees at once."""

    def digest(self) -> str:
        """Hexadecimal digest of the key."""
        text = json.dumps({"format": _FORMAT, **self.model_dump(mode="json")}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class TeacherCache:
    """The finished cache; float16 memory maps [view, image, ...]; a part that was not kept is None."""

    key: TeacherCacheKey
    logits: NDArray[np.float16]
    class_maps: NDArray[np.float16] | None
    features: NDArray[np.float16] | None

    @property
    def num_bytes(self) -> int:
        """Bytes on disk that all answers take."""
        return sum(part.nbytes for part in (self.logits, self.class_maps, self.features) if part is not None)

    @property
    def bytes_per_view(self) -> int:
        """Bytes on disk that the answer to one image in one view takes."""
        return self.num_bytes // (self.key.num_images * self.key.num_views)

    def describe(self) -> str:
        """What it holds and takes, as in "3.6 kB a view, 36,000 views (18,000 images), 130 MB"."""
        num_views = self.key.num_images * self.key.num_views
        return (
            f"{_size(self.bytes_per_view)} a view, {num_views:,} views ({self.key.num_images:,} images), "
            f"{_size(self.num_bytes)}"
        )

    def lookup(self, indices: Int[Tensor, " b"], view: int) -> ModelOutput:
        """The teacher's answer for these images in this view, float32. A part that was not kept has no channels.

        Raises ConfigError for a view or an image the cache does not hold.
        """
        if not 0 <= view < self.key.num_views:
            raise ConfigError(
                f"view {view} is not in the teacher cache, which holds {self.key.num_views}: set num_views"
            )
        rows = indices.cpu().numpy()
        if len(rows) and not (rows.min() >= 0 and rows.max() < self.key.num_images):
            raise ConfigError(f"image {rows.max()} is not in the teacher cache of {self.key.num_images} images")
        return ModelOutput(
            logits=_read(self.logits, rows, view),
            class_maps=_read(self.class_maps, rows, view),
            features=_read(self.features, rows, view),
        )


def cached(cache: TeacherCache) -> TeacherSource:
    """The cache as a source of answers for the training loop."""

    def ask(pixels: Tensor, indices: Tensor, view: int) -> ModelOutput:
        return ModelOutput(*(part.to(pixels.device) for part in cache.lookup(indices, view)))

    return ask


def build_teacher_cache(
    teach: Teach, pixels_at: PixelsAt, key: TeacherCacheKey, folder: Path, progress: Progress = silent
) -> TeacherCache:
    """The cache for `key` inside `folder`, with what is missing asked of the teacher.

    `pixels_at(indices, view)` gives images in 0..1 as the student's loop will see them; `teach` answers with
    key.findings. Raises PocketCxrError when the disk is short, and what `teach` raises: what was written until then is
    whole, and the same call goes on from there.
    """
    home = folder / f"teacher-{key.digest()[:16]}"
    if not home.is_dir():
        _make(home, key, _asked(teach, pixels_at, torch.arange(1), 0))
    done = open_memmap(home / "done.npy", mode="r+")
    stores = {name: open_memmap(home / f"{name}.npy", mode="r+") for name in ("logits", *key.parts)}
    total = key.num_images * key.num_views
    for number, (view, first, stop) in enumerate(_chunks(key)):
        progress("asking the teacher", view * key.num_images + first, total)
        if done[number]:
            continue
        answer = _asked(teach, pixels_at, torch.arange(first, stop), view)
        for name, store in stores.items():
            store[view, first:stop] = answer[name]
            store.flush()
        done[number] = True
        done.flush()
    progress("asking the teacher", total, total)
    return _opened(home, key)


def hash_images(pixel_digests: Sequence[bytes], image_ids: Sequence[str]) -> str:
    """Hexadecimal digest of ids and pixels: other pictures under the same names get another teacher cache."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update("\n".join(image_ids).encode())
    for one in pixel_digests:
        digest.update(one)
    return digest.hexdigest()


def _chunks(key: TeacherCacheKey) -> Iterator[tuple[int, int, int]]:
    """(view, first image, end) of every chunk, in the order of done.npy."""
    for view in range(key.num_views):
        for first in range(0, key.num_images, key.chunk):
            yield view, first, min(first + key.chunk, key.num_images)


@torch.no_grad()
def _asked(teach: Teach, pixels_at: PixelsAt, indices: Tensor, view: int) -> dict[str, NDArray[np.float16]]:
    """The teacher's answer by part, float16; numbers beyond its range are brought to its ends, NaN stays."""
    answer = teach(pixels_at(indices, view))
    parts = answer._asdict()
    return {name: part.float().clamp(-_LARGEST, _LARGEST).half().cpu().numpy() for name, part in parts.items()}


def _make(home: Path, key: TeacherCacheKey, sample: dict[str, NDArray[np.float16]]) -> None:
    """An empty cache shaped like `sample`, the answer to one image: made whole or not at all."""
    shapes = {name: (key.num_views, key.num_images, *sample[name].shape[1:]) for name in ("logits", *key.parts)}
    needed = sum(2 * int(np.prod(shape)) for shape in shapes.values())
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PocketCxrError(f"{home.parent}: cannot be made ({error}); choose another cache folder") from error
    free = shutil.disk_usage(home.parent).free
    if free < needed:
        raise PocketCxrError(
            f"{home.parent}: the teacher cache needs {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; make room, "
            "lower num_views or train with the live teacher"
        )
    draft = Path(mkdtemp(prefix=".draft-", dir=home.parent))
    (draft / "key.json").write_text(key.model_dump_json(indent=1))
    for name, shape in shapes.items():
        open_memmap(draft / f"{name}.npy", mode="w+", dtype=np.float16, shape=shape)
    open_memmap(draft / "done.npy", mode="w+", dtype=np.bool_, shape=(len(list(_chunks(key))),))
    try:
        draft.rename(home)
    except OSError:
        # Another process made the same cache in the meantime: its folder is as good as ours.
        shutil.rmtree(draft)
        if not home.is_dir():
            raise


def _opened(home: Path, key: TeacherCacheKey) -> TeacherCache:
    maps = {name: open_memmap(home / f"{name}.npy", mode="r") for name in ("logits", *key.parts)}
    cache = TeacherCache(key, maps["logits"], maps.get("class_maps"), maps.get("features"))
    logger.info("teacher cache %s: %s", home, cache.describe())
    return cache


def _read(part: NDArray[np.float16] | None, rows: NDArray[np.int64], view: int) -> Float[Tensor, "b ..."]:
    if part is None:
        return torch.zeros(len(rows), 0, 1, 1)
    return torch.from_numpy(part[view][rows].astype(np.float32))


def _size(num_bytes: int) -> str:
    """As people say it: 3.6 kB, 130 MB."""
    size = float(num_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
