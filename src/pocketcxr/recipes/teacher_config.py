"""Who teaches: a closed union chosen by `kind`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from pocketcxr.distill.self_teacher import SelfTeacher
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.config import NetConfig
from pocketcxr.models.xrv import PREFIX

Resolution = Literal["own", "student"]
Weighting = Literal["mean", "validation"]


class _AskedConfig(BaseModel, frozen=True, extra="forbid"):
    """What every teacher has that is finished before the student begins."""

    resolution: Resolution = "own"
    """'own': it sees images decoded at its own size; 'student': the student's pixels, resized."""
    cache: bool = True
    """Ask it once for every image and view and keep the answers; needs augment.num_views."""


class RunTeacher(_AskedConfig, frozen=True):
    """An earlier run of pocketcxr train or distill; it brings its preprocessing and findings."""

    kind: Literal["run"] = "run"
    run: Path


class NetTeacher(_AskedConfig, frozen=True):
    """A net by name with weights that already know findings: torchxrayvision's, or a .safetensors file of ours."""

    kind: Literal["net"] = "net"
    net: NetConfig
    preprocess: PreprocessSpec = PreprocessSpec()
    """What the net is used to."""
    findings: Annotated[tuple[str, ...], Field(min_length=1)]
    """What its outputs mean, in order."""

    @model_validator(mode="after")
    def _knows_findings(self) -> Self:
        if len(set(self.findings)) != len(self.findings):
            raise ValueError("findings names one twice")
        if self.net.name.startswith(PREFIX):
            if (self.preprocess.mean, self.preprocess.std) != (0.5, 0.5):
                raise ValueError(
                    f"{self.net.name} takes pixels in -1..1: give teacher.preprocess mean 0.5 and std 0.5"
                    f" (got {self.preprocess.mean} and {self.preprocess.std})"
                )
            return self
        if isinstance(self.net.weights, Path):
            return self
        match self.net.weights:
            case "imagenet":
                raise ValueError(
                    f"ImageNet weights of {self.net.name} know no finding yet: train it first (pocketcxr train --set"
                    f" net.name={self.net.name} --set net.weights=imagenet), then give kind: run"
                )
            case _:
                raise ValueError(
                    f"{self.net.name} with random weights can teach nothing: give net.weights, a .safetensors file,"
                    " or kind: run"
                )


class BundleTeacher(_AskedConfig, frozen=True):
    """An exported bundle, a folder or a zip, asked as a black box: it gives logits and heatmaps, no features."""

    kind: Literal["bundle"] = "bundle"
    bundle: Path


OneTeacher = RunTeacher | NetTeacher | BundleTeacher
Member = Annotated[OneTeacher, Field(discriminator="kind")]


class EnsembleTeacher(BaseModel, frozen=True, extra="forbid"):
    """Several teachers as one: the weighted mean of their probabilities and of their class maps, no features."""

    kind: Literal["ensemble"] = "ensemble"
    members: Annotated[tuple[Member, ...], Field(min_length=2)]
    weighting: Weighting = "mean"
    """'mean': those who know a finding count alike; 'validation': by finding, max(AUROC - 0.5, 0) on the student's
    validation images."""
    cache: bool = True
    """Keep the members' answers, each member's apart, so that they serve when it teaches alone too."""

    @model_validator(mode="after")
    def _one_place_says_cache(self) -> Self:
        if any(not member.cache for member in self.members):
            raise ValueError("the ensemble's cache speaks for all members: give teacher.cache, and none to a member")
        return self


AnyTeacher = OneTeacher | EnsembleTeacher | SelfTeacher
TeacherConfig = Annotated[AnyTeacher, Field(discriminator="kind")]


def is_cached(teacher: AnyTeacher) -> bool:
    """Whether the teacher's answers are kept, which needs a number of views."""
    return not isinstance(teacher, SelfTeacher) and teacher.cache


def why_no_features(teacher: AnyTeacher) -> str | None:
    """Why the teacher gives no features, in words; None where it gives them."""
    match teacher:
        case BundleTeacher():
            return "a bundle gives logits and heatmaps only"
        case EnsembleTeacher():
            return "an ensemble gives probabilities and class maps only"
        case _:
            return None
