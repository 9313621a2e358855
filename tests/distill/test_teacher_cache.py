"""Cached answers are the live ones, survive interruption and cannot be mistaken for others."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pocketcxr.distill.teacher import Teacher, weights_hash
from pocketcxr.distill.teacher_cache import TeacherCache, TeacherCacheKey, build_teacher_cache, cached, hash_images
from pocketcxr.domain.errors import ConfigError, PocketCxrError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.outputs import ModelOutput, Net

MakeNet = Callable[[int], Net]
FINDINGS = ("Effusion", "Nodule")
SPEC = PreprocessSpec(size=32)
IMAGES = torch.rand(10, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def _pixels_at(indices: Tensor, view: int) -> Tensor:
    return IMAGES[indices] * (1 - 0.3 * view)


class Asked:
    """A teacher, its cache key, and how many images it has been asked about."""

    def __init__(self, net: Net, folder: Path) -> None:
        self.teacher = Teacher(net, SPEC, FINDINGS, stride=8)
        self.folder = folder
        self.num_images = 0
        self.key = TeacherCacheKey(
            teacher_hash=weights_hash(net),
            teacher_spec=SPEC,
            images_hash=hash_images([bytes([i]) for i in range(10)], [str(i) for i in range(10)]),
            images_spec=SPEC,
            augment="{}",
            seed=0,
            findings=FINDINGS,
            stride=8,
            num_images=10,
            num_views=2,
            chunk=4,
        )

    def teach(self, pixels: Tensor) -> ModelOutput:
        self.num_images += len(pixels)
        return self.teacher.teach(pixels)

    def build(self, progress: Progress = silent, **changes: object) -> TeacherCache:
        key = self.key.model_copy(update=changes)
        return build_teacher_cache(self.teach, _pixels_at, key, self.folder, progress)


@pytest.fixture
def asked(make_net: MakeNet, tmp_path: Path) -> Asked:
    return Asked(make_net(2), tmp_path)


def _assert_same(first: TeacherCache, second: TeacherCache) -> None:
    for view in range(2):
        for a, b in zip(first.lookup(torch.arange(10), view), second.lookup(torch.arange(10), view), strict=True):
            assert torch.equal(a, b)


def test_a_cached_answer_is_the_live_one_for_the_same_images_and_view(asked: Asked) -> None:
    cache, indices = asked.build(), torch.tensor([7, 0, 9])
    for view in range(2):
        answers = cache.lookup(indices, view)
        for ours, live in zip(answers, asked.teacher.teach(_pixels_at(indices, view)), strict=True):
            assert ours.dtype == torch.float32
            torch.testing.assert_close(ours, live, rtol=1e-3, atol=1e-3)
        source = cached(cache)(torch.zeros(3, 1, 32, 32), indices, view)
        assert torch.equal(source.logits, answers.logits)


def test_the_teacher_is_asked_once(asked: Asked) -> None:
    first = asked.build()
    num_asked = asked.num_images
    _assert_same(first, asked.build())
    assert num_asked == 20 + 1  # and once for one image, to learn the shapes
    assert asked.num_images == num_asked


@pytest.mark.parametrize("wanted", [4, 12])
def test_an_interrupted_build_goes_on_and_equals_a_fresh_one(
    asked: Asked, make_net: MakeNet, tmp_path: Path, wanted: int
) -> None:
    def stop(stage: str, done: int, total: int, figures: Mapping[str, float] | None = None) -> None:
        if done >= wanted:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asked.build(stop)
    before = asked.num_images
    resumed = asked.build()
    assert asked.num_images - before == 20 - (before - 1)
    _assert_same(resumed, Asked(make_net(2), tmp_path / "fresh").build())


@pytest.mark.parametrize(
    "change",
    [
        {"teacher_hash": "other"},
        {"teacher_spec": PreprocessSpec(size=48)},
        {"images_hash": "other"},
        {"augment": '{"zoom":0.2}'},
        {"seed": 1},
        {"stride": 16},
        {"findings": ("Nodule", "Effusion")},
    ],
)
def test_whatever_the_answers_depend_on_asks_the_teacher_anew(asked: Asked, change: dict[str, object]) -> None:
    asked.build()
    before = asked.num_images
    asked.build(**change)
    assert asked.num_images == before + 20 + 1


def test_other_pixels_under_the_same_names_have_another_hash() -> None:
    pixels, changed = [b"1", b"2", b"3"], [b"1", b"4", b"3"]
    hashes = {hash_images(pixels, "abc"), hash_images(changed, "abc"), hash_images(pixels, "abx")}
    assert len(hashes) == 3
    assert hash_images(pixels, "abc") == hash_images(tuple(pixels), ["a", "b", "c"])


def test_only_the_wanted_parts_take_room(asked: Asked) -> None:
    whole, lean = asked.build(), asked.build(parts=())
    # float16: 2 logits, 2 maps of 2 x 2, 4 feature channels of 4 x 4
    assert whole.bytes_per_view == 2 * (2 + 2 * 4 + 4 * 16)
    assert whole.num_bytes == 10 * 2 * whole.bytes_per_view
    assert whole.describe() == "148 B a view, 20 views (10 images), 2.96 kB"
    assert lean.bytes_per_view == 2 * 2
    answer = lean.lookup(torch.arange(3), 0)
    assert answer.class_maps.shape[:2] == answer.features.shape[:2] == (3, 0)
    assert torch.equal(answer.logits, whole.lookup(torch.arange(3), 0).logits)


def test_unknown_findings_stay_nan_and_huge_features_stay_finite(asked: Asked) -> None:
    def teach(pixels: Tensor) -> ModelOutput:
        num = len(pixels)
        return ModelOutput(torch.full((num, 2), torch.nan), torch.zeros(num, 2, 1, 1), torch.full((num, 3, 1, 1), 1e6))

    answer = build_teacher_cache(teach, _pixels_at, asked.key, asked.folder).lookup(torch.arange(10), 1)
    assert answer.logits.isnan().all()
    assert answer.features.isfinite().all()


@pytest.mark.parametrize(("index", "view"), [(0, 2), (0, -1), (10, 0), (-1, 0)])
def test_what_is_not_cached_is_not_answered(asked: Asked, index: int, view: int) -> None:
    with pytest.raises(ConfigError, match="teacher cache"):
        asked.build().lookup(torch.tensor([index]), view)


def test_a_full_disk_is_told_before_the_work(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(PocketCxrError, match="make room"):
        asked.build()
    assert list(asked.folder.iterdir()) == []


def test_a_teacher_that_breaks_off_leaves_no_answer_that_is_taken_for_one(asked: Asked) -> None:
    """An error in the middle of filling: only whole chunks written before it are reused."""

    def breaks(pixels: Tensor) -> ModelOutput:
        answer = asked.teach(pixels)
        if asked.num_images > 9:
            raise PocketCxrError("no finite logit")
        return answer

    with pytest.raises(PocketCxrError, match="no finite logit"):
        build_teacher_cache(breaks, _pixels_at, asked.key, asked.folder)
    before = asked.num_images
    mended = asked.build()
    assert asked.num_images - before == 20 - 8
    _assert_same(mended, Asked(asked.teacher.tapped.net, asked.folder / "fresh").build())


def test_a_teacher_broken_from_the_first_image_on_leaves_nothing(asked: Asked) -> None:
    def breaks(pixels: Tensor) -> ModelOutput:
        raise PocketCxrError("no finite logit")

    with pytest.raises(PocketCxrError, match="no finite logit"):
        build_teacher_cache(breaks, _pixels_at, asked.key, asked.folder)
    assert not list(asked.folder.iterdir())
