"""What benchmarks read by default, and what they say where it is not there: `make bench` gives none an argument."""

from pathlib import Path

QUICKSTART = Path("quickstart")
"""What `make quickstart` leaves in the folder that benchmarks are started in."""


def is_missing(needs: str, *inputs: Path | None) -> bool:
    """Whether one of the inputs is not given or not there; then one line says so, and what the benchmark needs."""
    for one in inputs:
        if one is None or not one.exists():
            what = "no input is given" if one is None else f"{one} is not there"
            print(f"skipped: {what}; needs {needs}")
            return True
    return False
