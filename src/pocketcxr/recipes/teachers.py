"""From a teacher's config to a teacher that can be asked, and the files it is made of."""

from pathlib import Path

import torch
from torch import Tensor

from pocketcxr.distill.black_box import open_black_box
from pocketcxr.distill.self_teacher import SelfTeacher
from pocketcxr.distill.taps import num_channels
from pocketcxr.distill.teacher import OpenTeacher, Teacher, learnt_only, weights_hash
from pocketcxr.domain.errors import CheckpointError, ConfigError
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import ModelOutput
from pocketcxr.models.weights import head_size
from pocketcxr.models.xrv import XrvNet
from pocketcxr.recipes.runs import load_run
from pocketcxr.recipes.teacher_config import (
    AnyTeacher,
    BundleTeacher,
    EnsembleTeacher,
    NetTeacher,
    OneTeacher,
    RunTeacher,
)
from pocketcxr.runtime.card import SEAL
from pocketcxr.train.run_dir import RunDir
from pocketcxr.train.tensors import read_header
from pocketcxr.train.weights import ModelHeader


def open_teacher(config: OneTeacher, stride: int | None, device: torch.device) -> OpenTeacher:
    """The teacher on `device`, with features at `stride` (None: those its head pools).

    Raises UsageError, ConfigError, CheckpointError or BundleError where it cannot be used.
    """
    match config:
        case RunTeacher():
            return _of_run(config, stride, device)
        case NetTeacher():
            return _of_net(config, stride, device)
        case BundleTeacher():
            return open_black_box(config.bundle, device)


def teacher_files(config: AnyTeacher) -> tuple[Path, ...]:
    """The files that decide what the teacher answers: a run that resumes must find the same content in them."""
    match config:
        case RunTeacher():
            return (RunDir(config.run).best,)
        case NetTeacher():
            return (config.net.weights,) if isinstance(config.net.weights, Path) else ()
        case BundleTeacher():
            # A bundle's seal holds the digest of its card, which holds those of all other files.
            return (config.bundle / SEAL if config.bundle.is_dir() else config.bundle,)
        case EnsembleTeacher():
            return tuple(file for member in config.members for file in teacher_files(member))
        case SelfTeacher():
            return ()


def _of_run(config: RunTeacher, stride: int | None, device: torch.device) -> OpenTeacher:
    loaded = load_run(config.run)
    teacher = Teacher(loaded.net, loaded.spec, learnt_only(loaded.findings, loaded.header.unlearnt), stride)
    return _opened(teacher, loaded.header.net, f"run {config.run}", device)


def _of_net(config: NetTeacher, stride: int | None, device: torch.device) -> OpenTeacher:
    weights = config.net.weights
    if isinstance(weights, Path):
        _check_file(weights, config)
    net = build(config.net, num_findings=len(config.findings), kind="teacher")
    if isinstance(net, XrvNet) and net.findings != config.findings:
        raise ConfigError(
            f"teacher.findings: {config.net.name} answers in the order {', '.join(net.findings)}; give that"
        )
    origin = "published weights" if weights == "none" else f"weights {weights}"
    return _opened(Teacher(net, config.preprocess, config.findings, stride), config.net, origin, device)


def _check_file(weights: Path, config: NetTeacher) -> None:
    """Raises ConfigError where the file's head is not of these findings, as far as the file tells."""
    size = head_size(weights)
    if size != len(config.findings):
        raise ConfigError(
            f"teacher.net.weights: the head in {weights} has {size or 'no'} findings of ours, teacher.findings names"
            f" {len(config.findings)}; give the file's findings in its order, or train a teacher from this file first"
            " (pocketcxr train --set net.weights=FILE)"
        )
    try:
        header = read_header(weights, ModelHeader)
    except CheckpointError:
        return  # written by others: it does not say what its outputs mean, so the config's word counts
    told = (_shape(header.net), header.findings, header.preprocess)
    if told != (_shape(config.net), config.findings, config.preprocess):
        raise ConfigError(
            f"teacher.net.weights: {weights} is of a run with net {header.net.name} at stride"
            f" {header.net.output_stride}, pooling {header.net.pooling}, findings {', '.join(header.findings)} and"
            f" preprocess {header.preprocess}, not of what teacher says; give kind: run and the run's folder, which"
            " brings all that"
        )


def _shape(net: NetConfig) -> tuple[str, int, str]:
    """What beside the weights decides the answers."""
    return net.name, net.output_stride, net.pooling


def _opened(teacher: Teacher, net: NetConfig, origin: str, device: torch.device) -> OpenTeacher:
    channels = num_channels(teacher.tapped, teacher.spec.size)
    teacher.to(device).to(memory_format=torch.channels_last)

    def teach(pixels: Tensor) -> ModelOutput:
        return teacher.teach(pixels.to(device))

    # The same weights at another stride, or pooled otherwise, give other maps: a teacher cache must not mix them up.
    digest = "-".join((weights_hash(teacher), *map(str, _shape(net))))
    return OpenTeacher(net.name, origin, teach, teacher.spec, teacher.findings, digest, channels)
