"""run or bundle + manifest -> localisation.json, explanation.html and overlays: what are the heatmaps worth?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pocketcxr.domain.errors import EmptyCohortError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import Split
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES
from pocketcxr.evaluate.explanation_report import write_explanation
from pocketcxr.evaluate.localisation import LocalisationReport
from pocketcxr.explain.methods import Method
from pocketcxr.manifest.schema import Manifest, read_manifest, select
from pocketcxr.recipes.agreement import AgreementOptions, MapSource, agreement
from pocketcxr.recipes.explain_cohort import Cohort, open_cohort, read_batches, sample_marked
from pocketcxr.recipes.explain_measures import Bench, Hits, cost, faithfulness, measure_localisation
from pocketcxr.recipes.explain_page import page
from pocketcxr.recipes.explain_report import AgreementWith, ExplanationReport, MethodReport
from pocketcxr.recipes.explain_sanity import check_sanity, randomisation
from pocketcxr.recipes.explain_showing import Overlay, draw_overlays, gallery, spread
from pocketcxr.recipes.explain_unseen import Lineage, lineage, refuse_seen, without_seen
from pocketcxr.recipes.explaining import Explainer, Images, check_method, open_explainer
from pocketcxr.recipes.scoring import result_folder
from pocketcxr.train.atomic import write_atomically

FIGURES, PAGE, AGREEMENT = "localisation.json", "explanation.html", "agreement.json"


@dataclass(frozen=True)
class ExplainOptions:
    """On which images, by which methods, and what beside localisation."""

    manifest: Path
    split: Split | None = Split.TEST
    """None takes all images."""
    num_overlays: int = 28
    """The first marked images of each finding in turn, in the manifest's order: chosen before anything is scored."""
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0
    """Of the bootstrap and of every choice of images."""
    methods: tuple[Method, ...] = ("one-pass",)
    num_images: int | None = None
    """At most so many marked images, drawn at random; None takes all. Thresholds come from as many."""
    num_gallery: int = 0
    """Pictures of hits, of misses and of confident errors: so many each."""
    num_faithfulness: int = 0
    """Images whose faithfulness is measured."""
    is_randomised: bool = False
    """Whether the parameter-randomisation test is run."""
    regions: Path | None = None
    """A file of masks beside the manifest's boxes."""
    against: Path | None = None
    """Another run or bundle, whose heatmaps these are compared with."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """The figures and the pictures, and where both were written."""

    full_report: ExplanationReport
    overlays: tuple[Overlay, ...]
    out: Path

    @property
    def report(self) -> LocalisationReport:
        """The first method's figures of localisation."""
        return self.full_report.methods[0].localisation


@dataclass(frozen=True, eq=False)
class _Job:
    """What is explained, ready to start."""

    source: Path
    options: ExplainOptions
    manifest: Manifest
    explainer: Explainer
    everything: Cohort
    """All images of the split, with all marks."""
    bench: Bench
    unseen: str


def explain(source: Path, options: ExplainOptions, out: Path | None = None, progress: Progress = silent) -> Explanation:
    """How well the heatmaps of the run or bundle at `source` hit the true regions, with pictures, written to `out`.

    `out` None writes into the run's explanation/, or beside a bundle into NAME.explanation. Raises UsageError where
    `source` is neither or cannot be explained so, EmptyCohortError where no image of the split is marked with a finding
    the model learnt, ManifestError where the model was trained on a patient to be scored, and what reading run, bundle
    and manifest raise.
    """
    job = _prepare(source, options)
    folder = result_folder(source, out, inside="explanation", beside="explanation")
    explainers = [job.explainer.by(method) for method in options.methods]
    methods, hits = _measure(job, explainers, _some_images(job), progress)
    overlays = draw_overlays(job.everything, job.explainer, spread(job.everything, options.num_overlays), folder)
    shown = gallery(job.everything, explainers, hits, options.num_gallery, progress)
    report = ExplanationReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=str(source),
        manifest=str(options.manifest),
        split=options.split,
        regions=None if options.regions is None else str(options.regions),
        is_simulated=job.manifest.header.is_simulated or job.explainer.is_simulated,
        seed=options.seed,
        num_marked=len(job.everything.marks),
        num_images=len(job.bench.scored.marks),
        unseen=job.unseen,
        engine=job.explainer.engine,
        unlearnt=tuple(sorted(set(job.manifest.regions["finding"]) - job.explainer.learnt)),
        refused=tuple(job.everything.refused.values()),
        methods=methods,
        agreement=_agreement(job, folder, progress),
    )
    write_atomically(folder / FIGURES, (report.model_dump_json(indent=2) + "\n").encode())
    write_explanation(page(report, overlays, shown), folder / PAGE)
    return Explanation(report, overlays, folder)


