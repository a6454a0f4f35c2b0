"""Trouble with storage, in words for people that name the setting to look at."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from annotation.errors import DomainError

OF_A_FOLDER = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is full: the quota is used up",
    errno.EFBIG: "does not take files that large",
    errno.EROFS: "is mounted read-only",
    errno.EACCES: "may not be written or read by this process",
    errno.EPERM: "may not be written or read by this process",
    errno.EIO: "has a disk that reports errors",
    errno.ESTALE: "is no longer mounted",
}


class StorageTrouble(DomainError):
    """Storage did not do what was asked: full, not reached, refusing. It may pass."""

    status = 503
    title = "Storage did not do what was asked"


class Damaged(StorageTrouble):
    """What storage holds, or gives back, is not what was stored."""

    title = "A file in storage is damaged"


@contextmanager
def in_words(what: str, setting: str) -> Iterator[None]:
    """Turns an OSError into StorageTrouble; a file that is not there stays FileNotFoundError.

    ``what`` is for people, such as "storage"; ``setting`` is where an operator looks.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        said = OF_A_FOLDER.get(error.errno or 0) or f"failed ({error.strerror or 'no reason'})"
        raise StorageTrouble(f"{what} {said}; look at {setting}") from error
