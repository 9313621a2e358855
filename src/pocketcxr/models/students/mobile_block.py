"""The mobile inverted bottleneck of MobileNetV3 and Once-for-All, and how its convolutions start."""

from typing import Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

Activation = Literal["relu", "relu6", "h_swish"]


class BlockRow(NamedTuple):
    """One row of a net's table; the input channels are the row before's output."""

    kernel: int
    stride: int
    mid: int
    out: int
    activation: Activation
    has_squeeze_excite: bool


def activation_layer(name: Activation) -> nn.Module:
    """A new layer of that activation."""
    match name:
        case "relu":
            return nn.ReLU()
        case "relu6":
            return nn.ReLU6()
        case "h_swish":
            return nn.Hardswish()


def squeezed_channels(mid: int) -> int:
    """A quarter of `mid`, rounded to a multiple of 8 and never below 90 % of it."""
    quarter = mid // 4
    rounded = max(8, (quarter + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * quarter else rounded + 8


class SqueezeExcite(nn.Module):
    """Scales channels by a hard sigmoid of what a two-layer net says of their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = squeezed_channels(channels)
        self.reduce = nn.Conv2d(channels, reduced, kernel_size=1)
        self.expand = nn.Conv2d(reduced, channels, kernel_size=1)
        self.relu = nn.ReLU()
        self.gate = nn.Hardsigmoid()

    def forward(self, features: Float[Tensor, "b channel h w"]) -> Float[Tensor, "b channel h w"]:
        """The features, each channel scaled by its gate in 0..1."""
        means = features.mean(dim=(2, 3), keepdim=True)
        gates: Tensor = self.gate(self.expand(self.relu(self.reduce(means))))
        return features * gates


def conv_norm(
    channels: tuple[int, int], kernel: int = 1, stride: int = 1, groups: int = 1, activation: Activation | None = None
) -> nn.Sequential:
    """Convolution (in, out) without bias, BatchNorm, and the activation unless None."""
    conv = nn.Conv2d(*channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    layers: list[nn.Module] = [conv, nn.BatchNorm2d(channels[1])]
    return nn.Sequential(*layers, activation_layer(activation)) if activation else nn.Sequential(*layers)


class MobileBlock(nn.Module):
    """1x1 expand, depthwise, squeeze-excite if given, 1x1 project; identity added where the shapes agree."""

    def __init__(self, channels: int, row: BlockRow) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if row.mid != channels:
            layers.append(conv_norm((channels, row.mid), activation=row.activation))
        layers.append(conv_norm((row.mid, row.mid), row.kernel, row.stride, row.mid, row.activation))
        if row.has_squeeze_excite:
            layers.append(SqueezeExcite(row.mid))
        layers.append(conv_norm((row.mid, row.out)))
        self.layers = nn.Sequential(*layers)
        self.is_residual = row.stride == 1 and channels == row.out

    def forward(self, features: Float[Tensor, "b channel h w"]) -> Float[Tensor, "b out h2 w2"]:
        """The block's answer."""
        changed: Tensor = self.layers(features)
        return features + changed if self.is_residual else changed


def start_convolutions(net: nn.Module) -> None:
    """Kaiming fan-out start that divides the fan by the groups.

    `kaiming_normal_(mode="fan_out")` ignores groups: depthwise weights would start sqrt(channels) times too small.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1] / module.groups
            nn.init.normal_(module.weight, std=(2.0 / fan_out) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
