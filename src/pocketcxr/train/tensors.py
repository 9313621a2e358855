"""Named tensors with a JSON header in one safetensors file: what both checkpoints and learnt weights are."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pocketcxr.domain.errors import CheckpointError
from pocketcxr.train.atomic import write_atomically

Header = TypeVar("Header", bound=BaseModel)

_KEY = "pocketcxr"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: BaseModel) -> None:
    """Write all `tensors` and the header atomically. Raises CheckpointError when the disk refuses."""
    # safetensors knows no strides, so channels_last weights are laid out plainly; reading copies them back into place.
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(plain, metadata={_KEY: header.model_dump_json()}))


def read_header(path: Path, header: type[Header]) -> Header:
    """The header alone, no tensor loaded. Raises CheckpointError when the file is missing, damaged or foreign."""
    return _read(path, header, with_tensors=False)[0]


def read_tensors(path: Path, header: type[Header]) -> tuple[Header, dict[str, Tensor]]:
    """The header and all tensors on the CPU. Raises CheckpointError when the file is missing, damaged or foreign."""
    return _read(path, header, with_tensors=True)


def select(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name begins with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def copy_into(target: Mapping[str, Tensor], source: Mapping[str, Tensor], what: str) -> None:
    """Copy each tensor of `source` into `target`'s of that name. Raises CheckpointError unless names and shapes fit."""
    wrong = sorted(target.keys() ^ source.keys())
    wrong += [name for name in target.keys() & source.keys() if target[name].shape != source[name].shape]
    if wrong:
        raise CheckpointError(
            f"{what} does not fit: {len(wrong)} tensors are missing, unknown or of another shape (first: {wrong[0]}); "
            "it comes from another net or another version of it: choose another --out and train again"
        )
    for name, tensor in source.items():
        target[name].detach().copy_(tensor)


def _read(path: Path, header: type[Header], with_tensors: bool) -> tuple[Header, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()} if with_tensors else {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); {_NEXT_STEP}") from error
    if text is None:
        raise CheckpointError(f"{path} was not written by pocketcxr; {_NEXT_STEP}")
    try:
        return header.model_validate_json(text), tensors
    except ValidationError as error:
        raise CheckpointError(
            f"{path} has a header of another version ({error.errors()[0]['msg']}); {_NEXT_STEP}"
        ) from error


_NEXT_STEP = "delete that file to start the run anew, or bring back a copy of it"
