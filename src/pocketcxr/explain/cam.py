"""Class activation maps on the formulas of pytorch-grad-cam, without what its call does around them.

Its `forward` drops images where there are fewer targets than images (its issue 328), clears and fills the gradients of
parameters, clips at zero, and stretches every map between its own smallest and largest value. Its formulas are the
method `get_cam_image` of each class; activations and gradients come from one forward pass for all findings (layers.py).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pocketcxr.domain.extras import require
from pocketcxr.explain.layers import capture
from pocketcxr.explain.options import check_findings
from pocketcxr.models.outputs import Net, evaluating

CamMethod = Literal["grad-cam", "grad-cam++", "layer-cam", "hires-cam"]


def gradient_cam(
    net: Net, images: Float[Tensor, "b c s s"], findings: Sequence[int], method: CamMethod, layer: int | str | None
) -> NDArray[np.float32]:
    """Maps [b, finding, h, w] on the cells of `layer`: the weighted sum of its channels, signed, before any ReLU.

    grad-cam    Selvaraju et al., ICCV 2017, eq. 2 without its ReLU
    grad-cam++  Chattopadhay et al., WACV 2018
    layer-cam   Jiang et al., TIP 2021
    hires-cam   Draelos et al., arXiv 2011.08891

    Raises UnknownNameError for a layer or finding there is not, ConfigError for a layer without a map,
    MissingExtraError without grad-cam.
    """
    with evaluating(net), torch.inference_mode(False), torch.enable_grad():
        formula = _formula(net, method)
        captured = capture(net, images.detach().clone().requires_grad_(), layer)
        check_findings(findings, captured.logits.shape[1])
        activations = captured.to_grid(captured.values.detach()).cpu().numpy()
        maps = []
        for finding in findings:
            gradients = captured.gradient(finding).cpu().numpy()
            scale = _unit(gradients) if method == "grad-cam++" else np.float32(1)
            maps.append(formula.get_cam_image(images, None, [], activations / scale, gradients * scale, False))
    return np.stack(maps, axis=1).astype(np.float32, copy=False)


def eigen_cam(
    net: Net, images: Float[Tensor, "b c s s"], findings: Sequence[int], layer: int | str | None
) -> NDArray[np.float32]:
    """The first principal component of the layer's channels [b, finding, h, w]: class-agnostic, so one map for all.

    Muhammad and Yeasin, arXiv 2008.00299. Which end of a component is up, its decomposition leaves to chance: here the
    largest absolute cell is positive. Raises as `gradient_cam` does.
    """
    library = require("pytorch_grad_cam", "explain", "The method eigen-cam")
    with evaluating(net), torch.no_grad():
        captured = capture(net, images, layer)
        check_findings(findings, captured.logits.shape[1])
        activations = captured.to_grid(captured.values).cpu().numpy()
        maps = library.EigenCAM(net, []).get_cam_image(images, None, [], activations, None, False)
    is_upside_down = -maps.min(axis=(1, 2)) > maps.max(axis=(1, 2))
    maps = np.where(is_upside_down[:, None, None], -maps, maps)
    return np.repeat(maps[:, None], len(findings), axis=1)


def score_cam(
    net: Net, images: Float[Tensor, "b c s s"], findings: Sequence[int], layer: int | str | None, batch_size: int
) -> NDArray[np.float32]:
    """Maps [b, finding, h, w]: channels weighed by the softmax of the logits of the image seen through each of them.

    Wang et al., CVPRW 2020, as pytorch-grad-cam has it and with its numbers. Its own class would hold the masked copies
    for all channels in memory at once, run all of them again for every finding, and draw a progress bar for each image.
    Raises UnknownNameError for a layer or finding there is not, ConfigError for a layer without a map.
    """
    maps = []
    with evaluating(net), torch.no_grad():
        for image in torch.split(images, 1):
            captured = capture(net, image, layer)
            check_findings(findings, captured.logits.shape[1])
            channels = captured.to_grid(captured.values)[0]
            logits = torch.cat([net(image * masks).logits for masks in _masks(channels, image, batch_size)])
            weights = logits[:, list(findings)].softmax(dim=0)
            maps.append(torch.einsum("kf,khw->fhw", weights, channels))
    return torch.stack(maps).cpu().numpy()


def _masks(
    channels: Float[Tensor, "channel h w"], image: Tensor, batch_size: int
) -> Iterator[Float[Tensor, "n 1 s s"]]:
    """Each channel over the image, stretched to 0..1; a batch is made when it is wanted."""
    for some in torch.split(channels, batch_size):
        yield _stretched(functional.interpolate(some[:, None], image.shape[-2:], mode="bilinear", align_corners=True))


def _stretched(masks: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n 1 s s"]:
    low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
    return (masks - low) / (high - low + 1e-8)


def _formula(net: Net, method: CamMethod) -> Any:
    """The library's class, given no layer of its own: it then leaves no hook."""
    library = require("pytorch_grad_cam", "explain", f"The method {method}")
    match method:
        case "grad-cam":
            return library.GradCAM(net, [])
        case "grad-cam++":
            return library.GradCAMPlusPlus(net, [])
        case "layer-cam":
            return library.LayerCAM(net, [])
        case "hires-cam":
            return library.HiResCAM(net, [])


def _unit(gradients: NDArray[np.float32]) -> NDArray[np.float32]:
    """What to multiply each image's gradients with, so that the largest is 1, and divide its activations by.

    Nothing changes in Grad-CAM++ but the weight of the library's epsilon: it adds 1e-6 to a sum of squared gradients,
    which in a head that averages over cells are far smaller, and the maps would grow with their third power.
    """
    largest = np.abs(gradients).max(axis=(1, 2, 3), keepdims=True)
    return np.where(largest > 0, 1 / np.maximum(largest, np.finfo(np.float32).tiny), 1).astype(np.float32)
