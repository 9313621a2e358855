"""Attribution to pixels by the net's gradients, through captum: integrated gradients and SmoothGrad.

One image at a time: captum's batches would give every image other noise, and the same image another map beside others.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from pocketcxr.domain.extras import require
from pocketcxr.explain.options import MethodOptions, check_findings
from pocketcxr.models.outputs import Net, evaluating


def integrated_gradients(
    net: Net, images: Float[Tensor, "b c s s"], findings: Sequence[int], options: MethodOptions
) -> NDArray[np.float32]:
    """Maps [b, finding, s, s] in logit units that add up to the logit less that of the gray image (all zeros).

    Sundararajan et al., ICML 2017, eq. 1; exact as `options.steps` grow. Colour channels are summed.
    Raises UnknownNameError for a finding there is not, MissingExtraError without captum.
    """
    method = require("captum.attr", "explain", "The method integrated-gradients").IntegratedGradients(_logits(net))

    def attribute(image: Tensor, finding: int) -> Tensor:
        attribution: Tensor = method.attribute(
            image, baselines=0.0, target=finding, n_steps=options.steps, internal_batch_size=options.batch_size
        )
        return attribution

    return _each(net, images, findings, attribute)


def smooth_grad(
    net: Net, images: Float[Tensor, "b c s s"], findings: Sequence[int], options: MethodOptions
) -> NDArray[np.float32]:
    """Maps [b, finding, s, s]: the logit's signed gradient by each pixel, mean over noisy copies of the image.

    Smilkov et al., arXiv 1706.03825. Every image and finding meets the same draw of `options.seed`; torch's global
    generators are left as found. Colour channels are summed.
    Raises UnknownNameError for a finding there is not, MissingExtraError without captum.
    """
    library = require("captum.attr", "explain", "The method smooth-grad")
    method = library.NoiseTunnel(library.Saliency(_logits(net)))

    def attribute(image: Tensor, finding: int) -> Tensor:
        devices = list(range(torch.cuda.device_count())) if image.is_cuda else []
        reach = float(image.detach().max() - image.detach().min())
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(options.seed)
            attribution: Tensor = method.attribute(
                image,
                nt_samples=options.noise_samples,
                nt_samples_batch_size=options.batch_size,
                stdevs=reach * options.noise_share,
                target=finding,
                abs=False,
            )
        return attribution

    return _each(net, images, findings, attribute)


def _logits(net: Net) -> Callable[[Tensor], Tensor]:
    return lambda images: net(images).logits


def _each(
    net: Net, images: Tensor, findings: Sequence[int], attribute: Callable[[Tensor, int], Tensor]
) -> NDArray[np.float32]:
    """The attribution of every image to every finding, summed over colours."""
    with evaluating(net), torch.inference_mode(False):
        with torch.no_grad():
            check_findings(findings, net(images[:1]).logits.shape[1])
        # captum wants inputs that take a gradient, or warns.
        single = [image.detach().clone().requires_grad_() for image in torch.split(images, 1)]
        rows = [torch.cat([attribute(image, finding).detach().sum(1) for finding in findings]) for image in single]
    return torch.stack(rows).cpu().numpy()
