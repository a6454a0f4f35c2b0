"""Where the real data lies that some tests try themselves on; they skip where it is absent."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def shared_data(*parts: str) -> Path:
    """A path under the shared data (FACTLOOP_SHARED, or ``shared`` beside the repository)."""
    root = Path(os.environ.get("FACTLOOP_SHARED") or REPOSITORY.parent / "shared")
    path = root.joinpath("data", *parts)
    if not path.exists():
        pytest.skip(f"{path.name} of the shared data is not here")
    return path
