"""The gate's net is small and tells kinds apart by where things lie."""

import torch

from pocketcxr.models.gate_net import GateNet


def test_it_is_tiny_and_knows_up_from_down() -> None:
    net = GateNet(6).eval()
    assert sum(weights.numel() for weights in net.parameters()) < 50_000
    images = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, turned = net(images), net(images.flip(2))
    assert logits.shape == (2, 6)
    assert (logits - turned).abs().max() > 1e-4
