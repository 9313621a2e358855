"""run + method -> the cascading parameter randomisation test of its heatmaps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketcxr.domain.errors import UsageError
from pocketcxr.domain.progress import Progress
from pocketcxr.explain.methods import Method, saliency
from pocketcxr.explain.sanity import RandomisationReport, cascading_randomisation
from pocketcxr.models.build import build
from pocketcxr.models.outputs import Net
from pocketcxr.recipes.explaining import Images
from pocketcxr.recipes.runs import load_run
from pocketcxr.recipes.scoring import is_run

NUM_FRESH = 2
"""Nets with other random weights."""
NUM_IMAGES = 8
"""Explained at every stage for every net."""
STAGE = "randomising weights"


def check_sanity(source: Path) -> None:
    """Nothing, when weights at `source` can be replaced. Raises UsageError for a bundle."""
    if not is_run(source):
        raise UsageError(f"{source} is a bundle, and --sanity replaces weights of a net: name the run it came from")


def randomisation(
    source: Path, methods: Sequence[Method], images: Images, progress: Progress
) -> dict[Method, RandomisationReport]:
    """The test of every method on the run at `source`, on model inputs [b, c, size, size] and all learnt findings."""
    loaded = load_run(source)
    header = loaded.header
    learnt = [place for place, finding in enumerate(header.findings) if finding not in header.unlearnt]
    without_weights = header.net.model_copy(update={"weights": "none"})
    fresh = [build(without_weights, len(header.findings), seed=seed) for seed in range(NUM_FRESH)]
    reports: dict[Method, RandomisationReport] = {}
    for number, method in enumerate(methods, 1):

        def explain(net: Net, inputs: Tensor, method: Method = method) -> NDArray[np.float32]:
            return saliency(net, inputs, learnt, method)

        reports[method] = cascading_randomisation(loaded.net, fresh, explain, torch.from_numpy(images[:NUM_IMAGES]))
        progress(STAGE, number, len(methods))
    return reports
