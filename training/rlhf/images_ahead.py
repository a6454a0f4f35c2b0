"""Worker processes that decode and preprocess the images of the next round.

They are started anew and not forked from this process, which holds a GPU and threads; they touch
neither, and they end when it ends, even by SIGKILL.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from pathlib import Path
from typing import Any

import torch

from training.rlhf.errors import DataError
from training.rlhf.pixels import Pixels, Preprocessing

log = logging.getLogger(__name__)

_preprocess: Preprocessing
"""In a worker: what it was started to do."""


class Ahead:
    """Pixels of the images that are expected, made by ``workers`` processes."""

    def __init__(self, preprocess: Preprocessing, workers: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_begin, initargs=(preprocess,)
        )
        self._coming: dict[Path, Future[Any]] = {}

    def expect(self, paths: Sequence[Path]) -> None:
        """Begin with ``paths``, in their order; what is left of earlier ones is dropped."""
        for future in self._coming.values():
            future.cancel()
        self._coming = {}
        with contextlib.suppress(BrokenProcessPool):
            self._coming = {path: self._pool.submit(_pixels, path) for path in paths}

    def take(self, path: Path) -> Pixels | None:
        """Its pixels, waited for; DataError as in the processor.

        None if it was not expected, or if the workers were killed: then it has to be done here.
        """
        future = self._coming.pop(path, None)
        try:
            found = None if future is None else future.result()
        except BrokenProcessPool:
            log.warning("a process that decodes images ahead was killed: they are decoded here")
            self._coming = {}
            return None
        if found is None:
            return None
        if isinstance(found, str):
            raise DataError(found)
        arrays, ids = found
        return Pixels({name: torch.from_numpy(array) for name, array in arrays.items()}, ids)

    def close(self) -> None:
        """End the workers."""
        self._pool.shutdown(cancel_futures=True)


def _begin(preprocess: Preprocessing) -> None:
    global _preprocess
    _preprocess = preprocess
    torch.set_num_threads(1)
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # meant for the run, which goes on to a checkpoint
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)  # nobody is left to be told


def _pixels(path: Path) -> tuple[dict[str, Any], list[int]] | str:
    """As arrays, which travel as bytes: tensors would travel as open files. Or what is wrong."""
    try:
        pixels = _preprocess(path)
    except DataError as error:
        return str(error)
    return {name: tensor.numpy() for name, tensor in pixels.inputs.items()}, pixels.placeholder_ids
