"""What is told of a file of weights that is none, by the engine and by pages alike."""

from __future__ import annotations

from pathlib import Path


def instead_of_weights(path: Path) -> str:
    """What a file is, in words, that is no whole file of safetensors; OSError if unreadable."""
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if not start:
        return "is empty"
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS and not the file itself (git lfs pull fetches it)"
    if start.startswith(b"<"):
        return "is a page of HTML or XML"
    return "is no whole file of safetensors: it is damaged, or was cut off on its way"
