"""Everything in a bundle but its card: the two graphs, checked against torch and Pillow, and the golden vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pocketcxr.domain.progress import Progress, silent
from pocketcxr.export.golden import golden_files, golden_images
from pocketcxr.export.onnx import net_model, preprocess_model
from pocketcxr.export.parity import MODEL_TOLERANCE, check_net, check_preprocess, torch_answers
from pocketcxr.imaging.preprocess import PreprocessSpec, normalise, square
from pocketcxr.models.outputs import Net
from pocketcxr.runtime.card import MODEL, PREPROCESS, Build, Builds, NetFacts


@dataclass(frozen=True, eq=False)
class BuiltFiles:
    """A bundle's files and what its card says of them."""

    files: dict[str, bytes]
    net: NetFacts
    builds: Builds
    deviation: float
    """Largest of onnxruntime from torch, relative to max(1, largest torch value)."""


@dataclass(frozen=True, eq=False)
class NetToExport:
    """A net with what it takes and what it answers."""

    name: str
    net: Net
    spec: PreprocessSpec
    findings: Sequence[str]
    num_macs: int | None = None


def build_files(source: NetToExport, progress: Progress = silent) -> BuiltFiles:
    """The files of a float32 bundle. Raises ParityError when a graph does not do what torch or Pillow does."""
    net, spec = source.net, source.spec
    images = list(golden_images(spec).values())
    pixels = np.stack([square(image, spec) for image in images])
    progress("export", 0, 3)
    preprocess = preprocess_model(spec)
    check_preprocess(preprocess, spec, images)
    progress("export", 1, 3)
    model = net_model(net, spec, source.findings)
    progress("export", 2, 3)
    deviation = check_net(net, model, pixels, spec)
    logits, class_maps = torch_answers(net, normalise(pixels, spec)[:, None])
    is_map_mean = np.allclose(class_maps.mean(axis=(2, 3)), logits, rtol=MODEL_TOLERANCE, atol=MODEL_TOLERANCE)
    files = {
        PREPROCESS: preprocess.SerializeToString(deterministic=True),
        MODEL: model.SerializeToString(deterministic=True),
        **golden_files(net, spec),
    }
    progress("export", 3, 3)
    facts = NetFacts(
        name=source.name,
        head="class-map" if is_map_mean else "paper",
        num_parameters=sum(parameter.numel() for parameter in net.parameters()),
        num_macs=source.num_macs,
        heatmap_height=class_maps.shape[2],
        heatmap_width=class_maps.shape[3],
    )
    return BuiltFiles(files, facts, Builds(fp32=Build(file=MODEL, tolerance=MODEL_TOLERANCE)), deviation)
