"""run or bundle -> concepts.json and pictures: what one finding or device added to a phantom does to the answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr._version import __version__
from pocketcxr.domain.errors import UnknownNameError, UsageError
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.evaluate import wording
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES
from pocketcxr.evaluate.concept_report import ConceptReport, concept_report
from pocketcxr.evaluate.concepts import ConceptPair, Seen, reactions
from pocketcxr.explain.methods import Method
from pocketcxr.imaging.geometry import place_heatmap
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.phantom.counterfactual import Pair, base_requests, device_pair, finding_pair
from pocketcxr.phantom.devices import Device
from pocketcxr.phantom.render import RenderRequest
from pocketcxr.recipes.explain_pictures import Panel, as_png, panel, strip
from pocketcxr.recipes.explaining import Explainer, Maps, maps_wanted, open_explainer
from pocketcxr.recipes.scoring import result_folder
from pocketcxr.runtime.predict import sigmoid
from pocketcxr.train.atomic import write_atomically

SCHEMA_VERSION = 1
STAGE = "checking concepts"
SEED = 90_210
"""No config of this project simulates training data with it."""


@dataclass(frozen=True)
class ConceptOptions:
    """Which pairs of pictures, and how they are explained."""

    num_pairs: int = 40
    """Of each finding and each device: one a patient, the same patients for all."""
    size: int | None = None
    """Side of the pictures in pixels; None: the model's own input."""
    seed: int = SEED
    """Of the patients and of the bootstrap. With the training data's seed the model may know the patients."""
    severity: float = 0.75
    """Of an added finding: the share of cases that are milder."""
    findings: tuple[str, ...] | None = None
    """None: all that the model learnt and phantoms can have."""
    devices: tuple[str, ...] = tuple(device.value for device in Device)
    method: Method = "one-pass"
    num_resamples: int = NUM_RESAMPLES


class ConceptCheck(BaseModel, frozen=True, extra="forbid"):
    """What concepts.json holds."""

    schema_version: int = SCHEMA_VERSION
    notice: str = wording.RESEARCH_ONLY
    pictures_are_simulated: str = wording.SIMULATED
    made_by: str = f"pocketcxr {__version__}"
    source: str
    is_simulated: bool
    """Whether the model was trained on simulated radiographs; one that was not meets a strange kind here."""
    method: str
    size: int
    seed: int
    severity: float
    concepts: ConceptReport


@dataclass(frozen=True, eq=False)
class Concepts:
    """The figures, and where they and the pictures were written."""

    check: ConceptCheck
    pictures: tuple[Path, ...]
    """The first patient's pair of each finding and each device."""
    out: Path


def concepts(source: Path, options: ConceptOptions, out: Path | None = None, progress: Progress = silent) -> Concepts:
    """Concept checks of the run or bundle at `source`, written to `out` (None: beside or in it).

    Raises UsageError where `source` is neither, a bundle cannot be explained by the method, the model never learnt a
    finding, or nothing is left to check; UnknownNameError for a finding or device that does not exist, ConfigError for
    a number of pairs or a size that cannot be drawn.
    """
    explainer = open_explainer(source, options.method)
    findings = _findings(explainer, options.findings)
    devices = tuple(_device(name) for name in options.devices)
    requests = base_requests(options.num_pairs, options.size or explainer.size, options.seed)
    folder = result_folder(source, out, "concepts", "concepts")
    walk = _Walk(explainer, findings, devices, options.severity, folder)
    rng = np.random.default_rng(options.seed)
    report = concept_report(reactions(walk.pairs(requests, progress)), rng, options.num_resamples)
    check = ConceptCheck(
        source=str(source),
        is_simulated=explainer.is_simulated,
        method=options.method,
        size=requests[0].size,
        seed=options.seed,
        severity=options.severity,
        concepts=report,
    )
    write_atomically(folder / "concepts.json", (check.model_dump_json(indent=2) + "\n").encode())
    return Concepts(check, tuple(walk.pictures), folder)


