"""One forward pass against pytorch-grad-cam, and as an ONNX graph."""

import numpy as np
import onnxruntime
import pytest
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from pocketcxr.explain.one_pass import one_pass
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.heads import PaperHead
from pocketcxr.models.outputs import Net
from pocketcxr.models.students.eeea import EeeaNet

NUM_FINDINGS = 14


class Logits(nn.Module):
    """pytorch-grad-cam wants a model that answers with a tensor."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images).logits


class UnscaledGradCAM(GradCAM):  # type: ignore[misc]
    """Grad-CAM before its ReLU, min-max scaling and resizing: the weighted sum alone."""

    def compute_cam_per_layer(
        self, input_tensor: Tensor, targets: list[nn.Module], eigen_smooth: bool
    ) -> list[np.ndarray]:
        activations = self.activations_and_grads.activations[0].cpu().data.numpy()
        gradients = self.activations_and_grads.gradients[0].cpu().data.numpy()
        layer = self.target_layers[0]
        return [self.get_cam_image(input_tensor, layer, targets, activations, gradients, eigen_smooth)]

    def aggregate_multi_layers(self, cam_per_target_layer: list[np.ndarray]) -> np.ndarray:
        return cam_per_target_layer[0]


def lively(name: str, output_stride: int, images: Tensor) -> EeeaNet:
    """A net whose layers all matter: batch norm statistics of the images, mixed features all over h_swish."""
    net = build(NetConfig.model_validate({"name": name, "output_stride": output_stride}), NUM_FINDINGS, seed=5)
    assert isinstance(net, EeeaNet)
    assert isinstance(net.head, PaperHead)
    with torch.no_grad():
        for _ in range(20):
            net(images)
        pooled = one_pass(net, images).features.mean((2, 3))
        net.head.mix.weight.mul_(3 / float(net.head.mix(pooled).std()))
        net.head.classifier.weight.mul_(30)
    return net


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(3, 1, 96, 96, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(("name", "output_stride"), [("eeea-net-c2", 32), ("eeea-net-c2", 16), ("eeea-net-c1", 32)])
def test_the_closed_form_is_grad_cam_for_every_finding(name: str, output_stride: int, images: Tensor) -> None:
    net = lively(name, output_stride, images).eval()
    maps = one_pass(net, images).class_maps.numpy()
    cells = 96 // output_stride
    with UnscaledGradCAM(Logits(net), [net.final]) as unscaled, GradCAM(Logits(net), [net.final]) as published:
        for finding in range(NUM_FINDINGS):
            targets = [ClassifierOutputTarget(finding)] * len(images)
            raw = unscaled(images, targets)
            assert np.abs(raw).max() > 1e-4
            assert np.abs(maps[:, finding] - raw).max() <= 1e-4 * np.abs(raw).max()
            # And what the library gives people: ReLU, min-max scaling, resizing, min-max scaling again.
            scaled = scale_cam_image(scale_cam_image(np.maximum(maps[:, finding], 0), (96, 96)))
            np.testing.assert_allclose(scaled, published(images, targets), atol=2e-4)
    assert maps.shape == (3, NUM_FINDINGS, cells, cells)


def test_mixed_features_of_the_test_net_lie_on_every_part_of_h_swish(images: Tensor) -> None:
    """Or the comparison above would not tell h_swish from a line."""
    net = lively("eeea-net-c2", 32, images)
    assert isinstance(net.head, PaperHead)
    mixed = net.head.mix(one_pass(net, images).features.mean((2, 3)))
    for part in (mixed <= -3, (mixed > -3) & (mixed < 3), mixed >= 3):
        assert part.float().mean() > 0.01


def test_one_pass_leaves_the_net_as_found_and_keeps_no_gradient(images: Tensor) -> None:
    net = build(NetConfig(name="eeea-net-c2-lite-map"), 2)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    output = one_pass(net, images)
    assert all(module.training for module in net.modules())
    assert not output.class_maps.requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_the_closed_form_is_a_graph_for_any_batch() -> None:
    head = PaperHead(12, 20, 5).eval()
    features = torch.randn(3, 12, 4, 4, generator=torch.Generator().manual_seed(0))
    program = torch.onnx.export(
        head,
        (features,),
        input_names=["given"],
        output_names=["logits", "heatmaps", "features"],
        dynamic_shapes={"features": {0: torch.export.Dim("batch")}},
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (1, 2, 3):
        with torch.no_grad():
            expected = head(features[:batch])
        logits, heatmaps = session.run(["logits", "heatmaps"], {"given": features[:batch].numpy()})
        np.testing.assert_allclose(logits, expected.logits.numpy(), atol=1e-6)
        np.testing.assert_allclose(heatmaps, expected.class_maps.numpy(), atol=1e-6)
