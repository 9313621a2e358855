"""What a student hears from each kind of teacher: its own resolution, black boxes, ensembles, caches, refusals."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pocketcxr.data.augment import augment
from pocketcxr.data.batches import pixels_at
from pocketcxr.data.dataset import Cohort
from pocketcxr.distill.teacher import OpenTeacher, align
from pocketcxr.domain.errors import BundleError, CheckpointError, ConfigError, PocketCxrError
from pocketcxr.domain.progress import silent
from pocketcxr.domain.study import Split
from pocketcxr.evaluate.ranking import auroc
from pocketcxr.export.build import NetToExport
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import ModelOutput, Net
from pocketcxr.models.timm_net import TimmNet
from pocketcxr.recipes.lessons import Lessons, School, open_lessons
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import train_summary
from pocketcxr.recipes.teacher_config import BundleTeacher, NetTeacher
from pocketcxr.recipes.teachers import open_teacher, teacher_files
from pocketcxr.recipes.train import open_split, read_manifests, train
from pocketcxr.train.log import read_metrics
from pocketcxr.train.run_dir import RunDir

from ..tiny_bundles import packed  # noqa: TID252 - tests are no package of the path

MakeConfig = Callable[..., RunConfig]

CPU = torch.device("cpu")
NAME = "test_efficientnet"
MAPS = "objective.terms=[{kind: soft-bce}, {kind: class-map}]"
KNOWN = ("Mass", "Effusion")
ROWS = torch.tensor([5, 0, 17])


@pytest.fixture
def manifest(manifest_of: Callable[[int], Path]) -> Path:
    """Pictures of 64 pixels, which a student at 32 sees halved and a teacher at 64 as they are."""
    return manifest_of(64)


def loud_net(seed: int = 1, num_findings: int = len(KNOWN)) -> Net:
    """A net with random weights that tells images apart: its batch norms have seen some, its logits are of size 1."""
    net = build(NetConfig(name=NAME), num_findings, seed=seed)
    assert isinstance(net, TimmNet)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.head.maps.weight.mul_(30)
        net(torch.rand(8, 1, 64, 64, generator=torch.Generator().manual_seed(seed)))
    return net.eval()


@pytest.fixture(scope="module")
def loud_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ours with a head for KNOWN."""
    path = tmp_path_factory.mktemp("weights") / "teacher.safetensors"
    save_file(loud_net().state_dict(), path)
    return path


@pytest.fixture
def weights(loud_file: Path, tmp_path: Path) -> Path:
    """The same, to be spoilt."""
    return Path(shutil.copy(loud_file, tmp_path / "teacher.safetensors"))


