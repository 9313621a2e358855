"""Finer: a light top-down step that doubles the grid of the last features.

The idea is the feature pyramid's (Lin et al., Feature Pyramid Networks, CVPR 2017): deep features say what, an earlier
block of twice the grid says where. PYLON (Preechakul et al., iScience 2022) is the same thought for chest X-rays.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pocketcxr.models.students.mobile_block import Activation, conv_norm


class Finer(nn.Module):
    """Both inputs brought to `width` channels by 1x1, the coarse one upsampled, added, mixed depthwise and by 1x1."""

    def __init__(self, coarse: int, side: int, width: int, activation: Activation) -> None:
        super().__init__()
        self.coarse = conv_norm((coarse, width))
        self.side = conv_norm((side, width))
        self.mix = nn.Sequential(
            conv_norm((width, width), kernel=3, groups=width, activation=activation),
            conv_norm((width, width), activation=activation),
        )

    def forward(
        self, coarse: Float[Tensor, "b channel h w"], side: Float[Tensor, "b channel2 h2 w2"]
    ) -> Float[Tensor, "b width h2 w2"]:
        """Features on the grid of `side`, an earlier block's output."""
        # Reduced before it is upsampled: a quarter of the work, and the two steps commute.
        raised = functional.interpolate(self.coarse(coarse), size=side.shape[2:], mode="bilinear")
        mixed: Tensor = self.mix(raised + self.side(side))
        return mixed
