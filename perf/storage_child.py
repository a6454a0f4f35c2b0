"""Carries out what writes to storage, and dies where perf.storage_faults says.

One process loads everything, then forks for each order, a line of JSON on stdin:

    {"scene": NAME, "arguments": {...}, "storage": FOLDER, "die_at": N,
     "die_after_bytes": N, "most_bytes": N}

The fork kills itself with SIGKILL at the Nth line that it executes of the modules that handle
storage, or is killed by the kernel in the middle of a write that makes a file longer than N bytes
(SIGXFSZ). With ``most_bytes`` such a write fails instead, half done, as on a full disk. The answer
is a line of JSON: how many lines there were, if it lived, and what it raised.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import django
from django.test import override_settings

ROOT = Path(__file__).resolve().parent.parent
WATCHED = {
    str(ROOT / name)
    for name in (
        "annotation/storage/contents.py",
        "annotation/storage/folder.py",
        "annotation/storage/whole_files.py",
        "annotation/exporting/folders.py",
        "annotation/images.py",
        "annotation/importing/one_import.py",
        "annotation/jobs.py",
        "annotation/releases/freezing.py",
        "training/checkpoints/checkpoint_files.py",
        "training/checkpoints/registry.py",
    )
}


class Tracer:
    """Counts the lines executed in WATCHED, and ends the process at one of them."""

    def __init__(self, die_at: int) -> None:
        self.count = 0
        self._die_at = die_at

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename in WATCHED else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.count += 1
            if self.count == self._die_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._line


def main() -> None:
    django.setup()
    from config import wakeup
    from perf import storage_scenes

    # Nobody is to be told of what is carried out here and killed.
    wakeup.after_commit = lambda *_: None  # type: ignore[assignment]
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            os.close(told)
            os.write(tell, json.dumps(_carry_out(order, storage_scenes)).encode())
            os._exit(0)
        os.close(tell)
        with os.fdopen(told, "rb") as file:
            said = file.read()
        os.waitpid(child, 0)
        print(said.decode() or json.dumps({"killed": True}), flush=True)


def _carry_out(order: dict[str, Any], scenes: Any) -> dict[str, Any]:
    if order.get("die_after_bytes"):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    most = order.get("die_after_bytes") or order.get("most_bytes")
    if most:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tracer = Tracer(order.get("die_at", 0))
    override_settings(MEDIA_ROOT=order["storage"]).enable()
    act = scenes.SCENES[order["scene"]].act
    sys.settrace(tracer)
    try:
        act(order["arguments"])
        raised = ""
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
    finally:
        sys.settrace(None)
    return {"lines": tracer.count, "raised": raised}


if __name__ == "__main__":
    main()
