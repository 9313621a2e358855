"""What the page explanation.html says: figures, curves, pictures and what limits them."""

import io
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from pocketcxr._version import __version__
from pocketcxr.evaluate import wording
from pocketcxr.evaluate.explanation_content import (
    AgreementRow,
    ExplanationContent,
    GalleryGroup,
    GalleryPanel,
    GalleryRow,
    MethodRow,
    Randomised,
)
from pocketcxr.evaluate.report_content import GalleryItem
from pocketcxr.explain.sanity import MAX_BEYOND_NOISE
from pocketcxr.recipes.explain_gallery import MEANING, RULE, TITLE, Group
from pocketcxr.recipes.explain_pictures import as_jpeg
from pocketcxr.recipes.explain_report import AgreementWith, ExplanationReport, MethodReport
from pocketcxr.recipes.explain_showing import Overlay, Shown
from pocketcxr.runtime.bench import processor_name


def page(
    report: ExplanationReport, overlays: Sequence[Overlay], shown: Mapping[Group, Sequence[Shown]]
) -> ExplanationContent:
    """The page's content."""
    agreement = report.agreement
    return ExplanationContent(
        title=f"Heatmaps of {Path(report.source).name}",
        created=report.created.replace("T", " ").replace("+00:00", " UTC"),
        command=_command(report),
        version=__version__,
        is_simulated=report.is_simulated,
        unseen=report.unseen,
        methods=tuple(_method(one) for one in report.methods),
        groups=tuple(_group(group, some) for group, some in shown.items() if some),
        rule=f"{RULE} A hit is one of {report.methods[0].method}.",
        sample=tuple(
            GalleryItem(_smaller(overlay.file.read_bytes()), overlay.caption, overlay.alt) for overlay in overlays
        ),
        agreement=None if agreement is None else _agreement(agreement),
        made=_made(report),
        notes=_notes(report),
    )


def _agreement(agreement: AgreementWith) -> AgreementRow:
    which = "whose finding is present" if agreement.is_of_present else "of the split"
    return AgreementRow(Path(agreement.against).name, which, agreement.report)


def _method(one: MethodReport) -> MethodRow:
    test = one.randomisation
    return MethodRow(
        name=one.method,
        localisation=one.localisation,
        one_ms=one.cost.one_finding,
        all_ms=one.cost.all_findings,
        faithfulness=one.faithfulness,
        randomised=None
        if test is None
        else Randomised(
            stages=tuple((stage.num_random, stage.beyond_noise) for stage in test.stages),
            most=MAX_BEYOND_NOISE,
            is_passed=test.is_passed,
        ),
    )


def _group(group: Group, shown: Sequence[Shown]) -> GalleryGroup:
    return GalleryGroup(TITLE[group], MEANING[group], tuple(_row(one) for one in shown))


def _row(shown: Shown) -> GalleryRow:
    seen = shown.seen
    name = wording.spoken(seen.finding)
    truth = "absent" if seen.group == "confident-wrong" else "present"
    return GalleryRow(
        caption=f"{name}, {truth}; probability {seen.probability:.2f}. {seen.image_id}",
        panels=tuple(
            GalleryPanel(
                as_jpeg(one.picture),
                one.name,
                one.note,
                "The chest X-ray" if one.name == "radiograph" else f"The same under the {one.name} heatmap for {name}",
            )
            for one in shown.panels
        ),
    )


def _made(report: ExplanationReport) -> tuple[tuple[str, str], ...]:
    which = "all images" if report.split is None else f"split {report.split.value}"
    some = "" if report.num_images == report.num_marked else f" of {report.num_marked:,}, drawn at random"
    return (
        ("Images", f"{Path(report.manifest).name}, {which}: {report.num_images:,} marked images{some}"),
        *((("Masks", Path(report.regions).name),) if report.regions is not None else ()),
        ("Milliseconds", f"median for one image, without reading it; {report.engine}; {processor_name()}"),
        ("Seed", f"{report.seed}, of the bootstrap and of every draw of images"),
        ("Figures", "localisation.json beside this page holds them all"),
    )


def _notes(report: ExplanationReport) -> tuple[str, ...]:
    notes = []
    if report.unlearnt:
        notes.append(f"Never learnt, therefore without figures: {', '.join(map(wording.spoken, report.unlearnt))}.")
    if report.refused:
        count = len(report.refused)
        notes.append(
            f"Left out because {'it' if count == 1 else 'they'} could not be read: {count} "
            f"{'file' if count == 1 else 'files'}; localisation.json says which and why."
        )
    return tuple(notes)


def _command(report: ExplanationReport) -> str:
    parts = ["pocketcxr", "explain", report.source, "--manifest", report.manifest]
    parts += [] if report.split is None else ["--split", report.split.value]
    parts += [part for one in report.methods for part in ("--method", one.method)]
    parts += [] if report.num_images == report.num_marked else ["--images", str(report.num_images)]
    faithfulness = report.methods[0].faithfulness
    parts += [] if faithfulness is None else ["--faithfulness", str(faithfulness.num_images)]
    parts += [] if report.methods[0].randomisation is None else ["--sanity"]
    parts += [] if report.regions is None else ["--regions", report.regions]
    parts += [] if report.agreement is None else ["--against", report.agreement.against]
    return shlex.join([*parts, "--seed", str(report.seed)])


def _smaller(png: bytes) -> bytes:
    with Image.open(io.BytesIO(png)) as picture:
        return as_jpeg(picture.convert("RGB"))