def net_teacher(weights: Path, size: int = 32, more: str = "") -> str:
    """The file as a teacher, as YAML."""
    return (
        f"{{kind: net, net: {{name: {NAME}, weights: '{weights}'}}, preprocess: {{size: {size}}},"
        f" findings: [{', '.join(KNOWN)}]{more}}}"
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle at 64 pixels with the weights of loud_net(2, 3) that knows Effusion and Mass and never learnt Hernia."""
    spec, findings = PreprocessSpec(size=64, mean=0.4, std=0.2), ("Effusion", "Hernia", "Mass")
    source, out = NetToExport(NAME, loud_net(2, 3), spec, findings), tmp_path_factory.mktemp("bundle") / "closed.zip"
    return packed(source, out, name="closed", unlearnt=("Hernia",), training={"source": "phantom"})


def school_of(config: RunConfig, folder: Path) -> School:
    """The school that training would set up."""

    manifests = read_manifests(config)

    def reopen(split: Split, spec: PreprocessSpec) -> Cohort:
        return open_split(config.model_copy(update={"preprocess": spec}), manifests, split, folder)

    return School(config, open_split(config, manifests, Split.TRAIN, folder), reopen, folder, CPU, silent)


def lessons_of(config: RunConfig, folder: Path) -> Lessons:
    lessons = open_lessons(school_of(config, folder))
    assert lessons is not None
    return lessons


def heard(config: RunConfig, folder: Path, view: int = 1) -> ModelOutput:
    """What the student hears of ROWS in this view."""
    school = school_of(config, folder)
    lessons = open_lessons(school)
    assert lessons is not None
    return lessons.source(pixels_at(school.training, config.batches, ROWS, view), ROWS, view)


def seen_at_64px(config: RunConfig, view: int = 1) -> Tensor:
    """The picture files of ROWS, augmented at their own 64 pixels."""
    files = [config.manifest.parent / "images" / f"{row:02}.png" for row in ROWS.tolist()]
    pictures = torch.from_numpy(np.stack([np.asarray(Image.open(file)) for file in files]))
    return augment(pictures, ROWS, view, config.seed, config.augment)


def opened(config: RunConfig) -> OpenTeacher:
    assert isinstance(config.teacher, NetTeacher | BundleTeacher)
    return open_teacher(config.teacher, None, CPU)


@pytest.mark.parametrize("cache", ["true", "false"])
def test_a_larger_teacher_sees_the_same_views_decoded_at_its_own_size(
    make_config: MakeConfig, weights: Path, tmp_path: Path, cache: str
) -> None:
    config = make_config(MAPS, f"teacher={net_teacher(weights, 64)}", f"teacher.cache={cache}")
    answer = heard(config, tmp_path)
    direct = opened(config).answer(seen_at_64px(config), config.findings)
    # A cached answer is rounded to float16.
    torch.testing.assert_close(answer.logits, direct.logits, rtol=2e-3, atol=1e-3, equal_nan=True)
    torch.testing.assert_close(answer.class_maps, direct.class_maps, rtol=2e-3, atol=1e-3, equal_nan=True)
    small = heard(make_config(MAPS, f"teacher={net_teacher(weights, 64, ', resolution: student')}"), tmp_path)
    assert (small.logits - direct.logits)[:, :2].abs().min() > 0.01
    assert answer.logits[:, 2].isnan().all()


def test_asked_to_it_sees_the_students_pixels_enlarged(make_config: MakeConfig, weights: Path, tmp_path: Path) -> None:
    config = make_config(MAPS, f"teacher={net_teacher(weights, 64, ', resolution: student, cache: false')}")
    school = school_of(config, tmp_path)
    pixels = pixels_at(school.training, config.batches, ROWS, 0)
    direct = opened(config).answer(pixels, config.findings)
    assert pixels.shape == (3, 1, 32, 32)
    torch.testing.assert_close(heard(config, tmp_path, view=0).logits, direct.logits, equal_nan=True)


def test_rows_that_changed_between_the_sizes_are_an_error(
    make_config: MakeConfig, weights: Path, tmp_path: Path
) -> None:
    school = school_of(make_config(MAPS, f"teacher={net_teacher(weights, 64)}"), tmp_path)
    shorter = replace(school, reopen=lambda split, spec: school.reopen(split, spec).take(np.arange(5)))
    with pytest.raises(PocketCxrError, match=r"at the teacher's 64 pixels 5 training images can be read, .* 24"):
        open_lessons(shorter)


def test_every_kind_of_term_learns_from_a_teacher_of_another_size(
    make_config: MakeConfig, weights: Path, tmp_path: Path
) -> None:
    kinds = ("soft-bce", "dist", "class-map", "hint", "attention", "similarity", "rkd", "l2d")
    terms = f"objective.terms=[{', '.join(f'{{kind: {kind}}}' for kind in kinds)}]"
    # Maps of 2 x 2 cells: one cell alone has no shape to learn.
    shape = ("optim.steps=2", "optim.batch_size=12", "net.output_stride=16")
    config = make_config(terms, f"teacher={net_teacher(weights, 64)}", *shape)
    root = train(config, tmp_path / "run")
    figures = next(record for record in read_metrics(RunDir(root).metrics) if "loss" in record)
    assert {kind: figures[kind] for kind in kinds if not figures[kind] > 0} == {}


@pytest.mark.parametrize("cache", ["true", "false"])
def test_a_bundle_teaches_like_its_net(make_config: MakeConfig, bundle: Path, tmp_path: Path, cache: str) -> None:
    config = make_config(MAPS, "teacher.kind=bundle", f"teacher.bundle={bundle}", f"teacher.cache={cache}")
    answer = heard(config, tmp_path)
    with torch.no_grad():
        net = loud_net(2, 3)((seen_at_64px(config) - 0.4) / 0.2)
    expected = align(net, ("Effusion", "unlearnt Hernia", "Mass"), config.findings)
    torch.testing.assert_close(answer.logits, expected.logits, rtol=2e-3, atol=2e-3, equal_nan=True)
    torch.testing.assert_close(answer.class_maps, expected.class_maps, rtol=2e-3, atol=2e-3, equal_nan=True)
    assert answer.logits[:, 2].isnan().all(), "the bundle never learnt Hernia"
    assert answer.features.shape[:2] == (3, 0)


@pytest.mark.parametrize(
    ("teacher", "reason"),
    [
        ("{kind: bundle, bundle: b.zip}", "hint needs features; a bundle gives logits and heatmaps only"),
        (
            "{kind: ensemble, members: [{kind: run, run: a}, {kind: run, run: b}]}",
            "hint needs features; an ensemble gives probabilities and class maps only",
        ),
    ],
)
def test_who_has_no_features_is_refused_under_a_feature_term(
    make_config: MakeConfig, teacher: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        make_config("objective.terms=[{kind: soft-bce}, {kind: hint}]", f"teacher={teacher}")


def test_a_damaged_or_missing_bundle_is_named(make_config: MakeConfig, bundle: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(bundle.read_bytes()[:-200])
    for path in (damaged, tmp_path / "nowhere.zip"):
        with pytest.raises(BundleError, match=path.name):
            lessons_of(make_config(MAPS, "teacher.kind=bundle", f"teacher.bundle={path}"), tmp_path)


def ensemble_of(weights: Path, bundle: Path, weighting: str) -> str:
    members = f"[{net_teacher(weights, 64)}, {{kind: bundle, bundle: '{bundle}'}}]"
    return f"teacher={{kind: ensemble, weighting: {weighting}, members: {members}}}"


@pytest.mark.parametrize("cache", ["true", "false"])
def test_an_ensemble_is_the_mean_of_its_members_probabilities(
    make_config: MakeConfig, weights: Path, bundle: Path, tmp_path: Path, cache: str
) -> None:
    alone = [
        heard(make_config(MAPS, f"teacher={member}"), tmp_path).logits[:, :2]
        for member in (net_teacher(weights, 64), f"{{kind: bundle, bundle: '{bundle}'}}")
    ]
    caches = sorted(tmp_path.glob("teacher-*"))
    config = make_config(MAPS, ensemble_of(weights, bundle, "mean"), f"teacher.cache={cache}")
    answer = heard(config, tmp_path)
    mean = torch.logit((torch.sigmoid(alone[0]) + torch.sigmoid(alone[1])) / 2)
    torch.testing.assert_close(answer.logits[:, :2], mean, rtol=2e-3, atol=2e-3)
    assert answer.logits[:, 2].isnan().all()
    assert sorted(tmp_path.glob("teacher-*")) == caches, "the members' own caches serve the ensemble"


def test_validation_weighs_members_by_finding_and_the_run_says_how(
    make_config: MakeConfig, weights: Path, bundle: Path, tmp_path: Path
) -> None:
    config = make_config(MAPS, ensemble_of(weights, bundle, "validation"))
    summary = train_summary(train(config, tmp_path / "run"))
    notes = summary["teacher"]
    assert isinstance(notes, dict)
    assert notes["weighting"] == "validation"
    assert [member["image_size_px"] for member in notes["members"]] == [64, 64]
    assert "a view, 48 views (24 images)" in notes["members"][0]["cache"]
    config = make_config("preprocess.size=64")
    cohort = open_split(config, read_manifests(config), Split.VALIDATION, tmp_path)
    pixels = torch.from_numpy(cohort.pixels(slice(None))).float()[:, None] / 255
    with torch.no_grad():
        scores = np.stack(
            [
                loud_net()((pixels - 0.5) / 0.25).logits[:, [1, 0]].numpy(),
                loud_net(2, 3)((pixels - 0.4) / 0.2).logits[:, [0, 2]].numpy(),
            ]
        )
    for column, finding in enumerate(("Effusion", "Mass")):
        figures = [_auroc(cohort.labels[:, column], member[:, column]) for member in scores]
        gains = np.clip(np.array(figures) - 0.5, 0, None)
        assert notes["validation_auroc"][finding] == pytest.approx(figures, abs=1e-3)
        expected = gains / gains.sum() if gains.sum() else gains
        assert notes["weights"][finding] == pytest.approx(expected, abs=1e-2)
    assert notes["weights"]["Hernia"] == [0, 0]
    assert notes["validation_auroc"]["Hernia"] == [None, None]


def _auroc(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> float:
    figure = auroc(labels, scores)
    assert figure is not None
    return figure


@pytest.mark.parametrize("cache", ["true", "false"])
def test_a_broken_teacher_is_named_and_nothing_of_it_is_kept(
    make_config: MakeConfig, weights: Path, tmp_path: Path, cache: str
) -> None:
    tensors = load_file(weights)
    tensors["head.maps.bias"][1] = torch.nan
    save_file(tensors, weights)
    config = make_config(MAPS, f"teacher={net_teacher(weights)}", f"teacher.cache={cache}")
    expected = rf"the teacher {NAME} \(weights .*teacher\.safetensors\) gives no finite logit for Effusion of .* images"
    for _ in range(2):
        with pytest.raises(PocketCxrError, match=expected):
            heard(config, tmp_path)
    assert not list(tmp_path.glob("teacher-*"))


def test_a_run_notes_its_teacher_and_what_the_cache_takes(
    make_config: MakeConfig, weights: Path, tmp_path: Path
) -> None:
    notes = lessons_of(make_config(MAPS, f"teacher={net_teacher(weights)}"), tmp_path).notes
    # Three logits and three maps of 1 x 1 in float16.
    assert notes == {
        "name": NAME,
        "origin": f"weights {weights}",
        "knows": ["Effusion", "Mass"],
        "image_size_px": 32,
        "cache": "12 B a view, 48 views (24 images), 576 B",
    }


def test_students_that_normalise_otherwise_share_a_teachers_answers(
    make_config: MakeConfig, weights: Path, tmp_path: Path
) -> None:
    for mean in (0.4, 0.6):
        heard(make_config(MAPS, f"teacher={net_teacher(weights)}", f"preprocess.mean={mean}"), tmp_path)
    assert len(list(tmp_path.glob("teacher-*"))) == 1


def test_nothing_in_common_is_refused_before_any_image_is_asked_about(
    make_config: MakeConfig, weights: Path, tmp_path: Path
) -> None:
    config = make_config(MAPS, f"teacher={net_teacher(weights)}", "findings=[Hernia]")
    with pytest.raises(ConfigError, match=r"share no finding: the teacher knows Mass, Effusion, the student .* Hernia"):
        lessons_of(config, tmp_path)


def test_weights_without_a_head_for_the_findings_teach_nothing(
    make_config: MakeConfig, weights: Path, tmp_path: Path
) -> None:
    five = f"teacher={net_teacher(weights).replace('[Mass, Effusion]', '[Mass]')}"
    with pytest.raises(ConfigError, match=r"the head in .* has 2 findings of ours, teacher\.findings names 1"):
        opened(make_config(MAPS, five))
    trunk = {name: tensor for name, tensor in load_file(weights).items() if name.startswith("trunk.")}
    save_file({name.removeprefix("trunk."): tensor for name, tensor in trunk.items()}, weights)
    with pytest.raises(ConfigError, match=r"has no findings of ours, teacher\.findings names 2.*pocketcxr train"):
        opened(make_config(MAPS, f"teacher={net_teacher(weights)}"))


def test_a_runs_own_weights_are_taken_at_their_word(make_config: MakeConfig, tmp_path: Path) -> None:
    """Two findings in another order would teach each as the other."""
    best = train(make_config("findings=[Effusion, Mass]", "optim.steps=2"), tmp_path / "run") / "best.safetensors"
    right = net_teacher(best).replace("Mass, Effusion", "Effusion, Mass")
    assert opened(make_config(MAPS, f"teacher={right}")).findings == ("Effusion", "Mass")
    with pytest.raises(ConfigError, match=r"findings Effusion, Mass .* give kind: run"):
        opened(make_config(MAPS, f"teacher={net_teacher(best)}"))


@pytest.mark.parametrize("name", ["teacher.pth", "teacher.pt", "teacher.bin", "cut.safetensors", "pickled.safetensors"])
def test_weights_that_are_a_pickle_or_cut_short_are_refused_by_name(
    make_config: MakeConfig, weights: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    if name.startswith("cut"):
        path.write_bytes(weights.read_bytes()[:-1000])
    else:
        torch.save(load_file(weights), path)
    with pytest.raises((ConfigError, CheckpointError), match=re.escape(name)):
        opened(make_config(MAPS, f"teacher={net_teacher(path)}"))


def test_a_resumed_run_must_find_the_same_files_of_every_member(make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    members = (
        f"[{{kind: run, run: r}}, {{kind: bundle, bundle: '{tmp_path / 'folder'}'}}, {{kind: bundle, bundle: b.zip}},"
        " {kind: net, net: {name: n, weights: w.safetensors}, findings: [Mass]},"
        " {kind: net, net: {name: 'xrv:densenet121-res224-all'}, preprocess: {std: 0.5}, findings: [Mass]}]"
    )
    config = make_config(MAPS, f"teacher={{kind: ensemble, members: {members}}}")
    assert config.teacher is not None
    assert teacher_files(config.teacher) == (
        Path("r/best.safetensors"),
        tmp_path / "folder" / "card.sha256",
        Path("b.zip"),
        Path("w.safetensors"),
    )
