"""Fixtures every room may use."""

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real chest X-rays kept outside the repository; skips where it is absent."""
    folder = Path(os.environ.get("POCKETCXR_SHARED_DATA", _REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real X-rays here: docs/how-to/real-data.md says where they belong (POCKETCXR_SHARED_DATA)")
    return folder
