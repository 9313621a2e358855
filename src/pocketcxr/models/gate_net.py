"""The input gate's net: 64 x 64 pixels -> what kind of picture it is. Small enough to run before every prediction."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

WIDTHS = (12, 24, 40, 56)
"""Channels after each halving: 32 x 32, 16 x 16, 8 x 8 and 4 x 4. Plain convolutions: at this size depthwise ones learn
more slowly and answer no faster."""
_LAST_GRID = 4 * 4


class GateNet(nn.Module):
    """Four convolutions, then one linear layer over all places: where things lie tells up from down."""

    def __init__(self, num_kinds: int, dropout: float = 0.2) -> None:
        super().__init__()
        layers = [_halving(before, after, 3) for before, after in pairwise(WIDTHS)]
        self.features = nn.Sequential(_halving(1, WIDTHS[0], 5), *layers)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(WIDTHS[-1] * _LAST_GRID, num_kinds))

    def forward(self, images: Float[Tensor, "b 1 64 64"]) -> Float[Tensor, "b kind"]:
        """Logits of the kinds of picture."""
        logits: Tensor = self.head(self.features(images))
        return logits


def _halving(before: int, after: int, side: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, side, 2, side // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU())
