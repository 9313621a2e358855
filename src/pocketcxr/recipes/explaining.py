"""What a run or a bundle says of radiographs, heatmaps by any method included, in one form for both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pocketcxr.domain.errors import UnknownNameError, UsageError
from pocketcxr.domain.findings import canonical
from pocketcxr.explain.methods import BLACK_BOX, CLASS_AGNOSTIC, Method, require_method, saliency
from pocketcxr.explain.one_pass import one_pass
from pocketcxr.explain.perturbation import occlusion, rise
from pocketcxr.imaging.preprocess import prepare
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.recipes.runs import load_run
from pocketcxr.recipes.scoring import is_run
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.predict import probabilities_of, sigmoid
from pocketcxr.runtime.session import Answers, Engine, open_engine

OF_A_BUNDLE: tuple[Method, ...] = ("one-pass", *BLACK_BOX)
"""What needs no look inside the net."""
_ALL_AT_ONCE = frozenset(OF_A_BUNDLE) | CLASS_AGNOSTIC
"""Methods that explain all findings for the price of one."""

Images = NDArray[np.float32]
"""Model inputs [b, c, size, size]."""
Maps = NDArray[np.float32]
"""[b, finding, grid_h, grid_w] over the model's square input, in the method's own units."""


@dataclass(frozen=True, eq=False)
class Explainer:
    """A model that explains what it says, by one method."""

    findings: tuple[str, ...]
    """The outputs, in order."""
    learnt: frozenset[str]
    """Those it was trained on."""
    is_simulated: bool
    """Whether it was trained on simulated radiographs."""
    calibrated: frozenset[str]
    """Findings whose probabilities are calibrated."""
    engine: str
    """What computes, in words."""
    method: Method
    size: int
    """Side of the model input in pixels."""
    prepare: Callable[[Sequence[Radiograph]], Images]
    """Model inputs of radiographs."""
    respond: Callable[[Images], Answers]
    """Logits and one-pass maps of model inputs, whatever the method."""
    probabilities: Callable[[NDArray[np.float32]], NDArray[np.float64]]
    """What a person is told of logits [b, finding]: calibrated where the model knows how, NaN where never learnt."""
    _maps_by: Callable[[Images, Sequence[int], Method], Maps]

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Plain sigmoids [b, finding] of model inputs, so that engines are compared alike; NaN where never learnt."""
        sigmoids: NDArray[np.float32] = known_only(
            self.findings, self.learnt, sigmoid(self.respond(images).logits)
        ).astype(np.float32)
        return sigmoids

    def maps(self, images: Images, findings: Sequence[int]) -> Maps:
        """Heatmaps [b, len(findings), grid_h, grid_w] of model inputs, by the method; `findings` are outputs."""
        return self._maps_by(images, findings, self.method)

    def answer(self, radiographs: Sequence[Radiograph]) -> Answers:
        """Logits and heatmaps of all findings, by the method."""
        images = self.prepare(radiographs)
        answers = self.respond(images)
        if self.method == "one-pass":
            return answers
        return Answers(answers.logits, self.maps(images, range(len(self.findings))))

    def by(self, method: Method) -> "Explainer":
        """The same model with another method."""
        return replace(self, method=method)

    def learnt_finding(self, name: str) -> str:
        """The model's spelling of the finding.

        Raises UnknownNameError for one it does not have, UsageError for one it has and never learnt.
        """
        finding = canonical(name, self.findings)
        if finding not in self.learnt:
            raise UsageError(
                f"finding {finding!r} is an output of this model, but training said nothing of it: its heatmap means "
                f"nothing; learnt: {', '.join(one for one in self.findings if one in self.learnt)}"
            )
        return finding


@dataclass(frozen=True, eq=False)
class Explained:
    """One radiograph's answers."""

    logits: dict[str, float]
    class_maps: dict[str, NDArray[np.float32]]
    """[grid_h, grid_w] by finding, in the method's units; both hold learnt findings only."""

    @property
    def scale(self) -> float:
        """The largest absolute cell of all findings: pictures of one radiograph that share it can be compared."""
        return max((float(np.abs(one).max()) for one in self.class_maps.values()), default=0.0) or 1.0


