"""What a launcher is: it starts a run's engine command somewhere, and can tell how that goes.

The worker that follows a run knows only these two. Wherever the trainer runs, it sees the run
directory under the same path, reads only there and writes only there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from training.models import Run


class Launched(Protocol):
    """A trainer that was asked for. One thread follows it; ``lease_lost`` comes from another."""

    @property
    def job(self) -> str:
        """What the cluster calls it, for people; empty where there is no cluster."""

    @property
    def replayed(self) -> int:
        """Up to this byte ``events.jsonl`` is of earlier trainers."""

    @property
    def outlives_worker(self) -> bool:
        """Whether it goes on when its worker ends, for the next attempt to take up."""

    @property
    def trouble(self) -> Exception | None:
        """Why it ended, where the exit code does not tell: a Failed or Vanished to raise."""

    def wait(self, seconds: float) -> bool:
        """Wait at most about ``seconds``; whether it has ended."""

    def notice(self) -> str:
        """What people should know while it does not train, such as why it waits; or empty."""

    def usage(self) -> dict[str, Any]:
        """What it uses, as ``usage.Meter`` measures it; empty before the first measurement."""

    def stop(self, *, grace_seconds: float) -> None:
        """Ask it to save its work and end; end it after the grace."""

    def lease_lost(self) -> None:
        """The run may be somebody else's from now on."""

    def leave(self) -> None:
        """Whoever takes the run next decides about it."""

    def close(self) -> int:
        """End what still runs, unless it was left; the exit code, 128 + n for signal n."""


class Launcher(Protocol):
    """A way to start trainers."""

    leases_gpus: bool
    """Whether a run needs free slots among this host's own GPUs (``scheduling.claim``)."""

    def start(self, command: list[str], directory: Path, run: Run, *, gpus: list[int]) -> Launched:
        """Start ``command`` for ``run``, or take up what an earlier attempt left running.

        Raises Failed where it can never start, DirectoryBusy while another trainer is there.
        """

    def end_leftovers(self, directory: Path) -> bool:
        """See that nothing of a dead worker's attempt hinders the next; whether that is so."""
