"""A disk that remembers what was forced to it: a test can say what a loss of power leaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest


class Disk:
    """What a loss of power would leave: which files and folders were forced, as they were then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, mark: str = "") -> None:
        """``mark``: a file that says of all beside it that it is whole."""
        self.forced: dict[int, tuple[int, int]] = {}
        self.faults: list[str] = []
        self.named: list[str] = []
        self._mark, self._waiting = mark, dict[int, str]()
        self._fsync, self._replace, self._rename = os.fsync, os.replace, os.rename
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "replace", self.replace)
        monkeypatch.setattr(os, "rename", self.rename)

    def fsync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        found = os.fstat(descriptor)
        self.forced[found.st_ino] = (found.st_size, found.st_mtime_ns)
        self._waiting.pop(found.st_ino, None)

    def replace(self, source: Any, target: Any) -> None:
        self._look(Path(source), Path(target))
        self._replace(source, target)

    def rename(self, source: Any, target: Any) -> None:
        self._look(Path(source), Path(target))
        self._rename(source, target)

    def _look(self, source: Path, target: Path) -> None:
        if target.name.startswith("."):
            return  # Put aside: nobody believes it.
        self.named.append(target.name)
        believed = target.parent if target.name == self._mark else source
        for path in (source, *believed.rglob("*")) if believed.is_dir() else (source,):
            found = path.lstat()
            if path.is_symlink() or (path.is_dir() and path == target.parent):
                continue
            if self.forced.get(found.st_ino) != (found.st_size, found.st_mtime_ns):
                self.faults.append(f"{target.name}: {path.name} was not on the disk")
        self._waiting[target.parent.stat().st_ino] = f"the name of {target.name} was not"

    def lost(self) -> list[str]:
        return self.faults + list(self._waiting.values())
