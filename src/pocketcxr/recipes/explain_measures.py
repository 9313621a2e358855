"""What one method's heatmaps are worth on a cohort: localisation, faithfulness, milliseconds."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pocketcxr.domain.progress import Progress, silent
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES
from pocketcxr.evaluate.faithfulness import FaithfulnessTask, measure_faithfulness
from pocketcxr.evaluate.faithfulness_pairs import FaithfulnessSample, mean_heatmaps
from pocketcxr.evaluate.faithfulness_report import FaithfulnessReport, report_faithfulness
from pocketcxr.evaluate.heatmaps import LocalisationSample, pointing_game
from pocketcxr.evaluate.localisation import LocalisationReport, localise
from pocketcxr.evaluate.localisation_thresholds import choose_thresholds
from pocketcxr.recipes.explain_cohort import Cohort, localisation_samples, read_batches, sample_marked
from pocketcxr.recipes.explain_report import Cost
from pocketcxr.recipes.explaining import Explainer, Images, maps_wanted

NUM_TIMED = 7
LONG_MS = 1000.0
"""What takes as long is timed once."""


@dataclass(frozen=True, eq=False)
class Bench:
    """The images all methods are judged on."""

    scored: Cohort
    validation: Cohort | None
    """Where thresholds and mean heatmaps come from; None where there is no marked image for it."""
    num_faithfulness: int
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0


Hits = dict[tuple[str, str], bool]
"""Whether the hottest point lay in the region, by image and finding."""


def measure_localisation(bench: Bench, explainer: Explainer, progress: Progress) -> tuple[LocalisationReport, Hits]:
    """The figures, and what became of each pair of image and finding."""
    thresholds = None
    if bench.validation is not None:
        stage = f"{explainer.method}: thresholds"
        thresholds = choose_thresholds(localisation_samples(bench.validation, explainer, progress, stage))
    hits: Hits = {}

    def noted() -> Iterator[LocalisationSample]:
        for sample in localisation_samples(bench.scored, explainer, progress, f"{explainer.method}: heatmaps"):
            hits[sample.image_id, sample.finding] = pointing_game(sample.heatmap, sample.region)
            yield sample

    return localise(noted(), np.random.default_rng(bench.seed), bench.num_resamples, thresholds), hits


def faithfulness(bench: Bench, explainer: Explainer, progress: Progress) -> FaithfulnessReport | None:
    """Of so many marked images, each with the most probable of its marked findings; None where none was asked for.

    Every method meets the same images, findings and draws.
    """
    if bench.num_faithfulness == 0:
        return None
    fixed = {}
    if bench.validation is not None:
        walk = _Walk(_draw(bench.validation, bench), explainer, progress, f"{explainer.method}: mean map")
        fixed = mean_heatmaps(_faithfulness_samples(walk, lambda marked, _: marked))
    task = FaithfulnessTask(explainer.predict, explainer.maps, fixed, seed=bench.seed)
    walk = _Walk(_draw(bench.scored, bench), explainer, progress, f"{explainer.method}: faithfulness")
    scores = measure_faithfulness(task, _faithfulness_samples(walk, _most_probable))
    return report_faithfulness(scores, np.random.default_rng(bench.seed), bench.num_resamples)


def cost(explainer: Explainer, images: Images) -> Cost:
    """Of explaining the first of `images` [b, c, size, size]."""
    learnt = [place for place, finding in enumerate(explainer.findings) if finding in explainer.learnt]
    return Cost(
        one_finding=_milliseconds(explainer, images[:1], learnt[:1]),
        all_findings=_milliseconds(explainer, images[:1], learnt),
    )


def _milliseconds(explainer: Explainer, image: Images, findings: list[int]) -> float:
    durations: list[float] = []
    while len(durations) <= NUM_TIMED:
        start = time.perf_counter()
        explainer.maps(image, findings)
        durations.append(1000 * (time.perf_counter() - start))
        if durations[-1] > LONG_MS:
            return durations[-1]
    return float(np.median(durations[1:]))  # the first is a warm-up


def _most_probable(marked: list[str], told: Mapping[str, float]) -> list[str]:
    return [max(marked, key=lambda finding: told[finding])]


def _draw(cohort: Cohort, bench: Bench) -> Cohort:
    """Some of the images that localisation could read."""
    table = cohort.marked
    readable = table.loc[~table["path"].isin(cohort.refused.keys()), "image_id"].astype(str)
    known = replace(cohort, marks={image_id: cohort.marks[image_id] for image_id in readable})
    return sample_marked(known, bench.num_faithfulness, np.random.default_rng(bench.seed))


@dataclass(frozen=True, eq=False)
class _Walk:
    cohort: Cohort
    explainer: Explainer
    progress: Progress
    stage: str


_Choose = Callable[[list[str], Mapping[str, float]], list[str]]
"""Of an image's marked findings and the probabilities of all, the findings to explain."""


def _faithfulness_samples(walk: _Walk, choose: _Choose) -> Iterator[FaithfulnessSample]:
    cohort, explainer = walk.cohort, walk.explainer
    done = 0
    for rows, radiographs in read_batches(cohort, cohort.marked, silent, ""):
        images = explainer.prepare(radiographs)
        told = [dict(zip(explainer.findings, row, strict=True)) for row in explainer.predict(images).tolist()]
        wanted = [
            choose(list(cohort.marks[str(row.image_id)]), of_image) for row, of_image in zip(rows, told, strict=True)
        ]
        for row, image, maps in zip(rows, images, maps_wanted(explainer, images, wanted), strict=True):
            for finding, one in maps.items():
                column = explainer.findings.index(finding)
                yield FaithfulnessSample(str(row.image_id), str(row.patient_id), finding, column, image, one)
            done += 1
            walk.progress(walk.stage, done, len(cohort.marks))
