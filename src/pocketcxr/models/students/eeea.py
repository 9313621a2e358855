"""EEEA-Net-C1 and -C2, OFA-595 and their class-map variants: single-path nets of the MobileNetV3 family.

Source: the rows are those of the network library of the paper's first author; docs/explanation/eeea-net-c2.md.
"""

from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from pocketcxr.domain.errors import ConfigError
from pocketcxr.models.config import Pooling
from pocketcxr.models.heads import ClassMapHead, PaperHead
from pocketcxr.models.outputs import ModelOutput, Net
from pocketcxr.models.students.finer import Finer
from pocketcxr.models.students.mobile_block import Activation, BlockRow, MobileBlock, conv_norm, start_convolutions


@dataclass(frozen=True)
class EeeaTable:
    """A net as a table."""

    stem: int
    rows: tuple[BlockRow, ...]
    final: int
    mixed: int
    head: Literal["paper", "class-map"] = "paper"
    stem_activation: Activation = "h_swish"
    doublings: int = 0
    """How many top-down steps after the last stage, each of which doubles the grid of the maps."""
    width: int = 128
    """Channels of the top-down steps."""


def _rows(*rows: tuple[int, int, int, int, Activation, bool]) -> tuple[BlockRow, ...]:
    return tuple(BlockRow(*row) for row in rows)


# Columns: kernel, stride, mid, out, activation, squeeze-excite.
_C2 = EeeaTable(
    stem=16,
    rows=_rows(
        (3, 1, 16, 16, "relu", False),
        (3, 2, 48, 24, "relu", False),
        (5, 1, 96, 24, "relu", False),
        (3, 1, 72, 24, "relu", False),
        (7, 2, 96, 40, "relu", True),
        (3, 1, 120, 40, "relu", True),
        (7, 1, 120, 40, "relu", True),
        (5, 2, 240, 80, "h_swish", False),
        (7, 1, 480, 80, "h_swish", False),
        (5, 1, 240, 80, "h_swish", False),
        (3, 1, 240, 80, "h_swish", False),
        (7, 1, 480, 112, "h_swish", True),
        (5, 1, 448, 112, "h_swish", True),
        (3, 1, 336, 112, "h_swish", True),
        (3, 1, 336, 112, "h_swish", True),
        (5, 2, 672, 160, "h_swish", True),
        (3, 1, 960, 160, "h_swish", True),
        (5, 1, 960, 160, "h_swish", True),
        (7, 1, 480, 160, "h_swish", True),
    ),
    final=960,
    mixed=1280,
)
_C1 = EeeaTable(
    stem=16,
    rows=_rows(
        (3, 1, 16, 16, "relu", False),
        (3, 2, 48, 24, "relu", False),
        (5, 1, 72, 24, "relu", False),
        (7, 2, 72, 40, "relu", True),
        (5, 1, 120, 40, "relu", True),
        (7, 2, 120, 80, "h_swish", False),
        (7, 1, 320, 80, "h_swish", False),
        (5, 1, 320, 112, "h_swish", True),
        (3, 1, 448, 112, "h_swish", True),
        (7, 2, 672, 160, "h_swish", True),
        (3, 1, 640, 160, "h_swish", True),
        (3, 1, 960, 160, "h_swish", True),
        (7, 1, 480, 160, "h_swish", True),
    ),
    final=960,
    mixed=1280,
)
_OFA_595 = EeeaTable(
    stem=24,
    rows=_rows(
        (3, 1, 24, 24, "relu", False),
        (3, 2, 72, 32, "relu", False),
        (5, 1, 128, 32, "relu", False),
        (3, 1, 96, 32, "relu", False),
        (5, 2, 128, 48, "relu", True),
        (5, 1, 192, 48, "relu", True),
        (3, 1, 288, 48, "relu", True),
        (5, 1, 144, 48, "relu", True),
        (7, 2, 288, 96, "h_swish", False),
        (5, 1, 576, 96, "h_swish", False),
        (3, 1, 288, 96, "h_swish", False),
        (5, 1, 384, 96, "h_swish", False),
        (3, 1, 576, 136, "h_swish", True),
        (5, 1, 816, 136, "h_swish", True),
        (7, 1, 816, 136, "h_swish", True),
        (3, 1, 544, 136, "h_swish", True),
        (3, 2, 816, 192, "h_swish", True),
        (3, 1, 1152, 192, "h_swish", True),
        (5, 1, 1152, 192, "h_swish", True),
        (3, 1, 576, 192, "h_swish", True),
    ),
    final=1152,
    mixed=1536,
)


