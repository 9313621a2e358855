"""metrics.jsonl: one JSON object a line, in order of steps, without repetition after a resumption."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from pocketcxr.domain.errors import CheckpointError
from pocketcxr.train.atomic import write_atomically

Record = dict[str, float | None]


def append_metrics(path: Path, step: int, figures: Mapping[str, float | None]) -> None:
    """Add a line {"step": step, ...}; what is not finite is null. Raises CheckpointError when the disk refuses."""
    finite = {name: value if value is not None and math.isfinite(value) else None for name, value in figures.items()}
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **finite}) + "\n")
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written ({error.strerror or error}); make room, then run the same command again"
        ) from error


def read_metrics(path: Path) -> list[Record]:
    """All whole lines of the file, oldest first, without one cut short by a kill; none where there is no file."""
    if not path.exists():
        return []
    records: list[Record] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def cut_metrics(path: Path, step: int) -> None:
    """Drop what was written after `step`: a resumed run writes it again."""
    kept = [record for record in read_metrics(path) if (record["step"] or 0) <= step]
    write_atomically(path, "".join(json.dumps(record) + "\n" for record in kept).encode())
