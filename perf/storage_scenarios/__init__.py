"""What writes to storage, each as a scenario: acted in a process that dies, then looked at.

A scenario has ``begin`` (what is asked for, in the database), ``act`` (the work; it may end
anywhere), ``look`` (what anybody could reach now that is not whole) and ``finish`` (the work is
done again, as after a restart; what is wrong in the end). Both return faults as texts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from perf.storage_scenarios.imports import ImportRecords, StoreImage
from perf.storage_scenarios.releases import FreezeRelease, WriteFolder
from perf.storage_scenarios.runs import PrepareRun, StoreCheckpoint


class Scenario(Protocol):
    """``arguments`` are JSON, made by ``begin``."""

    def begin(self, folder: Path) -> dict[str, Any]: ...
    def act(self, arguments: dict[str, Any]) -> None: ...
    def look(self, arguments: dict[str, Any]) -> list[str]: ...
    def finish(self, arguments: dict[str, Any]) -> list[str]: ...


SCENARIOS: dict[str, Scenario] = {
    "release": FreezeRelease(),
    "image": StoreImage(),
    "import": ImportRecords(),
    "export": WriteFolder(),
    "run directory": PrepareRun(),
    "checkpoint": StoreCheckpoint(),
}