def _lite(table: EeeaTable) -> EeeaTable:
    """ReLU6 everywhere and no squeeze-excite: made for INT8."""
    rows = tuple(row._replace(activation="relu6", has_squeeze_excite=False) for row in table.rows)
    return replace(table, rows=rows, head="class-map", stem_activation="relu6")


TABLES: dict[str, EeeaTable] = {
    "eeea-net-c2": _C2,
    "eeea-net-c2-map": replace(_C2, head="class-map"),
    "eeea-net-c2-lite-map": _lite(_C2),
    "eeea-net-c2-fine-map": replace(_C2, head="class-map", doublings=1),
    "eeea-net-c2-lite-fine-map": replace(_lite(_C2), doublings=1),
    "eeea-net-c1": _C1,
    "ofa-595": _OFA_595,
}
"""Our own nets by name."""


def at_stride(rows: tuple[BlockRow, ...], output_stride: int) -> tuple[BlockRow, ...]:
    """The rows with strides cut to 1 once the whole has reached `output_stride`.

    Nothing is dilated: block 8 of C2 already sees 251 pixels of a 224 pixel image, so no view is lost.
    """
    reached, kept = 2, []
    for row in rows:
        stride = row.stride if reached * row.stride <= output_stride else 1
        reached *= stride
        kept.append(row._replace(stride=stride))
    return tuple(kept)


@dataclass(frozen=True)
class EeeaShape:
    """What a net is built for."""

    in_channels: int
    num_findings: int
    output_stride: int = 32
    drop_rate: float = 0.0
    pooling: Pooling = "mean"


class EeeaNet(Net):
    """A net of the MobileNetV3 family under the paper's or the class-map head, on its last grid or a finer one."""

    def __init__(self, table: EeeaTable, shape: EeeaShape) -> None:
        super().__init__()
        self.stem = conv_norm((shape.in_channels, table.stem), 3, stride=2, activation=table.stem_activation)
        rows = at_stride(table.rows, shape.output_stride)
        inputs = (table.stem, *(row.out for row in rows[:-1]))
        self.blocks = nn.ModuleList(MobileBlock(channels, row) for channels, row in zip(inputs, rows, strict=True))
        self.final = conv_norm((rows[-1].out, table.final), activation=rows[-1].activation)
        self._strides = _strides_of(rows)
        self._finer_strides = tuple(self._strides[-1] // 2 ** (step + 1) for step in range(table.doublings))
        self._sides = tuple(self._last_block(stride) for stride in self._finer_strides)
        coarse = (table.final, *(table.width for _ in self._sides))
        self.finer = nn.ModuleList(
            Finer(channels, rows[block].out, table.width, rows[-1].activation)
            for channels, block in zip(coarse, self._sides, strict=False)
        )
        start_convolutions(self)
        self.head = _head(table, shape)

    def forward(self, images: Float[Tensor, "b c s s"]) -> ModelOutput:
        """Logits, class maps and the features the head pools: the final 1x1 expansion's or the last top-down step's."""
        features: Tensor = self.stem(images)
        sides: dict[int, Tensor] = {}
        for number, block in enumerate(self.blocks):
            features = block(features)
            if number in self._sides:
                sides[number] = features
        features = self.final(features)
        for number, finer in zip(self._sides, self.finer, strict=True):
            features = finer(features, sides[number])
        output: ModelOutput = self.head(features)
        return output

    def tap(self, stride: int) -> nn.Module:
        """The last module of that stride: a top-down step, the final expansion, or a block. ConfigError for no such."""
        if stride in self._finer_strides:
            return self.finer[self._finer_strides.index(stride)]
        if stride == self._strides[-1]:
            return self.final
        if stride not in self._strides:
            available = ", ".join(str(known) for known in sorted(set(self._strides)))
            raise ConfigError(f"this net has no feature map of stride {stride}; choose one of {available}")
        return self.blocks[self._last_block(stride)]

    def _last_block(self, stride: int) -> int:
        """The number of the last block of that stride, which there must be."""
        return len(self._strides) - 1 - self._strides[::-1].index(stride)


def _head(table: EeeaTable, shape: EeeaShape) -> nn.Module:
    channels = table.width if table.doublings else table.final
    if table.head == "class-map":
        return ClassMapHead(channels, shape.num_findings, shape.drop_rate, shape.pooling)
    return PaperHead(channels, table.mixed, shape.num_findings, shape.drop_rate)


def _strides_of(rows: tuple[BlockRow, ...]) -> tuple[int, ...]:
    """The stride reached after each row; the stem has brought 2."""
    reached, strides = 2, []
    for row in rows:
        reached *= row.stride
        strides.append(reached)
    return tuple(strides)
