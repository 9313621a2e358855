"""The teacher: a frozen net that prepares images its own way and speaks of its own findings."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pocketcxr.distill.taps import Tapped
from pocketcxr.domain.errors import ConfigError
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.outputs import ModelOutput, Net

TeacherSource = Callable[[Tensor, Tensor, int], ModelOutput]
"""(pixels [b, 1, s, s] in 0..1, indices [b], view) -> the answer on the student's findings, live or cached."""


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
        output = self.tapped((self._resized(pixels) - self.spec.mean) / self.spec.std)
        assert isinstance(output, ModelOutput)
        return output

    def _resized(self, pixels: Float[Tensor, "b 1 s s"]) -> Float[Tensor, "b 1 t t"]:
        size = self.spec.size
        if pixels.shape[-2:] == (size, size):
            return pixels
        return functional.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def align(output: ModelOutput, teacher_findings: Sequence[str], student_findings: Sequence[str]) -> ModelOutput:
    """The output with the student's findings in the student's order; what the teacher does not know is NaN.

    Raises ConfigError where they share no finding.
    """
    if tuple(teacher_findings) == tuple(student_findings):
        return output
    place = {finding: i for i, finding in enumerate(teacher_findings)}
    shared = [finding for finding in student_findings if finding in place]
    if not shared:
        raise ConfigError(
            f"teacher and student share no finding: the teacher knows {', '.join(teacher_findings)}, "
            f"the student learns {', '.join(student_findings)}; choose another teacher or other findings"
        )
    sources = torch.tensor([place[finding] for finding in shared], device=output.logits.device)
    wanted = [i for i, finding in enumerate(student_findings) if finding in place]
    places = torch.tensor(wanted, device=output.logits.device)

    def placed(values: Tensor) -> Tensor:
        aligned = values.new_full((values.shape[0], len(student_findings), *values.shape[2:]), torch.nan)
        return aligned.index_copy(1, places, values.index_select(1, sources))

    return output._replace(logits=placed(output.logits), class_maps=placed(output.class_maps))


def live(teacher: Teacher, findings: Sequence[str]) -> TeacherSource:
    """The teacher asked anew for every batch, aligned to the student's `findings`."""

    def ask(pixels: Tensor, _indices: Tensor, _view: int) -> ModelOutput:
        return align(teacher.teach(pixels), teacher.findings, findings)

    return ask


def weights_hash(net: nn.Module) -> str:
    """Hexadecimal digest of every parameter and buffer by name: equal for equal nets only."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
