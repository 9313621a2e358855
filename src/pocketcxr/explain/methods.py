"""saliency: where a net's answers come from, by any of the known methods by name."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from pocketcxr.domain.errors import EmptyCohortError, UnknownNameError
from pocketcxr.domain.extras import require
from pocketcxr.evaluate.predict import Predict
from pocketcxr.explain.cam import eigen_cam, gradient_cam, score_cam
from pocketcxr.explain.gradients import integrated_gradients, smooth_grad
from pocketcxr.explain.one_pass import one_pass
from pocketcxr.explain.options import DEFAULTS, check_findings
from pocketcxr.explain.options import MethodOptions as MethodOptions
from pocketcxr.explain.perturbation import occlusion, rise
from pocketcxr.explain.rollout import attention_rollout
from pocketcxr.models.outputs import Net

Method = Literal[
    "one-pass",
    "grad-cam",
    "grad-cam++",
    "layer-cam",
    "hires-cam",
    "score-cam",
    "eigen-cam",
    "integrated-gradients",
    "smooth-grad",
    "occlusion",
    "rise",
    "attention-rollout",
]
METHODS: tuple[Method, ...] = get_args(Method)
BLACK_BOX: tuple[Method, ...] = ("occlusion", "rise")
"""Methods that need a Predict only (perturbation.py), so that a bundle can have them."""
CLASS_AGNOSTIC: frozenset[Method] = frozenset({"eigen-cam", "attention-rollout"})
"""Methods that have one map for an image, repeated for every finding: they cannot tell findings apart."""

UNITS: dict[Method, str] = {
    "one-pass": "logit",
    "grad-cam": "logit",
    "grad-cam++": "own unit",
    "layer-cam": "logit",
    "hires-cam": "logit",
    "score-cam": "own unit",
    "eigen-cam": "own unit",
    "integrated-gradients": "logit",
    "smooth-grad": "logit / input",
    "occlusion": "probability",
    "rise": "probability",
    "attention-rollout": "attention",
}
"""What one cell of a method's map is counted in. Logit: of gradients times what they are by, or of the answer itself.
An own unit follows from the activations of one net, and compares with nothing else."""


def require_method(method: Method) -> None:
    """Nothing, when the library that the method comes from is installed. Raises MissingExtraError."""
    match method:
        case "integrated-gradients" | "smooth-grad":
            require("captum.attr", "explain", f"The method {method}")
        case "grad-cam" | "grad-cam++" | "layer-cam" | "hires-cam" | "score-cam" | "eigen-cam":
            require("pytorch_grad_cam", "explain", f"The method {method}")
        case _:
            pass


def saliency(
    net: Net,
    images: Float[Tensor, "b c s s"],
    findings: Sequence[int],
    method: Method,
    options: MethodOptions = DEFAULTS,
) -> NDArray[np.float32]:
    """Saliency [b, finding, h, w] of normalised images over the square model input, raw and signed as the method is.

    `findings` are numbers of the net's outputs; every pair of image and finding has its own map, the same alone as in
    any batch. h and w are the method's own: the cells of the class maps or of `options.layer`, the patches of a
    transformer, or pixels. Nothing is clipped at zero or stretched to 0..1, so magnitudes can be compared.

    Modes, gradients, hooks, switches of the net and torch's generators are left as found, also after an error.
    Raises UnknownNameError for a method, finding or layer there is not, ConfigError where the net cannot have the
    method, EmptyCohortError without images, MissingExtraError without grad-cam or captum.
    """
    if method not in METHODS:
        raise UnknownNameError.of("method", method, METHODS)
    if not len(images):
        raise EmptyCohortError("there is no image to explain; give at least one")
    batches = torch.split(images.detach(), options.batch_size)
    return np.concatenate([_of_batch(net, batch, findings, method, options) for batch in batches])


def _of_batch(
    net: Net, images: Tensor, findings: Sequence[int], method: Method, options: MethodOptions
) -> NDArray[np.float32]:
    match method:
        case "one-pass":
            return _one_pass(net, images, findings)
        case "grad-cam" | "grad-cam++" | "layer-cam" | "hires-cam":
            return gradient_cam(net, images, findings, method, options.layer)
        case "score-cam":
            return score_cam(net, images, findings, options.layer, options.batch_size)
        case "eigen-cam":
            return eigen_cam(net, images, findings, options.layer)
        case "integrated-gradients":
            return integrated_gradients(net, images, findings, options)
        case "smooth-grad":
            return smooth_grad(net, images, findings, options)
        case "occlusion":
            return occlusion(predict_of(net), images.cpu().numpy(), findings, options)
        case "rise":
            return rise(predict_of(net), images.cpu().numpy(), findings, options)
        case "attention-rollout":
            return attention_rollout(net, images, findings)


def predict_of(net: Net) -> Predict:
    """`net` as a black box: model inputs [b, c, s, s] to the sigmoids of its logits, in numpy on both sides."""
    device = next(net.parameters()).device

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = (
            one_pass(net, torch.from_numpy(images).to(device)).logits.sigmoid().cpu().numpy()
        )
        return probabilities

    return predict


def _one_pass(net: Net, images: Tensor, findings: Sequence[int]) -> NDArray[np.float32]:
    output = one_pass(net, images)
    check_findings(findings, output.logits.shape[1])
    return output.class_maps[:, list(findings)].cpu().numpy()
