"""A disk of a few megabytes that a test may fill, where mounting one is permitted."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEGABYTE = 1 << 20


@contextmanager
def mounted(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """``folder`` as a disk of its own in memory; skips the test without the right to mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Write a file that leaves ``leave`` bytes free; returns its path."""
    ballast = disk / "ballast"
    free = os.statvfs(disk)
    with ballast.open("wb") as handle:
        handle.write(bytes(max(0, free.f_bavail * free.f_frsize - leave)))
    return ballast
