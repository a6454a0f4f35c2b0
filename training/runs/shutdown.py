"""Whether this worker has been asked to end; its pool processes know it as soon as the worker does.

Celery's main process gets the signal and waits for what its pool carries out, which for a training
run may be days, and tells the pool nothing. One byte of memory, shared with everything forked from
the process that imported this module, says it.
"""

from __future__ import annotations

import mmap

_asked = mmap.mmap(-1, 1)


def ask() -> None:
    """The worker is to end: runs under way are saved and given back. May be called by a signal."""
    _asked[0] = 1


def asked() -> bool:
    return _asked[0] == 1
