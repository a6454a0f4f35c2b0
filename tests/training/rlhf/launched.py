"""What ``test_processes`` starts twice at once: the runs named on the command line, one by one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from training.rlhf.__main__ import main
from training.rlhf.processes import processes, together


def carry_out(directory: Path) -> int:
    kind = json.loads((directory / "spec.json").read_text())["kind"]
    return main([kind, "--run-dir", str(directory)])


if __name__ == "__main__":
    torch.set_num_threads(1)
    with together():
        assert processes().count == 2
        codes = [carry_out(Path(name)) for name in sys.argv[1:]]
    print(f"codes of process {codes}", file=sys.stderr)
