"""What the quickstart's page says: the three models, what distillation brought, where the heatmaps point."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pocketcxr.evaluate.differences import DifferenceReport
from pocketcxr.evaluate.report_content import Comparison, GalleryItem, LocalisationRow, ModelRow, ReportContent
from pocketcxr.recipes.evaluate import EvaluationResult, model_row
from pocketcxr.recipes.explain import Explanation
from pocketcxr.recipes.export_page import builds_page, headline
from pocketcxr.recipes.quickstart_config import QuickstartConfig
from pocketcxr.runtime.card_gate import ExportGate

NAMES = {"teacher": "Teacher", "alone": "Student alone", "distilled": "Distilled student"}


@dataclass(frozen=True, eq=False)
class QuickstartFacts:
    """What the page is made of; `evaluations` and `explained` by model, `differences` distilled minus that model."""

    config: QuickstartConfig
    version: str
    created: datetime
    evaluations: Mapping[str, EvaluationResult]
    differences: Mapping[str, DifferenceReport]
    explained: Mapping[str, Explanation]
    bundle: Path
    builds: ExportGate | None
    sample: Path


def report_content(facts: QuickstartFacts) -> ReportContent:
    """The page's content."""
    return ReportContent(
        title="pocketcxr quickstart",
        created=f"{facts.created:%Y-%m-%d %H:%M} UTC",
        command="make quickstart",
        seed=facts.config.seed,
        version=facts.version,
        is_simulated=True,
        models=_models(facts),
        comparisons=tuple(
            Comparison(NAMES["distilled"], NAMES[other], difference) for other, difference in facts.differences.items()
        ),
        localisation=tuple(
            LocalisationRow(NAMES[name], explanation.report) for name, explanation in facts.explained.items()
        ),
        gallery=tuple(
            GalleryItem(overlay.file.read_bytes(), overlay.caption, overlay.alt)
            for overlay in facts.explained["distilled"].overlays
        ),
        made=_made(facts),
        notes=(
            "Training and validation labels carry simulated label noise; the test is on the clean truth.",
            "The student alone saw the labelled patients only; the distilled student also saw the others' images, "
            "through the teacher's answers. docs/results/README.md has more seeds, and one alone with all labels.",
        ),
        predict_command=f"pocketcxr predict {facts.bundle} {facts.sample} --heatmaps heatmaps/",
    )


def _models(facts: QuickstartFacts) -> tuple[ModelRow, ...]:
    results = facts.evaluations
    return (
        model_row(results["teacher"], NAMES["teacher"], "teacher"),
        model_row(results["alone"], NAMES["alone"], "alone"),
        model_row(results["distilled"], NAMES["distilled"], "distilled"),
    )


def _made(facts: QuickstartFacts) -> tuple[tuple[str, str], ...]:
    config = facts.config
    share = f"{config.labelled_fraction:.0%}"
    return (
        ("Images", f"{config.num_images:,} simulated radiographs of {config.size} x {config.size} pixels"),
        ("Labels", f"seen for {share} of the training patients, label noise {config.label_noise:g}"),
        ("Teacher", f"EfficientNet-Lite0 from ImageNet weights, {config.teacher_steps} steps"),
        ("Students", f"EEEA-Net-C2 with class maps at stride 16, {config.student_steps} steps each, the same seed"),
        ("Distillation", "the teacher's probabilities and stride-16 features on all training images, no labels"),
        ("Bundle", _bundle(facts)),
        ("Milliseconds", f"median for one image, {facts.evaluations['distilled'].report.engine}; {platform.machine()}"),
    )


def _bundle(facts: QuickstartFacts) -> str:
    """Which build it ships and where the others are shown."""
    if facts.builds is None:
        return f"{facts.bundle.name}, float32"
    return f"{facts.bundle.name}. {headline(facts.builds)} {builds_page(facts.bundle).name} shows what each build keeps"
