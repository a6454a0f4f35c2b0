"""The published files of each protocol: where they lie, and the questions in them.

A source is a file, a folder with files under their published names, or a data set's id on the
hub, which is fetched where there is a network and ``huggingface_hub`` is installed.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from annotation.errors import DomainError
from benchmark import protocols
from benchmark.protocols.protocol import ReadQuestion, Refused
from config.sanitising import find_unstorable

MOST_REASONS = 20
MOST_SHOWN = 80
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class NotTaken(DomainError):
    """A file that is refused whole; ``reasons`` names each place at fault."""

    status = 422
    title = "The file is not taken"

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = list(reasons)
        shown = self.reasons[:MOST_REASONS]
        more = len(self.reasons) - len(shown)
        super().__init__("\n".join([*shown, *([f"and {more} more"] if more else [])]))


def located(source: str) -> Path:
    """A file or folder of this machine; a hub id is fetched into the hub's own cache first.

    Raises NotTaken for what is neither.
    """
    path = Path(source)
    if path.exists():
        return path
    if not HUB_ID.fullmatch(source):
        raise NotTaken([f"source: {source} is neither a file nor a folder"])
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError:
        reason = f"source: {source} is not here, and huggingface_hub, which could fetch it, neither"
        raise NotTaken([reason]) from None
    try:
        return Path(hub.snapshot_download(source, repo_type="dataset"))
    except Exception as error:  # The hub has an error of its own for each way of being away.
        said = str(error).partition("\n")[0]
        reason = f"source: {source} cannot be fetched from the hub ({said}); without a network, "
        raise NotTaken([f"{reason}give a folder with the published files"]) from error


def question_files(protocol: str, path: Path) -> list[Path]:
    """``path`` itself, or the question files in it under their published names.

    Raises NotTaken for a folder without any.
    """
    if not path.is_dir():
        return [path]
    patterns = protocols.named(protocol).files
    found = [file for pattern in patterns for file in sorted(path.rglob(pattern))]
    if not found:
        raise NotTaken([f"{path.name} holds no {' and no '.join(patterns)}{_of_another(path)}"])
    return found


def _of_another(folder: Path) -> str:
    """The benchmarks whose files a folder holds, for a message; empty for none."""
    held = [
        f"{file.name}, which {name} takes"
        for name, one in protocols.TABLE.items()
        for pattern in one.files
        for file in sorted(folder.rglob(pattern))[:1]
    ]
    return f" (but {'; '.join(held)})" if held else ""


def read_questions(protocol: str, path: Path) -> list[ReadQuestion]:
    """The questions of one file. Raises NotTaken with each place at fault."""
    with refusing():
        read = protocols.named(protocol).read_questions(path)
    # What a model answered is kept as well as can be (evaluating.Said); a question is as it is.
    places = [(number, find_unstorable(item.data)) for number, item in enumerate(read, start=1)]
    faults = [
        f"question {number}: {place[:MOST_SHOWN]} holds a character that cannot be stored"
        for number, place in places
        if place is not None
    ]
    if faults:
        raise NotTaken(faults)
    return read


@contextmanager
def refusing() -> Iterator[None]:
    """What a protocol refuses is NotTaken, with each place at fault."""
    try:
        yield
    except Refused as error:
        raise NotTaken(error.reasons) from error
    except (OSError, ValueError) as error:
        raise NotTaken([str(error)]) from error
