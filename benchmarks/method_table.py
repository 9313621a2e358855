"""One table of explanation methods, for a student and its teacher: do they hit, are they faithful, what do they cost?

    python benchmarks/method_table.py [STUDENT] [TEACHER] [--manifest M] [--images N] [--faithfulness N] [--methods ...]
        [--parts FOLDER] [--json OUT] [--markdown OUT]

On marked test images of patients that neither model was trained on; all methods meet the same images. Differences are
to the one-pass heatmap of the same model, image by image, intervals from drawing patients. What never looks at the
image stands beside. Without arguments it takes what `pocketcxr quickstart` left in quickstart/. Each method is kept as
a file in --parts: the same command goes on where it stopped. Read in docs/results/README.md.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from _inputs import QUICKSTART, is_missing
from _method_figures import as_markdown, result_of
from _method_parts import SEED, Arm, Asked, Images, Part, measure_part, read_part
from pocketcxr.apps.cli.console import progress_bars
from pocketcxr.domain.progress import Progress
from pocketcxr.domain.study import Split
from pocketcxr.explain.methods import METHODS, Method
from pocketcxr.manifest.schema import read_manifest, select
from pocketcxr.recipes.environment import describe_environment
from pocketcxr.recipes.explain import select_marked
from pocketcxr.recipes.explain_cohort import open_cohort, sample_marked
from pocketcxr.recipes.explain_unseen import lineage, refuse_seen
from pocketcxr.recipes.explaining import Explainer, open_explainer
from pocketcxr.train.atomic import write_atomically
from pocketcxr.train.devices import pick_device

STUDENT: tuple[Method, ...] = (
    "one-pass",
    "grad-cam",
    "layer-cam",
    "hires-cam",
    "integrated-gradients",
    "occlusion",
)
TEACHER: tuple[Method, ...] = ("one-pass", "grad-cam")


def images_of(runs: Sequence[Explainer], options: argparse.Namespace) -> Images:
    """The marked images that every method of every model is measured on."""
    manifest = select(read_manifest(options.manifest), Split.TEST)
    learnt = frozenset.intersection(*(one.learnt for one in runs))
    cohort = sample_marked(open_cohort(manifest, learnt), options.images, np.random.default_rng(SEED))
    for run in (options.student, options.teacher):
        refuse_seen(select_marked(cohort), lineage(run), str(options.manifest))
    judged = sample_marked(cohort, options.faithfulness, np.random.default_rng(SEED))
    return Images(cohort, frozenset(judged.marks) if options.faithfulness else frozenset())


def parts_of(options: argparse.Namespace, progress: Progress) -> dict[Arm, Part]:
    """Every arm's part, measured now or read."""
    explainers = {"student": open_explainer(options.student), "teacher": open_explainer(options.teacher)}
    images = images_of(list(explainers.values()), options)
    options.parts.mkdir(parents=True, exist_ok=True)
    arms: list[Arm] = [("student", method) for method in options.methods]
    arms += [("teacher", method) for method in options.teacher_methods]
    parts: dict[Arm, Part] = {}
    for model, method in arms:
        run = options.student if model == "student" else options.teacher
        asked = Asked(
            run=str(run),
            manifest=str(options.manifest),
            method=method,
            num_images=options.images,
            num_faithfulness=options.faithfulness,
        )
        file = options.parts / f"{model}.{method}.json"
        part = read_part(file, asked)
        if part is None:
            part = measure_part(asked, images, explainers[model].by(method), progress)
            write_atomically(file, part.model_dump_json().encode())
        parts[model, method] = part
    return parts


def main() -> None:
    """Measure what is missing, print the table and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", type=Path, nargs="?", default=QUICKSTART / "distilled")
    parser.add_argument("teacher", type=Path, nargs="?", default=QUICKSTART / "teacher")
    parser.add_argument("--manifest", type=Path, default=QUICKSTART / "truth.parquet")
    parser.add_argument("--images", type=int, default=300, help="marked test images, drawn by seed")
    parser.add_argument("--faithfulness", type=int, default=100, help="of these, with deletion and insertion")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=STUDENT, help="of the student")
    parser.add_argument("--teacher-methods", nargs="+", choices=METHODS, default=TEACHER)
    parser.add_argument("--parts", type=Path, default=QUICKSTART / "method-table")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--markdown", type=Path, metavar="OUT")
    options = parser.parse_args()
    if "one-pass" not in options.methods or "one-pass" not in options.teacher_methods:
        parser.error("differences are to one-pass: name it among --methods and --teacher-methods")
    needs = "a student, its teacher and a manifest with regions, as `make quickstart` leaves them"
    if is_missing(needs, options.student, options.teacher, options.manifest):
        return
    with progress_bars() as progress:
        parts = parts_of(options, progress)
    result = {**result_of(parts), "environment": describe_environment(pick_device("cpu"))}
    print(as_markdown(result))
    if options.json:
        write_atomically(options.json, (json.dumps(result, indent=1) + "\n").encode())
    if options.markdown:
        write_atomically(options.markdown, as_markdown(result).encode())


if __name__ == "__main__":
    main()
