"""Pictures of where a score comes from: the X-ray under the heatmap, with a stable name."""

import hashlib
import re

import numpy as np
from PIL import Image

from pocketcxr.domain.prediction import FindingScore
from pocketcxr.imaging.overlay import overlay
from pocketcxr.runtime.predict import Scored

MAX_SIDE_PX = 1024
"""A heatmap has 7 to 14 cells a side: more pixels would show no more, and cost memory."""


def strongest(scored: Scored, top: int | None) -> tuple[FindingScore, ...]:
    """The `top` learnt findings of highest logit, highest first; all of them for None."""
    learnt = [score for score in scored.prediction.scores if score.logit is not None]
    return tuple(sorted(learnt, key=lambda score: -(score.logit or 0.0))[:top])


def picture(scored: Scored, score: FindingScore) -> Image.Image:
    """The radiograph, at most MAX_SIDE_PX a side, under the finding's heatmap with its colour bar.

    The colour scale is the largest absolute cell of all learnt findings, so an image's pictures can be compared.
    """
    image = Image.fromarray(scored.radiograph.image)
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.BILINEAR)
    heatmap = scored.heatmap(score.finding, (image.height, image.width))
    learnt = [place for place, other in enumerate(scored.prediction.scores) if other.logit is not None]
    scale = float(np.abs(scored.class_maps[learnt]).max()) or 1.0
    return overlay(np.asarray(image), heatmap, scale, title=_title(score))


def picture_name(scored: Scored, finding: str) -> str:
    """A file name that depends on the input's name, its pixels and the finding alone.

    Inputs of the same name and the same pixels share one, and their pictures are equal.
    """
    image = scored.radiograph.image
    digest = hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()[:12]
    stem = re.sub(r"[^\w.-]+", "_", _stem(scored.radiograph.path), flags=re.ASCII).strip("._") or "image"
    return f"{stem[:80]}.{digest}.{finding}.png"


def _stem(path: str) -> str:
    name = path.replace("\\", "/").rsplit("/", 1)[-1]
    return name.rsplit(".", 1)[0] if "." in name[1:] else name


def _title(score: FindingScore) -> str:
    word = "calibrated probability" if score.is_calibrated else "probability (not calibrated)"
    return f"{score.finding}: {word} {score.probability:.2f}"