def open_explainer(source: Path, method: Method = "one-pass") -> Explainer:
    """The model of the run or bundle at `source`, explaining by `method`.

    Raises UsageError where it is neither or a bundle cannot be explained so, and what reading it raises.
    """
    if is_run(source):
        return _of_run(source, method)
    check_method(source, method)
    return _of_bundle(open_engine(open_bundle(source)), method)


def check_method(source: Path, method: Method) -> None:
    """Nothing, when the run or bundle at `source` can be asked for this method.

    Raises UsageError where a bundle cannot, MissingExtraError where the method's library is not installed.
    """
    require_method(method)
    if method not in OF_A_BUNDLE and not is_run(source):
        raise UsageError(
            f"{source} is a bundle, and {method} looks inside the net: name the run it was exported from, or one of "
            f"{', '.join(OF_A_BUNDLE)}"
        )


def known_only(findings: Sequence[str], learnt: frozenset[str], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` [b, finding] with NaN in the columns of findings that were never learnt."""
    return np.where([finding in learnt for finding in findings], values, np.nan)


def explain_batch(explainer: Explainer, radiographs: Sequence[Radiograph]) -> list[Explained]:
    """Logits and heatmaps of the learnt findings, radiograph by radiograph."""
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


def maps_wanted(explainer: Explainer, images: Images, wanted: Sequence[Sequence[str]]) -> list[dict[str, Maps]]:
    """Image by image the heatmaps [grid_h, grid_w] of the findings wanted of it, and no others.

    Methods that explain one finding at a time are asked for no pair of image and finding that nobody wants.
    """
    maps: list[dict[str, Maps]] = [{} for _ in images]
    names = list(dict.fromkeys(finding for of_image in wanted for finding in of_image))
    if explainer.method in _ALL_AT_ONCE and names:
        of_all = explainer.maps(images, [explainer.findings.index(name) for name in names])
        for row, of_image in enumerate(wanted):
            maps[row] = {name: of_all[row, names.index(name)] for name in of_image}
        return maps
    for name in names:
        rows = [row for row, of_image in enumerate(wanted) if name in of_image]
        of_one = explainer.maps(images[rows], [explainer.findings.index(name)])
        for row, one in zip(rows, of_one, strict=True):
            maps[row][name] = one[0]
    return maps


def _of_run(source: Path, method: Method) -> Explainer:
    loaded = load_run(source)
    learnt = frozenset(loaded.findings) - frozenset(loaded.header.unlearnt)

    def respond(images: Images) -> Answers:
        output = one_pass(loaded.net, torch.from_numpy(images))
        return Answers(output.logits.numpy(), output.class_maps.numpy())

    def maps_by(images: Images, findings: Sequence[int], method: Method) -> Maps:
        return saliency(loaded.net, torch.from_numpy(images), findings, method)

    return Explainer(
        findings=loaded.findings,
        learnt=learnt,
        is_simulated=loaded.header.training.is_simulated,
        calibrated=frozenset(),
        engine=f"PyTorch on the CPU, threads: {torch.get_num_threads()}",
        method=method,
        size=loaded.spec.size,
        prepare=lambda radiographs: np.stack([prepare(one.image, loaded.spec) for one in radiographs]),
        respond=respond,
        probabilities=lambda logits: known_only(loaded.findings, learnt, sigmoid(logits)),
        _maps_by=maps_by,
    )


def _of_bundle(engine: Engine, method: Method) -> Explainer:
    card = engine.bundle.card

    def predict(images: Images) -> NDArray[np.float32]:
        return sigmoid(engine.run(images).logits).astype(np.float32)

    def maps_by(images: Images, findings: Sequence[int], method: Method) -> Maps:
        match method:
            case "one-pass":
                return engine.run(images).class_maps[:, list(findings)]
            case "occlusion":
                return occlusion(predict, images, findings)
            case "rise":
                return rise(predict, images, findings)
            case _:
                raise UnknownNameError.of("method of a bundle", method, OF_A_BUNDLE)

    return Explainer(
        findings=card.findings,
        learnt=frozenset(card.findings) - frozenset(card.unlearnt),
        is_simulated=card.is_simulated,
        calibrated=frozenset(card.calibrated),
        engine="onnxruntime on the CPU, a thread for every core",
        method=method,
        size=card.preprocess.size,
        prepare=lambda radiographs: np.concatenate([engine.prepare(one.image) for one in radiographs]),
        respond=engine.run,
        probabilities=lambda logits: probabilities_of(card, logits),
        _maps_by=maps_by,
    )
