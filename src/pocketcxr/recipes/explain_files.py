"""run or bundle + X-ray files -> for each file's top findings, the heatmaps of several methods side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketcxr.domain.errors import ImageRefusedError, UsageError
from pocketcxr.domain.prediction import Prediction, Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.evaluate import wording
from pocketcxr.explain.methods import Method
from pocketcxr.imaging.load import load
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.recipes.explain_pictures import as_png, side_by_side, strip
from pocketcxr.recipes.explaining import Explainer, check_method, maps_wanted, open_explainer
from pocketcxr.runtime.pictures import picture_name
from pocketcxr.runtime.predict import Scored
from pocketcxr.train.atomic import write_atomically

STAGE = "explaining files"


@dataclass(frozen=True)
class FilesOptions:
    """What to show of every file."""

    methods: tuple[Method, ...] = ("one-pass",)
    findings: tuple[str, ...] = ()
    """These; none: the `top` most probable ones of each file."""
    top: int = 3


@dataclass(frozen=True)
class ExplainedFinding:
    """One finding of one file and its picture."""

    finding: str
    logit: float
    probability: float
    is_calibrated: bool
    picture: Path


@dataclass(frozen=True)
class ExplainedFile:
    """One readable file: the findings wanted of it, the most probable first."""

    path: str
    findings: tuple[ExplainedFinding, ...]


@dataclass(frozen=True, eq=False)
class FileResults:
    """One answer for every file, in order."""

    is_simulated: bool
    """Whether the model was trained on simulated radiographs."""
    answers: tuple[ExplainedFile | Refusal, ...]
    out: Path


def explain_files(
    source: Path, files: Sequence[Path], options: FilesOptions, out: Path, progress: Progress = silent
) -> FileResults:
    """What the run or bundle at `source` says of every file, with one picture a finding written into the folder `out`.

    A file that cannot be read is a Refusal and stops no other. Raises UsageError where `source` is neither, a bundle
    cannot be explained by a method, a finding was never learnt or `out` cannot be made, UnknownNameError for a finding
    the model does not have, and what reading run or bundle raises.
    """
    for method in options.methods:
        check_method(source, method)
    explainer = open_explainer(source)
    wanted = tuple(dict.fromkeys(explainer.learnt_finding(name) for name in options.findings))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be made ({error.strerror or error}); choose another folder") from error
    answers: list[ExplainedFile | Refusal] = []
    for number, file in enumerate(files, 1):
        try:
            answers.append(_explain(explainer, load(file), FilesOptions(options.methods, wanted, options.top), out))
        except ImageRefusedError as error:
            answers.append(Refusal(str(file), error.code, str(error)))
        progress(STAGE, number, len(files))
    return FileResults(explainer.is_simulated, tuple(answers), out)


def _explain(explainer: Explainer, radiograph: Radiograph, options: FilesOptions, out: Path) -> ExplainedFile:
    images = explainer.prepare([radiograph])
    answers = explainer.respond(images)
    logits = dict(zip(explainer.findings, answers.logits[0].tolist(), strict=True))
    told = dict(zip(explainer.findings, explainer.probabilities(answers.logits)[0].tolist(), strict=True))
    ranked = sorted(explainer.learnt, key=lambda finding: -told[finding])
    shown = [one for one in ranked if one in options.findings] if options.findings else ranked[: options.top]
    maps = {method: maps_wanted(explainer.by(method), images, [shown])[0] for method in options.methods}
    scored = Scored(Prediction(radiograph.path, ()), radiograph, answers.class_maps[0])
    findings = []
    for finding in shown:
        is_calibrated = finding in explainer.calibrated
        word = "calibrated probability" if is_calibrated else "probability (not calibrated)"
        picture = strip(
            f"{wording.spoken(finding)}: {word} {told[finding]:.2f}", side_by_side(radiograph, maps, finding)
        )
        file = out / picture_name(scored, f"{finding}.explained")
        write_atomically(file, as_png(picture))
        findings.append(ExplainedFinding(finding, logits[finding], told[finding], is_calibrated, file))
    return ExplainedFile(radiograph.path, tuple(findings))
