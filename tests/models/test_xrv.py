"""torchxrayvision's nets through a stand-in of the same shape: the package and its weights are not needed."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pocketcxr.domain.errors import ConfigError, MissingExtraError
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import evaluating
from pocketcxr.models.xrv import XrvNet

NAMES = ("Lung Lesion", *reversed(CHESTXRAY14), "Fracture")


class StandIn(nn.Module):
    """The parts of torchxrayvision.models.DenseNet that are read."""

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.weights = weights
        self.pathologies = [*NAMES, ""]
        self.features = nn.Sequential()
        self.features.add_module("denseblock3", nn.Conv2d(1, 6, 3, stride=16, padding=1))
        self.features.add_module("norm5", nn.BatchNorm2d(6))
        self.classifier = nn.Linear(6, len(self.pathologies))


def published(model: StandIn, images: Tensor) -> Tensor:
    """What the package computes: features, ReLU, pooling, linear, on -1024..1024."""
    pooled: Tensor = functional.relu(model.features(images * 1024)).mean((2, 3))
    logits: Tensor = model.classifier(pooled)
    return logits


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    made: list[StandIn] = []

    def dense_net(weights: str) -> StandIn:
        made.append(StandIn(weights))
        return made[-1]

    module = ModuleType("torchxrayvision")
    vars(module)["models"] = SimpleNamespace(DenseNet=dense_net)
    monkeypatch.setitem(sys.modules, "torchxrayvision", module)
    return made


@pytest.mark.parametrize("num_findings", [14, 16])
def test_findings_are_chosen_by_name(num_findings: int, package: list[StandIn]) -> None:
    net = build(NetConfig(name="xrv:densenet121-res224-all"), num_findings)
    assert isinstance(net, XrvNet)
    assert net.findings == (CHESTXRAY14 if num_findings == 14 else ("Lung_Lesion", *NAMES[1:]))
    assert package[0].weights == "densenet121-res224-all"
    images = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with evaluating(net), evaluating(package[0]), torch.no_grad():
        output, expected = net(images), published(package[0], images)
    names = [name.replace(" ", "_") for name in package[0].pathologies]
    columns = [names.index(name) for name in net.findings]
    torch.testing.assert_close(output.logits, expected[:, columns], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(output.class_maps.mean((2, 3)), output.logits, rtol=0, atol=0)
    assert net.tap(16) is package[0].features.denseblock3


def test_what_it_cannot_do_is_refused(package: list[StandIn]) -> None:
    name = "xrv:densenet121-res224-all"
    for config, findings in (
        (NetConfig(name=name), 5),
        (NetConfig(name=name, output_stride=16), 14),
        (NetConfig(name=name, pooling="attention"), 14),
        (NetConfig(name="xrv:resnet50-res512-all"), 14),
    ):
        with pytest.raises(ConfigError, match="xrv:"):
            build(config, findings)
    with pytest.raises(ConfigError, match="no feature map of stride 2"):
        build(NetConfig(name=name), 14).tap(2)


def test_without_the_package_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchxrayvision", None)
    with pytest.raises(MissingExtraError, match="torchxrayvision"):
        build(NetConfig(name="xrv:densenet121-res224-all"), 14, kind="teacher")
