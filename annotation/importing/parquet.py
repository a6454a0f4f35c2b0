"""Parquet files, as RLHF-V and RLAIF-V are published: rows with their images inside.

They are turned into JSON lines and a zip by a child process with limits of memory, size and time,
and then imported as those are. pyarrow is an extra (``parquet``), and only the child loads it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from annotation.image_sources import Archive, Either, ImageSource
from annotation.importing.record_files import Problem

CHILD = Path(__file__).with_name("parquet_child.py")
MAGIC = b"PAR1"
LEAST_SECONDS = 120
BYTES_PER_SECOND = 2_000_000
NEEDS = "is a Parquet file; to read it, the server needs pyarrow (pip install 'factloop[parquet]')"


class NotConverted(Exception):
    """``problems`` says why, row by row."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(str(problems[0]))
        self.problems = problems


def is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


@contextlib.contextmanager
def unpacked(
    files: Sequence[Path], images: ImageSource
) -> Iterator[tuple[list[Path], ImageSource]]:
    """Files and images to import, with Parquet files made into what can be imported.

    What lies in such a file comes before ``images``. Raises NotConverted.
    """
    paths = []
    with contextlib.ExitStack() as stack:
        for path in files:
            if is_parquet(path):
                path, archive = stack.enter_context(converted(path))
                images = Either((Archive(archive, "the Parquet file"), images))
            paths.append(path)
        yield paths, images


@contextlib.contextmanager
def converted(path: Path) -> Iterator[tuple[Path, Path]]:
    """The same records as JSON lines, and a zip of their images, while the context lasts.

    Line n is row n, from 1. Raises NotConverted.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise NotConverted([Problem(0, "", NEEDS)])
    with tempfile.TemporaryDirectory() as folder:
        lines, archive = Path(folder) / "records.jsonl", Path(folder) / "images.zip"
        problems = _convert(path, lines, archive)
        if problems:
            raise NotConverted(problems)
        yield lines, archive


def _convert(path: Path, lines: Path, archive: Path) -> list[Problem]:
    seconds = LEAST_SECONDS + path.stat().st_size / BYTES_PER_SECOND
    try:
        child = subprocess.run(
            [sys.executable, "-I", str(CHILD), str(path), str(lines), str(archive)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            timeout=seconds,
            check=True,
        )
        said = json.loads(child.stdout)
    except (subprocess.SubprocessError, ValueError):
        return [Problem(0, "", "could not be read within limits of time, memory and size")]
    if "error" in said:
        return [Problem(0, "", said["error"])]
    return [Problem(one["line"], "", one["reason"]) for one in said["problems"]]
