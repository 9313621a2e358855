"""The teacher: frozen, asked for its own findings on images it prepares its own way, whatever it is made of."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pocketcxr.distill.taps import Tapped
from pocketcxr.domain.errors import ConfigError, PocketCxrError
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.outputs import ModelOutput, Net

TeacherSource = Callable[[Tensor, Tensor, int], ModelOutput]
"""(pixels [b, 1, s, s] in 0..1, indices [b], view) -> the answer on the student's findings, live or cached."""

Teach = Callable[[Tensor], ModelOutput]
"""Pixels [b, 1, s, s] in 0..1 of any size -> the answer, NaN where it is unknown."""

PixelsAt = Callable[[Tensor, int], Tensor]
"""(indices, view) -> pixels [b, 1, s, s] in 0..1 of these images as augmented in this view."""


class Teacher(nn.Module):
    """A net for good in eval mode, without gradients, with its own PreprocessSpec and findings.

    It takes the net over: parameters are frozen, and `train()` of this or of an enclosing module changes nothing.
    """

    def __init__(self, net: Net, spec: PreprocessSpec, findings: Sequence[str], stride: int | None = None) -> None:
        super().__init__()
        self.tapped = Tapped(net, stride)
        self.spec = spec
        self.findings = tuple(findings)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002 - the signature is nn.Module's
        """Itself, always in eval mode: batch norm statistics of a teacher are part of what it knows."""
        return super().train(False)

    def forward(self, pixels: Float[Tensor, "b 1 s s"]) -> ModelOutput:
        """The same as `teach`."""
        return self.teach(pixels)

    @torch.no_grad()
    def teach(self, pixels: Float[Tensor, "b 1 s s"]) -> ModelOutput:
        """The net's answer, on its own findings, to images in 0..1: resized and normalised as it is used to.

        With a stride, `features` are those of its last map at this stride.
        """
        output = self.tapped(net_input(pixels, self.spec))
        assert isinstance(output, ModelOutput)
        return output


@dataclass(frozen=True, eq=False)
class OpenTeacher:
    """A teacher ready to be asked: whether it is a net or a black box makes no difference from here on."""

    name: str
    """Of its net."""
    origin: str
    """Where it came from, in words for a message."""
    teach: Teach
    """Its answer on its own findings, on the device of the training."""
    spec: PreprocessSpec
    findings: tuple[str, ...]
    """What its outputs mean, in order."""
    digest: str
    """Equal for equal teachers only."""
    num_channels: int
    """Of its features; 0 where it gives none."""

    def answer(self, pixels: Float[Tensor, "b 1 s s"], findings: Sequence[str]) -> ModelOutput:
        """What it says of images in 0..1 on the student's `findings`; NaN where it knows nothing.

        Raises ConfigError where they share no finding, PocketCxrError where it gives no number for what it knows.
        """
        output = align(self.teach(pixels), self.findings, findings)
        self._refuse_broken(output, findings)
        return output

    def _refuse_broken(self, output: ModelOutput, findings: Sequence[str]) -> None:
        known = [column for column, finding in enumerate(findings) if finding in self.findings]
        columns = torch.tensor(known, device=output.logits.device)
        for part, values in (("logit", output.logits), ("class map", output.class_maps)):
            if values.shape[1] == 0:
                continue
            is_broken = ~values.index_select(1, columns).isfinite().reshape(len(values), len(known), -1).all(2)
            if is_broken.any():
                row, column = (int(place) for place in is_broken.nonzero()[0])
                raise self._broken(f"no finite {part} for {findings[known[column]]}", row, int(is_broken.any(1).sum()))
        is_broken = ~output.features.isfinite().flatten(1).all(1)
        if is_broken.any():
            raise self._broken("no finite features", int(is_broken.nonzero()[0]), int(is_broken.sum()))

    def _broken(self, what: str, row: int, num_images: int) -> PocketCxrError:
        return PocketCxrError(
            f"the teacher {self.name} ({self.origin}) gives {what} of {num_images} images of a batch (the first: number"
            f" {row + 1}), though it says that it knows it; check it with pocketcxr evaluate, set precision: fp32, or"
            " choose another teacher"
        )


def net_input(pixels: Float[Tensor, "b 1 s s"], spec: PreprocessSpec) -> Float[Tensor, "b 1 t t"]:
    """Pixels in 0..1 as a net with this spec wants them: resized to its side, then normalised."""
    size = spec.size
    if pixels.shape[-2:] != (size, size):
        pixels = functional.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return (pixels - spec.mean) / spec.std


def learnt_only(findings: Sequence[str], unlearnt: Sequence[str]) -> tuple[str, ...]:
    """The findings, those never learnt under a name that no student asks for: so the answer is NaN, not noise."""
    return tuple(f"unlearnt {finding}" if finding in unlearnt else finding for finding in findings)


def require_shared(teacher_findings: Sequence[str], student_findings: Sequence[str]) -> None:
    """Raises ConfigError where teacher and student share no finding. Names decide; a broader finding is another one."""
    if not set(teacher_findings) & set(student_findings):
        raise ConfigError(
            f"teacher and student share no finding: the teacher knows {', '.join(teacher_findings)}, "
            f"the student learns {', '.join(student_findings)}; choose another teacher or other findings"
        )


def align(output: ModelOutput, teacher_findings: Sequence[str], student_findings: Sequence[str]) -> ModelOutput:
    """The output with the student's findings in the student's order; what the teacher does not know is NaN.

    Raises ConfigError where they share no finding.
    """
    if tuple(teacher_findings) == tuple(student_findings):
        return output
    require_shared(teacher_findings, student_findings)
    place = {finding: i for i, finding in enumerate(teacher_findings)}
    shared = [finding for finding in student_findings if finding in place]
    sources = torch.tensor([place[finding] for finding in shared], device=output.logits.device)
    wanted = [i for i, finding in enumerate(student_findings) if finding in place]
    places = torch.tensor(wanted, device=output.logits.device)

    def placed(values: Tensor) -> Tensor:
        aligned = values.new_full((values.shape[0], len(student_findings), *values.shape[2:]), torch.nan)
        return aligned.index_copy(1, places, values.index_select(1, sources))

    return output._replace(logits=placed(output.logits), class_maps=placed(output.class_maps))


def live(teacher: OpenTeacher, findings: Sequence[str], pixels_at: PixelsAt | None = None) -> TeacherSource:
    """The teacher asked anew for every batch, on the student's `findings`.

    It sees what `pixels_at` gives, the same images in the same view at another size, or the student's pixels (None).
    """

    def ask(pixels: Tensor, indices: Tensor, view: int) -> ModelOutput:
        seen = pixels if pixels_at is None else pixels_at(indices, view).to(pixels.device)
        return teacher.answer(seen, findings)

    return ask


def weights_hash(net: nn.Module) -> str:
    """Hexadecimal digest of every parameter and buffer by name: equal for equal nets only."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
