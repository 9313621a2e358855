"""The main job on each official layout: simulate, prepare, train, evaluate, with no download."""

from pathlib import Path

import pytest

from pocketcxr.manifest.schema import read_manifest, splits_path
from pocketcxr.phantom.config import LabelNoise, PhantomConfig
from pocketcxr.recipes.config import load_config
from pocketcxr.recipes.evaluate import EvaluateOptions, evaluate
from pocketcxr.recipes.prepare import prepare, source_config
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.simulate import simulate
from pocketcxr.recipes.train import train

pytestmark = pytest.mark.slow

NUM_IMAGES = 120
SIZE = 64
SETTINGS = (
    "net.name=test_efficientnet",
    f"preprocess.size={SIZE}",
    "optim.steps=6",
    "optim.batch_size=8",
    "optim.warmup_steps=1",
    "optim.evaluate_every=3",
    "optim.checkpoint_every=6",
    "device=cpu",
)


@pytest.mark.parametrize(
    ("layout", "settings", "num_findings"),
    [
        ("chestxray14", (), 14),
        ("chexpert", ("labels.unmentioned=negative",), 14),
        ("padchest", ("labels.unmentioned=negative",), None),
        ("chestmnist", (), 14),
    ],
)
def test_the_main_job_runs_end_to_end(
    layout: str, settings: tuple[str, ...], num_findings: int | None, tmp_path: Path
) -> None:
    phantom = PhantomConfig(
        layout=layout,
        images=NUM_IMAGES,
        size=SIZE,
        seed=1,
        prevalence_scale=5.0,
        test_fraction=0.3,
        label_noise=LabelNoise(strength=0.5),
    )
    root = simulate(phantom, tmp_path / "phantoms")
    noisy, clean = tmp_path / "noisy.parquet", tmp_path / "clean.parquet"
    truth = "label_table=Data_Entry_2017_v2020_clean.csv" if layout == "chestxray14" else "clean=true"
    prepare(source_config(layout, None, []), root, noisy)
    # Where patients are parted by seed, other labels would part them in another way.
    same = () if layout == "chestmnist" else (f"split.file={splits_path(noisy)}",)
    prepare(source_config(layout, None, [truth, *same]), root, clean)
    manifest, against = read_manifest(noisy), read_manifest(clean)
    assert manifest.header.is_simulated
    assert num_findings is None or len(manifest.findings) == num_findings
    assert set(manifest.table["split"]) == {"train", "validation", "test"}
    assert manifest.table[["image_id", "split"]].equals(against.table[["image_id", "split"]])
    assert not manifest.table.filter(like="label.").equals(against.table.filter(like="label."))
    findings = f"findings=[{', '.join(manifest.findings)}]"
    config = load_config(RunConfig, None, [f"manifest={noisy}", findings, *SETTINGS, *settings])
    run = train(config, tmp_path / "run")
    result = evaluate(run, EvaluateOptions(clean, num_resamples=20))
    assert result.ranking.mean_auroc is not None
    assert 0 <= result.ranking.mean_auroc.value <= 1
    assert (run / "report.html").is_file()
