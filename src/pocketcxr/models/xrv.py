"""torchxrayvision's published chest X-ray classifiers as teachers: xrv:densenet121-res224-all and its kin.

Source: Cohen et al., TorchXRayVision, arXiv 2111.00595. Its input is scaled to -1024..1024 and its outputs have
names, so the findings are chosen by name.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pocketcxr.domain.errors import ConfigError
from pocketcxr.domain.extras import require
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.models.config import NetConfig
from pocketcxr.models.heads import ClassMapHead
from pocketcxr.models.outputs import ModelOutput, Net

PREFIX = "xrv:"
_DENSENET = f"{PREFIX}densenet121-res224-"
_INPUT_SCALE = 1024.0


class XrvNet(Net):
    """A torchxrayvision DenseNet whose classifier is read as class maps, one a finding."""

    def __init__(self, model: Any, findings: tuple[str, ...]) -> None:
        super().__init__()
        self.findings = findings
        self.trunk: nn.Module = model.features
        rows = [[_spelt(name) for name in model.pathologies].index(finding) for finding in findings]
        self.head = ClassMapHead(model.classifier.in_features, len(findings))
        weight, bias = model.classifier.weight.detach()[rows], model.classifier.bias.detach()[rows]
        self.head.maps.load_state_dict({"weight": weight[:, :, None, None], "bias": bias})

    def forward(self, images: Float[Tensor, "b 1 s s"]) -> ModelOutput:
        """Logits (uncalibrated), class maps and features of images normalised with mean 0.5 and std 0.5 (-1..1)."""
        features = functional.relu(self.trunk(images * _INPUT_SCALE))
        output: ModelOutput = self.head(features)
        return output

    def tap(self, stride: int) -> nn.Module:
        """The last dense block of stride 4, 8, 16, or the last norm of 32 (before its ReLU). ConfigError otherwise."""
        modules = {4: "denseblock1", 8: "denseblock2", 16: "denseblock3", 32: "norm5"}
        if stride not in modules:
            raise ConfigError(
                f"a torchxrayvision DenseNet has no feature map of stride {stride}; choose 4, 8, 16 or 32"
            )
        return self.trunk.get_submodule(modules[stride])


def build_xrv(config: NetConfig, num_findings: int, in_channels: int) -> XrvNet:
    """The published net named after "xrv:". 14 findings are those of ChestX-ray14 in their order; else all it names.

    Its "Lung Lesion" is our "Lung_Lesion": names are spelt as everywhere here.

    Raises MissingExtraError without torchxrayvision, ConfigError for another number of findings or channels.
    """
    if not config.name.startswith(_DENSENET):
        raise ConfigError(f"net.name: {config.name}: of torchxrayvision only {_DENSENET}<source> is read; e.g. ...all")
    if (config.output_stride, in_channels, config.weights, config.pooling) != (32, 1, "none", "mean"):
        raise ConfigError(
            f"net: {config.name} brings its weights, takes one channel, has output_stride 32 and pools by the mean"
        )
    package = require("torchxrayvision", "xrv", f"The teacher {config.name}")
    model = package.models.DenseNet(weights=config.name.removeprefix(PREFIX))
    named = tuple(_spelt(name) for name in model.pathologies if name)
    findings = CHESTXRAY14 if num_findings == len(CHESTXRAY14) else named
    missing = [finding for finding in findings if finding not in named]
    if missing or len(findings) != num_findings:
        raise ConfigError(f"net.name: {config.name} names {', '.join(named)}; {num_findings} findings cannot be chosen")
    return XrvNet(model, findings)


def _spelt(name: str) -> str:
    return name.replace(" ", "_")