def _prepare(source: Path, options: ExplainOptions) -> _Job:
    """Everything that can be refused before the long work starts."""
    for method in options.methods:
        check_method(source, method)
    if options.is_randomised:
        check_sanity(source)
    explainer = open_explainer(source)
    whole = read_manifest(options.manifest)
    manifest = select(whole, options.split)
    everything = open_cohort(manifest, explainer.learnt, options.regions)
    if not everything.marks:
        raise EmptyCohortError(
            f"no image of {options.manifest} (split {options.split or 'any'}) has a region of a finding the model "
            "learnt; choose another split, a data set with regions, or give --regions"
        )
    of = lineage(source)
    unseen = refuse_seen(select_marked(everything), of, str(options.manifest))
    bench = Bench(
        scored=sample_marked(everything, options.num_images, np.random.default_rng(options.seed)),
        validation=_validation(whole, explainer, options, of),
        num_faithfulness=options.num_faithfulness,
        num_resamples=options.num_resamples,
        seed=options.seed,
    )
    return _Job(source, options, manifest, explainer, everything, bench, unseen)


def _agreement(job: _Job, folder: Path, progress: Progress) -> AgreementWith | None:
    options = job.options
    if options.against is None:
        return None
    chosen = AgreementOptions(options.manifest, options.split, options.num_resamples, options.seed)
    check = agreement(MapSource(job.source), MapSource(options.against), chosen, folder / AGREEMENT, progress)
    return AgreementWith(
        against=str(options.against),
        is_of_present=check.present is not None,
        report=check.all_images if check.present is None else check.present,
    )


def select_marked(cohort: Cohort) -> Manifest:
    """The manifest of the marked images alone: what is going to be scored."""
    table = cohort.marked.reset_index(drop=True)
    regions = cohort.manifest.regions
    return replace(cohort.manifest, table=table, regions=regions[regions["image_id"].isin(table["image_id"])])


def _validation(whole: Manifest, explainer: Explainer, options: ExplainOptions, of: Lineage) -> Cohort | None:
    """Marked validation images of patients the model never saw; None where there is none, or they are scored."""
    if options.split in {None, Split.VALIDATION} or not (whole.table["split"] == Split.VALIDATION.value).any():
        return None
    unseen = without_seen(select(whole, Split.VALIDATION), of)
    if unseen.table.empty:
        return None
    cohort = sample_marked(
        open_cohort(unseen, explainer.learnt), options.num_images, np.random.default_rng(options.seed)
    )
    return cohort if cohort.marks else None


def _some_images(job: _Job) -> Images:
    """Model inputs of the first readable batch. Raises EmptyCohortError where no marked image can be read."""
    cohort = job.bench.scored
    for _, radiographs in read_batches(cohort, cohort.marked, silent, ""):
        return job.explainer.prepare(radiographs)
    first = next(iter(cohort.refused.values()), "")
    raise EmptyCohortError(f"none of {len(cohort.marks)} marked images can be read (first: {first})")


def _measure(
    job: _Job, explainers: Sequence[Explainer], images: Images, progress: Progress
) -> tuple[tuple[MethodReport, ...], Hits]:
    """Every method's report, and what the first one hit."""
    tests = randomisation(job.source, job.options.methods, images, progress) if job.options.is_randomised else {}
    reports: list[MethodReport] = []
    first_hits: Hits = {}
    for explainer in explainers:
        localisation, hits = measure_localisation(job.bench, explainer, progress)
        reports.append(
            MethodReport(
                method=explainer.method,
                cost=cost(explainer, images),
                localisation=localisation,
                faithfulness=faithfulness(job.bench, explainer, progress),
                randomisation=tests.get(explainer.method),
            )
        )
        first_hits = first_hits or hits
    return tuple(reports), first_hits
