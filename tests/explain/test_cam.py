"""The CAM family against pytorch-grad-cam's own calls, closed forms and the class maps."""

import numpy as np
import pytest
import torch
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from pocketcxr.explain.cam import CamMethod, gradient_cam
from pocketcxr.explain.methods import Method, MethodOptions, saliency
from pocketcxr.explain.one_pass import one_pass
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import Net

SIZE, NUM_FINDINGS = 64, 4
LIBRARY: dict[Method, type] = {
    "grad-cam": GradCAM,
    "grad-cam++": GradCAMPlusPlus,
    "layer-cam": LayerCAM,
    "hires-cam": HiResCAM,
    "eigen-cam": EigenCAM,
    "score-cam": ScoreCAM,
}


class Logits(nn.Module):
    """pytorch-grad-cam wants a model that answers with a tensor."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images).logits


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(3, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


def opinionated(name: str, times: float) -> Net:
    """A net in evaluation mode whose head's weights are made larger."""
    net = build(NetConfig(name=name), NUM_FINDINGS, seed=3).eval()
    with torch.no_grad():
        net.get_submodule("head.maps").get_parameter("weight").mul_(times)
    return net


@pytest.mark.parametrize(
    ("method", "layer"),
    [
        *((method, layer) for method in LIBRARY for layer in ("trunk.layer1", "trunk.layer4") if method != "score-cam"),
        ("score-cam", "trunk.layer1"),  # the 512 channels of layer4 take the library a minute
    ],
)
def test_clipped_and_stretched_maps_are_the_librarys(method: Method, layer: str, images: Tensor) -> None:
    # Weights this large make the library's epsilon in Grad-CAM++ as small as it is meant to be.
    net = opinionated("resnet10t", 1e4 if method == "grad-cam++" else 10)
    maps = saliency(net, images, [3, 1], method, MethodOptions(layer=layer))
    for column, finding in enumerate((3, 1)):
        with LIBRARY[method](Logits(net), [net.get_submodule(layer)]) as published:
            expected = published(images, [ClassifierOutputTarget(finding)] * len(images))
        ours = maps[:, column]
        if method == "eigen-cam":  # The library leaves the sign to chance: ours may have been turned.
            raw = [published.get_cam_image(None, None, [], activations_of(net, layer, images), None, False)]
            ours = ours * np.sign((raw[0] * ours).sum(axis=(1, 2)))[:, None, None]
        scaled = scale_cam_image(scale_cam_image(np.maximum(ours, 0), (SIZE, SIZE)))
        np.testing.assert_allclose(scaled, expected, atol=2e-3)


def activations_of(net: Net, layer: str, images: Tensor) -> np.ndarray:
    seen: list[Tensor] = []
    hook = net.get_submodule(layer).register_forward_hook(lambda _module, _arguments, output: seen.append(output))
    one_pass(net, images)
    hook.remove()
    return seen[0].numpy()


@pytest.mark.parametrize("name", ["eeea-net-c2-map", "mobilenetv4_conv_small", "vit_tiny_patch16_224"])
def test_grad_cam_and_hires_cam_of_a_class_map_net_are_its_class_maps(name: str, images: Tensor) -> None:
    """Up to the bias, which is no channel's, and the number of cells, since the logit is their mean."""
    net = opinionated(name, 100)
    bias = torch.linspace(-0.2, 0.2, NUM_FINDINGS)
    net.get_submodule("head.maps").load_state_dict({"bias": bias}, strict=False)
    class_maps = one_pass(net, images).class_maps
    expected = (class_maps - bias[:, None, None]).numpy() / class_maps[0, 0].numel()
    for method in ("grad-cam", "hires-cam"):
        maps = saliency(net, images, range(NUM_FINDINGS), method)
        np.testing.assert_allclose(maps, expected, atol=1e-4 * np.abs(expected).max())


def test_hires_cam_sums_to_the_logit_where_the_rest_of_the_net_is_linear(images: Tensor) -> None:
    net = build(NetConfig(name="resnet10t"), NUM_FINDINGS, seed=1)
    maps = saliency(net, images, range(NUM_FINDINGS), "hires-cam")
    np.testing.assert_allclose(maps.sum(axis=(2, 3)), one_pass(net, images).logits.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("times", [1e-4, 1.0, 1e4])
def test_grad_cam_plus_plus_is_its_equation_at_any_size_of_gradients(times: float, images: Tensor) -> None:
    """Equation 19: the head's gradient is the same in every cell, so alpha is 1 / (2 + gradient x sum of channel)."""
    net = opinionated("resnet10t", times)
    features = one_pass(net, images).features.double()
    cells = features[0, 0].numel()
    gradient = net.get_submodule("head.maps").get_parameter("weight").detach().double()[:, :, 0, 0] / cells
    alpha = 1 / (2 + gradient[None] * features.sum((2, 3))[:, None])
    weights = cells * gradient.clamp(min=0)[None] * alpha
    expected = torch.einsum("bfk,bkhw->bfhw", weights, features).numpy()
    maps = gradient_cam(net, images, range(NUM_FINDINGS), "grad-cam++", None)
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "layer-cam", "hires-cam"])
def test_maps_of_a_net_that_sees_nothing_are_zero(method: CamMethod, images: Tensor) -> None:
    maps = gradient_cam(opinionated("resnet10t", 0), images, [0], method, None)
    np.testing.assert_array_equal(maps, 0)


def test_the_eigen_cams_largest_cell_is_positive(images: Tensor) -> None:
    maps = saliency(opinionated("resnet10t", 1), images, [0], "eigen-cam", MethodOptions(layer=8))
    flat = maps.reshape(len(maps), -1)
    largest = np.take_along_axis(flat, np.abs(flat).argmax(axis=1)[:, None], axis=1)
    assert (largest > 0).all()
