"""Names of pictures as data sets write them, found in the folder that holds the pictures.

The rule is that of the site's imports (``annotation.reading.names``), which the engine cannot
import; one test reads the same names with both. Two names fit if one path is a suffix of the other,
and COCO's two spellings of a picture are one picture.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from pathlib import Path

from training.rlhf.errors import DataError

Key = tuple[str, ...]
_COCO_NAME = re.compile(r"(?:COCO_(?:train|val|test)20\d\d_)?(\d{12})(\.[A-Za-z]+)?")
_COCO_FOLDER = re.compile(r"(?:train|val|test)20\d\d")


def normal(name: str) -> str:
    """One spelling of a path: NFC, "/" between its parts, none of them empty, "." or padded."""
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    return "/".join(part for part in (part.strip() for part in parts) if part not in ("", "."))


def leaves_its_folder(name: str) -> bool:
    """Whether a path could lead out of the folder that it is looked up in, or is none at all."""
    path = name.replace("\\", "/")
    return not normal(path) or "\0" in path or ".." in path.split("/")


def key(name: str) -> Key:
    """What two names must share from the end on to fit: the parts, COCO's spellings made one."""
    *folders, last = normal(name).split("/")
    found = _COCO_NAME.fullmatch(last)
    if found:
        last = f"{found[1]}{(found[2] or '').lower()}"
        if folders and _COCO_FOLDER.fullmatch(folders[-1]):
            folders.pop()
    return (*folders, last)


def is_file(path: Path) -> bool:
    """Whether there is one; no system holds a file whose name is too long or holds NUL."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


class Pictures:
    """The files of a folder, listed when the first name is not there as it is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_last: dict[str, list[tuple[Key, str]]] | None = None
        self._exact: dict[str, str] = {}

    def find(self, wanted: str) -> str | None:
        """The one file that ``wanted`` means, from the folder on; None for none.

        Raises DataError where several fit, and where it leaves the folder.
        """
        if leaves_its_folder(wanted):
            raise DataError(f"image: {wanted[:100]!r} is outside the images folder")
        for name in (normal(wanted), wanted.removeprefix("/")):
            if is_file(self._folder / name):
                return name
        if self._by_last is None:
            self._by_last = self._listed()
        if normal(wanted) in self._exact:
            return self._exact[normal(wanted)]
        mine = key(wanted)
        fitting = [
            name
            for other, name in self._by_last.get(mine[-1], [])
            if mine[-min(len(mine), len(other)) :] == other[-min(len(mine), len(other)) :]
        ]
        if len(fitting) > 1:
            shown = ", ".join(sorted(fitting)[:3])
            raise DataError(f"image: {wanted[:100]!r} fits several files of its folder: {shown}")
        return fitting[0] if fitting else None

    def _listed(self) -> dict[str, list[tuple[Key, str]]]:
        by_last: dict[str, list[tuple[Key, str]]] = defaultdict(list)
        for parent, _, files in os.walk(self._folder):
            for file in files:
                name = (Path(parent) / file).relative_to(self._folder).as_posix()
                self._exact.setdefault(normal(name), name)
                by_last[key(name)[-1]].append((key(name), name))
        return by_last
