"""Files and folders of a disk that are whole or absent, also after a loss of power.

A rename alone promises nothing: afterwards the name may be there and the content not. So what gets
its name here is on the disk before, with all that is in it, and the name is on the disk before
anybody is told. Nothing else in the project gives a name that is believed (tests/test_durable.py).
Standard library only: the site, its settings, the engine and a cluster's nodes share it.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_CANNOT = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EPERM}
"""Said of a folder that its file system cannot force, and need not, or that is not ours."""


def place(part: Path, final: Path, *, check: Callable[[], object] | None = None) -> None:
    """Give a file or a folder, which was written as ``part`` on the same disk, its name.

    It is forced to the disk, then ``check``, which may raise, is called, then it takes the place
    of what has the name. A folder that has it is first put aside, so after a kill in between there
    may be neither. Raises OSError and what ``check`` raises; before the rename ``final`` is then
    as it was.
    """
    force(part)
    if check is not None:
        check()
    if part.is_dir() and not part.is_symlink():
        _place_folder(part, final)
    else:
        os.replace(part, final)
        _force_folder(final.parent)


def write(path: Path, content: str | bytes) -> None:
    """A small file, by ``place``; its folder is there already."""
    part = path.with_name(f".{uuid.uuid4().hex}.partial")
    data = content.encode() if isinstance(content, str) else content
    try:
        part.write_bytes(data)
        place(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def force(path: Path) -> None:
    """Have a file, or a folder with all that is in it, on the disk. Links are not followed."""
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        for entry in sorted(path.iterdir()):
            force(entry)
        _force_folder(path)
    elif stat.S_ISREG(mode):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_folder(folder: Path) -> None:
    """With the folders above it; each is entered durably into the one above."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _force_folder(folder.parent)


def unlink(path: Path) -> None:
    """Take a name away so that it stays away; one that is not there is no error."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        _force_folder(path.parent)


def _place_folder(part: Path, final: Path) -> None:
    old = final.with_name(f".{final.name}.old.partial")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    part.rename(final)
    _force_folder(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def _force_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
