"""How a trainer gets its processors: on this host, or through a cluster's queue.

A new launcher is one module with the two classes of ``launcher.py`` and one line in ``_LAUNCHERS``.
"""

from __future__ import annotations

from django.conf import settings

from training.runs.launchers.launcher import Launched, Launcher
from training.runs.launchers.local import Local
from training.runs.launchers.slurm import Slurm

__all__ = ["Launched", "Launcher", "of_this_worker"]

_LAUNCHERS: dict[str, Launcher] = {"local": Local(), "slurm": Slurm()}


def of_this_worker() -> Launcher:
    """The launcher that ``RUN_LAUNCHER`` names (``config.settings`` refuses other names)."""
    return _LAUNCHERS[settings.RUN_LAUNCHER]
