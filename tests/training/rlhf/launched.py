"""What ``test_processes`` starts twice at once: the runs named on the command line, one by one.

No thread of theirs outlives their parting: one that lets go of a tensor while the interpreter is
taken down aborts the process.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from training.rlhf.__main__ import main
from training.rlhf.errors import EngineError
from training.rlhf.processes import processes, together


def threads() -> list[str]:
    """Names of this process's threads, also of those that Python does not know."""
    return [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]


def carry_out(directory: Path) -> int:
    kind = json.loads((directory / "spec.json").read_text())["kind"]
    return main([kind, "--run-dir", str(directory)])


if __name__ == "__main__":
    torch.set_num_threads(1)
    with together():
        assert processes().count == 2 and [name for name in threads() if "gloo" in name]
        processes().check_alike("number of processes", processes().count)
        with pytest.raises(EngineError, match="disagree about the rank"):
            processes().check_alike("rank", processes().number)
        codes = [carry_out(Path(name)) for name in sys.argv[1:]]
    assert not [name for name in threads() if "gloo" in name]
    print(f"codes of process {codes}", file=sys.stderr)
