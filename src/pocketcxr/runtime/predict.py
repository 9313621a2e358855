"""From files to scores: every readable file is scored, every other one is refused with a code, none stops the rest."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import ImageRefusedError
from pocketcxr.domain.prediction import FindingScore, Prediction, Refusal
from pocketcxr.imaging.geometry import place_heatmap
from pocketcxr.imaging.load import load
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.runtime.calibration import calibrated_logits, decisions
from pocketcxr.runtime.card import Card
from pocketcxr.runtime.input_gate import InputWarning, check, facts_of_source, gate_of
from pocketcxr.runtime.session import Engine


@dataclass(frozen=True, eq=False)
class Scored:
    """One file's scores with what explains them."""

    prediction: Prediction
    radiograph: Radiograph
    class_maps: NDArray[np.float32]
    """[finding, grid_h, grid_w] over the model's square input, in logit units, in the order of prediction.scores."""
    warnings: tuple[InputWarning, ...] = ()
    """What is odd about the file though it was scored; nothing where nobody looked."""
    is_checked: bool = False
    """Whether an input gate was asked what the file shows."""

    def heatmap(self, finding: str, size: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """The finding's heatmap [h, w] on the radiograph's own pixels, or on the picture at `size` (h, w); logit units.

        Raises KeyError for a finding the model does not know.
        """
        names = [score.finding for score in self.prediction.scores]
        if finding not in names:
            raise KeyError(finding)
        height, width = size or (self.radiograph.height, self.radiograph.width)
        return place_heatmap(self.class_maps[names.index(finding)], height, width)


def predict_files(engine: Engine, paths: Iterable[Path], checks_input: bool = True) -> Iterator[Scored | Refusal]:
    """One answer for every path, in order and as soon as it is there. A folder is refused: name the files.

    checks_input: ask the bundle's input gate first, where it has one; without, whatever can be decoded is scored.
    """
    gate = gate_of(engine.bundle) if checks_input else None
    for path in paths:
        try:
            radiograph = load(path)
            checked = () if gate is None else check(gate, radiograph, facts_of_source(radiograph))
        except ImageRefusedError as error:
            yield Refusal(str(path), error.code, str(error))
            continue
        if isinstance(checked, Refusal):
            yield checked
        else:
            yield replace(score(engine, radiograph), warnings=checked, is_checked=gate is not None)


def score(engine: Engine, radiograph: Radiograph) -> Scored:
    """The scores of one decoded X-ray."""
    answers = engine.run(engine.prepare(radiograph.image))
    prediction = Prediction(radiograph.path, finding_scores(engine.bundle.card, answers.logits[0]))
    return Scored(prediction, radiograph, answers.class_maps[0])


def finding_scores(card: Card, logits: NDArray[np.float32]) -> tuple[FindingScore, ...]:
    """The model's answer [finding] in words; a finding it never learnt stays unknown."""
    calibrated, probabilities = card.calibrated, probabilities_of(card, logits)
    return tuple(
        FindingScore(finding, None, None)
        if finding in card.unlearnt
        else FindingScore(
            finding,
            float(logit),
            float(probability),
            is_calibrated=finding in calibrated,
            decisions=decisions(card, finding, float(probability)),
        )
        for finding, logit, probability in zip(card.findings, logits, probabilities, strict=True)
    )


def probabilities_of(card: Card, logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of logits [..., finding]: calibrated where the card says how, else the plain sigmoid.

    NaN in the columns of findings that the model never learnt.
    """
    return sigmoid(calibrated_logits(card, logits))


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of logits of any shape; in float64, so that a large negative logit keeps its order."""
    values = logits.astype(np.float64)
    # exp of a negative number never overflows, whatever the sign of the logit.
    decay = np.exp(-np.abs(values))
    probabilities: NDArray[np.float64] = np.where(values >= 0, 1.0, decay) / (1.0 + decay)
    return probabilities
