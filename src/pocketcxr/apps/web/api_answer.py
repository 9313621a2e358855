"""From a decoded upload to the answer's JSON."""

import base64
import io
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from pocketcxr._version import __version__
from pocketcxr.apps.web.api_models import (
    API_VERSION,
    BundleFacts,
    DecisionAnswer,
    FindingAnswer,
    HeatmapPicture,
    HeatmapValues,
    ImageFacts,
    PredictAnswer,
    PredictQuery,
    WarningAnswer,
)
from pocketcxr.apps.web.api_worker import NAMELESS, DecodedUpload
from pocketcxr.domain.prediction import FindingScore, Prediction
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.card import NOTICE
from pocketcxr.runtime.input_gate import GATE
from pocketcxr.runtime.pictures import picture, strongest
from pocketcxr.runtime.predict import Scored, finding_scores
from pocketcxr.runtime.session import Engine

MADE_BY = f"pocketcxr {__version__}"


def answer_json(engine: Engine, decoded: DecodedUpload, query: PredictQuery) -> bytes:
    """The scores of the upload as a PredictAnswer in JSON."""
    answers = engine.run(decoded.images)
    card = engine.bundle.card
    scores = finding_scores(card, answers.logits[0])
    heatmaps = _heatmaps(scores, answers.class_maps[0], decoded, query)
    answer = PredictAnswer(
        version=API_VERSION,
        notice=NOTICE,
        made_by=MADE_BY,
        bundle=bundle_facts(engine.bundle),
        status="scored",
        image=ImageFacts(height=decoded.height, width=decoded.width, source_format=decoded.source_format),
        input_checked=query.input_gate and GATE in engine.bundle.files,
        warnings=[WarningAnswer(code=warning.code, message=warning.message) for warning in decoded.warnings],
        findings=[_finding(score, query.operating_point, heatmaps.get(score.finding)) for score in scores],
    )
    return answer.model_dump_json().encode()


def bundle_facts(bundle: Bundle) -> BundleFacts:
    """What identifies the bundle."""
    return BundleFacts(name=bundle.card.name, sha256=bundle.digest, is_simulated=bundle.card.is_simulated)


def _finding(
    score: FindingScore, operating_point: str | None, heatmap: HeatmapValues | HeatmapPicture | None
) -> FindingAnswer:
    decisions = [one for one in score.decisions if operating_point in (None, one.operating_point)]
    return FindingAnswer(
        finding=score.finding,
        logit=score.logit,
        probability=score.probability,
        is_calibrated=score.is_calibrated,
        decisions=[DecisionAnswer(**asdict(decision)) for decision in decisions],
        heatmap=heatmap,
    )


def _heatmaps(
    scores: tuple[FindingScore, ...], class_maps: NDArray[np.float32], decoded: DecodedUpload, query: PredictQuery
) -> dict[str, HeatmapValues | HeatmapPicture]:
    """By finding, those that are asked for."""
    if decoded.picture is None:
        return {}
    scored = Scored(Prediction(NAMELESS, scores), decoded.picture, class_maps)
    chosen = strongest(scored, None if query.top == "all" else query.top)
    if query.heatmaps == "png":
        return {score.finding: HeatmapPicture(png=_png(scored, score)) for score in chosen}
    maps = {score.finding: class_map for score, class_map in zip(scores, class_maps, strict=True)}
    return {score.finding: HeatmapValues(values=_shortest(maps[score.finding])) for score in chosen}


def _png(scored: Scored, score: FindingScore) -> str:
    """The picture that `pocketcxr predict --heatmaps` writes, in base64."""
    file = io.BytesIO()
    picture(scored, score).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def _shortest(class_map: NDArray[np.float32]) -> list[list[float]]:
    """The float32 numbers as the float64 that print with fewest digits; narrowed again they are the same."""
    return [[float(str(value)) for value in row] for row in class_map]