@dataclass(eq=False)
class _Walk:
    """One walk over the patients, and the pictures of the first one that it leaves."""

    explainer: Explainer
    findings: tuple[str, ...]
    devices: tuple[Device, ...]
    severity: float
    folder: Path
    pictures: list[Path] = field(default_factory=list)

    def pairs(self, requests: Sequence[RenderRequest], progress: Progress) -> Iterator[ConceptPair]:
        """Every patient's pairs, findings first."""
        for number, request in enumerate(requests, 1):
            for shown in self._shown(request):
                if number == 1:
                    self.pictures.append(_draw(shown, self.folder))
                yield _placed(shown)
            progress(STAGE, number, len(requests))

    def _shown(self, request: RenderRequest) -> Iterator["_Shown"]:
        """One patient's pairs with the answers to them, all asked for at once."""
        pairs = [
            *(finding_pair(request, finding, self.severity) for finding in self.findings),
            *(device_pair(request, device) for device in self.devices),
        ]
        wanted = [(pair.thing,) if pair.thing in self.findings else self.findings for pair in pairs for _ in range(2)]
        radiographs = [
            _radiograph(request, rendered.pixels) for pair in pairs for rendered in (pair.without, pair.with_thing)
        ]
        images = self.explainer.prepare(radiographs)
        logits = self.explainer.respond(images).logits
        maps = maps_wanted(self.explainer, images, wanted)
        for place, pair in enumerate(pairs):
            both = slice(2 * place, 2 * place + 2)
            answers = [dict(zip(self.explainer.findings, row, strict=True)) for row in logits[both].tolist()]
            yield _Shown(pair, wanted[2 * place], radiographs[both], answers, maps[both])


@dataclass(frozen=True, eq=False)
class _Shown:
    """A pair and what the model says of it; sequences hold two: without, with the thing."""

    pair: Pair
    findings: tuple[str, ...]
    radiographs: Sequence[Radiograph]
    logits: Sequence[dict[str, float]]
    maps: Sequence[dict[str, Maps]]
    """[grid_h, grid_w] by finding."""


def _placed(shown: _Shown) -> ConceptPair:
    height, width = shown.pair.region.shape
    without, with_thing = (
        Seen(logits, {finding: place_heatmap(one, height, width) for finding, one in maps.items()})
        for logits, maps in zip(shown.logits, shown.maps, strict=True)
    )
    return ConceptPair(
        patient_id=str(shown.pair.patient),
        thing=shown.pair.thing,
        findings=shown.findings,
        without=without,
        with_thing=with_thing,
        region=shown.pair.region,
        boxes=shown.pair.boxes,
    )


def _draw(shown: _Shown, folder: Path) -> Path:
    """The file with both pictures and, on one scale, the heatmaps of the finding whose probability moved most."""
    probabilities = [_probabilities(logits) for logits in shown.logits]
    finding = max(shown.findings, key=lambda name: abs(probabilities[1][name] - probabilities[0][name]))
    scale = max(float(np.abs(maps[finding]).max()) for maps in shown.maps) or 1.0
    sign = "±" if min(float(maps[finding].min()) for maps in shown.maps) < 0 else ""
    thing, boxes = wording.spoken(shown.pair.thing).replace("-", " "), shown.pair.boxes
    panels = [
        Panel(panel(radiograph, None, 1.0, boxes), f"{word} {thing}")
        for radiograph, word in zip(shown.radiographs, ("without", "with"), strict=True)
    ]
    for radiograph, maps, told in zip(shown.radiographs, shown.maps, probabilities, strict=True):
        name = f"{wording.spoken(finding)}: probability {told[finding]:.2f}"
        note = f"not calibrated; strongest colour: {sign}{scale:.2g}"
        panels.append(Panel(panel(radiograph, maps[finding], scale, boxes), name, note))
    file = folder / f"{shown.pair.thing}.png"
    write_atomically(file, as_png(strip(f"The same simulated patient without and with {thing}", panels)))
    return file


def _probabilities(logits: dict[str, float]) -> dict[str, float]:
    values = sigmoid(np.array(list(logits.values()), np.float32))
    return dict(zip(logits, values.tolist(), strict=True))


def _radiograph(request: RenderRequest, pixels: NDArray[np.uint8]) -> Radiograph:
    return Radiograph(
        image=pixels,
        path=f"phantom {request.seed}/{request.patient}",
        source_format="png",
        bits_stored=8,
        pixel_spacing_mm=None,
        view_position=request.view,
    )


def _findings(explainer: Explainer, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """The findings to check, in the model's order."""
    if names is None:
        findings = tuple(one for one in explainer.findings if one in explainer.learnt and one in CHESTXRAY14)
    else:
        findings = tuple(dict.fromkeys(explainer.learnt_finding(name) for name in names))
    if not findings:
        raise UsageError(f"the model learnt no finding that phantoms can have; they have {', '.join(CHESTXRAY14)}")
    return findings


def _device(name: str) -> Device:
    for device in Device:
        if device.value == name:
            return device
    raise UnknownNameError.of("device", name, (device.value for device in Device))
