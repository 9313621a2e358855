"""What a run or a bundle says of radiographs, heatmaps included, in one form for both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pocketcxr.explain.one_pass import one_pass
from pocketcxr.imaging.preprocess import prepare
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.recipes.runs import load_run
from pocketcxr.recipes.scoring import is_run
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.session import Answers, open_engine


@dataclass(frozen=True, eq=False)
class Explainer:
    """A model that explains what it says."""

    findings: tuple[str, ...]
    """The outputs, in order."""
    learnt: frozenset[str]
    """Those it was trained on."""
    is_simulated: bool
    """Whether it was trained on simulated radiographs."""
    answer: Callable[[Sequence[Radiograph]], Answers]
    """Logits [b, finding] and class maps [b, finding, grid_h, grid_w] of a batch of radiographs."""


@dataclass(frozen=True, eq=False)
class Explained:
    """One radiograph's answers."""

    logits: dict[str, float]
    class_maps: dict[str, NDArray[np.float32]]
    """[grid_h, grid_w] by finding, in logit units; both hold learnt findings only."""

    @property
    def scale(self) -> float:
        """The largest absolute cell of all findings: pictures of one radiograph that share it can be compared."""
        return max((float(np.abs(one).max()) for one in self.class_maps.values()), default=0.0) or 1.0


def open_explainer(source: Path) -> Explainer:
    """The model of the run or bundle at `source`. Raises UsageError where it is neither, and what reading it raises."""
    return _of_run(source) if is_run(source) else _of_bundle(source)


def explain_batch(explainer: Explainer, radiographs: Sequence[Radiograph]) -> list[Explained]:
    """Logits and class maps of the learnt findings, radiograph by radiograph."""
    if not radiographs:
        return []
    answers = explainer.answer(radiographs)
    rows = [(row, finding) for row, finding in enumerate(explainer.findings) if finding in explainer.learnt]
    return [
        Explained(
            {finding: float(logits[row]) for row, finding in rows},
            {finding: class_maps[row] for row, finding in rows},
        )
        for logits, class_maps in zip(answers.logits, answers.class_maps, strict=True)
    ]


def _of_run(source: Path) -> Explainer:
    loaded = load_run(source)

    def answer(radiographs: Sequence[Radiograph]) -> Answers:
        images = torch.from_numpy(np.stack([prepare(radiograph.image, loaded.spec) for radiograph in radiographs]))
        output = one_pass(loaded.net, images)
        return Answers(output.logits.numpy(), output.class_maps.numpy())

    learnt = frozenset(loaded.findings) - frozenset(loaded.header.unlearnt)
    return Explainer(loaded.findings, learnt, loaded.header.training.is_simulated, answer)


def _of_bundle(source: Path) -> Explainer:
    engine = open_engine(open_bundle(source))
    card = engine.bundle.card

    def answer(radiographs: Sequence[Radiograph]) -> Answers:
        return engine.run(np.concatenate([engine.prepare(radiograph.image) for radiograph in radiographs]))

    return Explainer(card.findings, frozenset(card.findings) - frozenset(card.unlearnt), card.is_simulated, answer)
