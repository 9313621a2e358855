"""pocketcxr explain: what the heatmaps of a run or a bundle are worth, on a data set or on single X-rays."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperOption

from pocketcxr.apps.cli.trusted_key import TrustedKey, refuse_untrusted
from pocketcxr.domain.errors import UsageError
from pocketcxr.domain.extras import require
from pocketcxr.domain.study import Split

if TYPE_CHECKING:
    from pocketcxr.explain.methods import Method

FILES, COHORT = "With FILE...", "With --manifest"
DEFAULT_FOLDER = Path("explained")


def explain(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="Folder of a run, or a bundle.")],
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="X-rays to explain: PNG, JPEG or DICOM.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Judge the heatmaps by its regions instead; made by pocketcxr prepare.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="one-pass (default), grad-cam, occlusion, ...; may be given again.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; explained/, or the run's explanation/.")] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    trusted_key: TrustedKey = None,
    finding: Annotated[
        list[str] | None, typer.Option(help="Only this finding; may be given again.", rich_help_panel=FILES)
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Most probable findings of a file.", rich_help_panel=FILES)] = 3,
    split: Annotated[Split, typer.Option(help="Which part of the manifest.", rich_help_panel=COHORT)] = Split.TEST,
    images: Annotated[
        int | None, typer.Option(min=1, help="At most so many marked images, drawn.", rich_help_panel=COHORT)
    ] = None,
    regions: Annotated[
        Path | None, typer.Option(help="Boxes (.csv) or masks (.json), beside the manifest's.", rich_help_panel=COHORT)
    ] = None,
    faithfulness: Annotated[
        int, typer.Option(min=0, help="Images for insertion, deletion, ...", rich_help_panel=COHORT)
    ] = 0,
    sanity: Annotated[
        bool, typer.Option("--sanity", help="Replace weights by random ones.", rich_help_panel=COHORT)
    ] = False,
    against: Annotated[
        Path | None, typer.Option(help="Run or bundle whose heatmaps to compare.", rich_help_panel=COHORT)
    ] = None,
    gallery: Annotated[
        int, typer.Option(min=0, help="Hits, misses and errors to show, each.", rich_help_panel=COHORT)
    ] = 8,
    overlays: Annotated[int, typer.Option(min=0, help="Pictures chosen before scoring.", rich_help_panel=COHORT)] = 14,
    resamples: Annotated[int, typer.Option(min=1, help="Of the bootstrap.", rich_help_panel=COHORT)] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of bootstrap and draws.", rich_help_panel=COHORT)] = 0,
) -> None:
    """Show where a model's answers come from, and judge it. Research use only.

    Either name FILEs: pictures of the methods side by side. Or --manifest: localisation.json and explanation.html, with
    hit rates beside baselines that never look.

    Exit codes: 0 all images were explained, 3 some could not be read, 1 the work failed, 2 wrong usage.
    """
    _check_usage(context, files, manifest)
    require("torch", "train", "explanation")
    methods = _methods(method or ["one-pass"])
    for model in (source, against):
        if model is not None:
            refuse_untrusted(model, trusted_key)
    if manifest is None:
        from pocketcxr.apps.cli.explain_output import explain_files
        from pocketcxr.recipes.explain_files import FilesOptions

        wanted = FilesOptions(methods, tuple(finding or ()), top)
        explain_files(source, files or [], wanted, out or DEFAULT_FOLDER, is_json=is_json)
        return
    from pocketcxr.apps.cli.explain_output import explain_cohort
    from pocketcxr.recipes.explain import ExplainOptions

    options = ExplainOptions(
        manifest=manifest,
        split=split,
        num_overlays=overlays,
        num_resamples=resamples,
        seed=seed,
        methods=methods,
        num_images=images,
        num_gallery=gallery,
        num_faithfulness=faithfulness,
        is_randomised=sanity,
        regions=regions,
        against=against,
    )
    explain_cohort(source, options, out, is_json=is_json)


def _check_usage(context: typer.Context, files: list[Path] | None, manifest: Path | None) -> None:
    """Raises UsageError where it is not clear what to explain, or an option would do nothing."""
    if files and manifest is not None:
        raise UsageError("give X-ray files or --manifest, not both: files get pictures, a manifest gets figures")
    if not files and manifest is None:
        raise UsageError(
            "nothing to explain: name X-ray files after the run or bundle, or give --manifest with marked regions"
        )
    foreign = COHORT if files else FILES
    for option in context.command.params:
        origin = context.get_parameter_source(option.name or "")
        is_given = origin is not None and origin.name == "COMMANDLINE"
        if is_given and isinstance(option, TyperOption) and option.rich_help_panel == foreign:
            raise UsageError(f"{option.opts[0]} goes {foreign.lower().replace('file', 'FILE')}; leave it out here")


def _methods(names: list[str]) -> "tuple[Method, ...]":
    """The names as methods, each once. Raises UnknownNameError with the nearest spellings."""
    from pocketcxr.domain.errors import UnknownNameError
    from pocketcxr.explain.methods import METHODS

    known = {str(method): method for method in METHODS}
    for name in names:
        if name not in known:
            raise UnknownNameError.of("method", name, known)
    return tuple(dict.fromkeys(known[name] for name in names))
