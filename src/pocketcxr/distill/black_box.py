"""A bundle as a teacher: its graph answers with logits and heatmaps, and nobody has its weights."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pocketcxr.distill.teacher import OpenTeacher, learnt_only, net_input
from pocketcxr.models.outputs import ModelOutput
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.session import open_engine


def open_black_box(path: Path, device: torch.device) -> OpenTeacher:
    """The bundle at `path`, a folder or a zip, as a teacher; onnxruntime computes on the CPU, answers go to `device`.

    It prepares images as its card says and knows what its card says it learnt. It has no features (no channels).
    Raises BundleError where the bundle is damaged or cannot be loaded.
    """
    engine = open_engine(open_bundle(path))
    card = engine.bundle.card

    def teach(pixels: Float[Tensor, "b 1 s s"]) -> ModelOutput:
        images = net_input(pixels.float(), card.preprocess).cpu().numpy()
        answers = engine.run(np.ascontiguousarray(images))
        return ModelOutput(
            logits=torch.from_numpy(answers.logits).to(device),
            class_maps=torch.from_numpy(answers.class_maps).to(device),
            features=torch.zeros(len(images), 0, 1, 1, device=device),
        )

    return OpenTeacher(
        name=card.name,
        origin=f"bundle {path}",
        teach=teach,
        spec=card.preprocess,
        findings=learnt_only(card.findings, card.unlearnt),
        digest=engine.bundle.digest,
        num_channels=0,
    )
