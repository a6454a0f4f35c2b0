"""Whether an ensemble of heads judges better than one, and whether its spread tells errors.

Takes seeds of the small world's study (``python -m demo.study``), trains the reward model of each
again on the same pairs with each choice of heads, and prints what held-out pairs say, all of which
report (nothing is chosen on them):

    OMP_NUM_THREADS=1 python -m perf.reward_heads STUDY/seed-1 STUDY/seed-2 … [--facts fact]

``spread`` and ``doubt`` are areas under the curve of telling the wrongly judged pairs by the spread
of the heads and by a small difference of the mean rewards; 0.5 says nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from training.rlhf.__main__ import main as engine

CHOICES: dict[str, dict[str, Any]] = {
    "one linear head": {},
    "one mlp head": {"head": "mlp"},
    "4 linear heads": {"ensemble": 4},
    "4 linear heads, centred": {"ensemble": 4, "center_rewards_coefficient": 0.01},
    "4 mlp heads": {"head": "mlp", "ensemble": 4},
}
FIGURES = {
    "accuracy": "held_out/accuracy",
    "loss": "held_out/loss",
    "spread": "held_out/spread_error_auc",
    "doubt": "held_out/doubt_error_auc",
}


def main() -> None:
    options = parse()
    print(f"{'':26}" + "".join(f"{name:>10}" for name in FIGURES))
    for choice, changes in CHOICES.items():
        found = [trained(seed, options.facts, changes) for seed in options.seeds]
        means = [mean(one.get(figure) for one in found) for figure in FIGURES.values()]
        print(f"{choice:26}" + "".join(means), flush=True)


def trained(seed: Path, facts: str, changes: dict[str, Any]) -> dict[str, float]:
    """Figures of a reward model on the pairs of one seed."""
    source = seed / f"reward-{facts}"
    spec = json.loads((source / "spec.json").read_text())
    spec["settings"] |= {"keep_best": False, **changes}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "spec.json").write_text(json.dumps(spec))
        for part in ("data", "images"):
            (folder / part).symlink_to((source / part).resolve(), target_is_directory=True)
        with contextlib.redirect_stdout(io.StringIO()):
            code = engine(["reward", "--run-dir", name])
        assert code == 0, folder
        lines = (folder / "events.jsonl").read_text().splitlines()
    ends = [event for event in map(json.loads, lines) if event.get("final")]
    figures: dict[str, float] = ends[-1]["metrics"]
    return figures


def mean(values: Any) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.fmean(known):>10.3f}" if known else f"{'':>10}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="+", type=Path)
    parser.add_argument("--facts", choices=("fact", "plain"), default="fact")
    return parser.parse_args()


if __name__ == "__main__":
    main()
