"""The part of a card that says which builds were tried, what each costs and keeps, and why one of them is shipped."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field

from pocketcxr.runtime.card_calibration import Interval

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: dict[str, Precision] = {name: name for name in get_args(Precision)}
"""By name, in falling exactness."""

Share = Annotated[float, Field(ge=0, le=1)]


class GateLimits(BaseModel, frozen=True, extra="forbid"):
    """What a build must keep of the float32 one."""

    auroc_loss: float = 0.005
    """Largest loss of mean AUROC, by its value on the gate's images."""
    heatmap_agreement: float = 0.95
    """Least mean rank correlation of the heatmaps."""
    probability_change: float = 0.1
    """Largest change of any probability."""


class BuildLatency(BaseModel, frozen=True, extra="forbid"):
    """One image at a time, all heatmaps included, the model alone; milliseconds."""

    threads: int
    p50_ms: float
    p95_ms: float


class FineTuning(BaseModel, frozen=True, extra="forbid"):
    """How the weights of a build were trained after the run had ended, so that they stand rounding better."""

    method: Literal["qat"]
    """"qat": quantisation-aware training, in which the net rounds as its INT8 build does."""
    steps: int
    batch_size: int
    """Training images a step."""
    teacher: str | None
    """Name of the run's teacher that taught beside the float32 net; None: that net alone."""


class BuildMeasurement(BaseModel, frozen=True, extra="forbid"):
    """One build against the float32 one on the same images. The float32 build's own row agrees with itself."""

    precision: Precision
    num_float_layers: int
    """Convolutions and matrix products that an INT8 build computes in float; all of them elsewhere."""
    num_layers: int
    failures: tuple[str, ...]
    """Why it may not be shipped, in words; empty where it passes."""
    file_bytes: int
    latencies: tuple[BuildLatency, ...]
    compute_ms: float
    """Median processor time of one answer at one thread: the latency of an idle machine, which decides what is shipped.
    A p50 far above it says that the machine was busy."""
    memory_mb: float | None
    """What loading and running it adds to a process' peak memory, MiB; None where the system does not say."""
    auroc_difference: Interval | None
    """Mean AUROC minus float32's, with its paired patient-bootstrap interval; None where no finding has a figure."""
    largest_probability_change: float
    flipped_decisions: Share | None
    """Share of the decisions at all operating points that turn; None without operating points."""
    heatmap_agreement: Interval | None
    """Mean over findings of the rank correlation of heatmaps, image by image; None where every heatmap is constant."""
    heatmap_iou: Interval | None
    """The same of the hottest quarter's intersection over union."""
    ece: float | None
    """Mean expected calibration error over the calibrated findings, by float32's calibration."""
    opset: int
    operators: dict[str, int]
    """How many nodes of each ONNX operator."""
    fine_tuning: FineTuning | None = None
    """None: the weights are the run's own."""

    @property
    def passes(self) -> bool:
        """Whether it may be shipped."""
        return not self.failures


class ExportGate(BaseModel, frozen=True, extra="forbid"):
    """Every build that was tried, in order of precision. The times are those of one machine at one moment."""

    cohort: str
    """The images it was judged on, in words."""
    num_images: int
    num_patients: int
    num_calibration_images: int
    """Training images that INT8's ranges come from; none of them was judged on."""
    processor: str
    num_processors: int
    engine: str
    limits: GateLimits
    builds: tuple[BuildMeasurement, ...]
    shipped: int
    """Place among `builds`: the fastest that passes, by compute_ms."""
