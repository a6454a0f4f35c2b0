"""``python -m demo.study``: does Fact-RLHF do what it claims, and what does as well?

The engine alone in the small world, over several seeds, with annotators who make mistakes. Of each
seed: pairs of the base model, a reward model with facts and one without, the policies of
``demo.study_arms``, and the base asked otherwise. The benchmark of the eight types is answered
with the most likely words unless said otherwise; an oracle that training never sees judges.

All of it lies in the output folder and is never made twice: the same command goes on where an
earlier one was interrupted, and ``--arms`` makes some of it now and the rest later. ``--page``
keeps the seeds that the page has already from the same plan and the same base, so that they may be
made on several machines. Set OMP_NUM_THREADS for the threads of training (default 1).
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import durable
from demo import study_page
from demo.console import Console
from demo.study_arms import NAMES
from demo.study_engine import RunFailed
from demo.study_report import Seeds
from demo.study_seed import BASE_MODEL, Plan, Seed


class OtherPlan(ValueError):
    """The output folder holds a study that was planned otherwise."""


def run_study(
    output: Path,
    seeds: Sequence[int],
    plan: Plan,
    console: Console,
    *,
    names: Sequence[str] = NAMES,
) -> list[dict[str, Any]]:
    """What was measured of each seed; raises OtherPlan for a folder planned otherwise.

    ``names`` are arms and controls: what is missing of them is made, and no others.
    """
    _keep_to(plan, output / "plan.json")
    found = []
    for number in seeds:
        console.stage(f"Seed {number}")
        found.append(Seed(output / f"seed-{number}", number, plan, console).run(names))
    return found


def made_from(plan: Plan) -> dict[str, Any]:
    """What seeds must have in common to stand in one table: the plan, and the base's weights."""
    weights = (BASE_MODEL / "model.safetensors").read_bytes()
    return {"plan": dataclasses.asdict(plan), "base": hashlib.sha256(weights).hexdigest()}


def _keep_to(plan: Plan, path: Path) -> None:
    wanted = json.dumps(dataclasses.asdict(plan), indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text(encoding="utf-8") != wanted:
        raise OtherPlan(f"{path} says otherwise; choose another --output")
    durable.write(path, wanted)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m demo.study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many repetitions")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--noise", type=float, default=Plan.noise, help="share of mistaken votes")
    parser.add_argument(
        "--arms", nargs="+", choices=NAMES, default=NAMES, metavar="ARM", help=", ".join(NAMES)
    )
    parser.add_argument("--output", type=Path, default=Path("var/study"), help="where it is kept")
    parser.add_argument("--page", type=Path, help="a page whose section of the study is rewritten")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    console, plan = Console(), Plan(noise=options.noise)
    # Asked to end, it ends as by Ctrl-C: the run under way saves where it is.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        seeds: Seeds = run_study(
            options.output,
            range(options.first, options.first + options.seeds),
            plan,
            console,
            names=options.arms,
        )
        if options.page is not None:
            seeds = study_page.write(options.page, seeds, made_from(plan))
        text = "\n\n".join(study_page.sections(seeds))
        console.line(text.replace("\n", "\n        "))
    except (RunFailed, OtherPlan, study_page.NoSuchSection) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        console.line("stopped; the same command goes on from here")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
