"""The runs that are broken, how they are asked for, and what must be true of them in the end."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from training.models import Attempt, Run, State

LORA = {"rank": 4, "alpha": 4}
OFTEN = {"lora": LORA, "batch_size": 2, "micro_batch_size": 2, "epochs": 1000, "max_steps": 80}
SETTINGS: dict[str, dict[str, Any]] = {
    "sft": {**OFTEN, "checkpoint_every": 10},
    "reward": {**OFTEN, "checkpoint_every": 10, "evaluate_every": 40},
    "ppo": {
        "lora": LORA,
        "steps": 8,
        "rollout_batch_size": 4,
        "rollout_micro_batch_size": 4,
        "batch_size": 4,
        "micro_batch_size": 4,
        "checkpoint_every": 1,
        "sampling": {"query_length": 32, "response_length": 6},
    },
}
MOST_ATTEMPTS = 20


@dataclass
class Bench:
    """A labelled project, and every run that was asked for in it."""

    common: Any
    kinds: tuple[str, ...]
    """What is asked for in turn: fine-tuning alone, or all of SETTINGS."""
    runs: list[int] = field(default_factory=list)
    reference: dict[str, dict[str, str]] = field(default_factory=dict)
    """Digests of the weights that an undisturbed run of each kind leaves, by file name."""

    @classmethod
    def make(cls, folder: Path, kinds: tuple[str, ...]) -> Bench:
        from annotation.exporting import make_release
        from tests.training.factories import make_common
        from tests.training.labelled import labelled_project
        from tests.training.rlhf import tiny
        from training.checkpoints import registry

        project = labelled_project()
        base = registry.register_base("tiny", folder=tiny.save_base(folder / "tiny"))
        release = make_release(project, held_out_share=0.3)
        fields = {"preset": "small-world", "gpus": 1, "max_attempts": MOST_ATTEMPTS}
        return cls(make_common(project, base=base, release=release, **fields), kinds)

    def ask(self, kind: str, *, after: Run | None = None, name: str = "") -> Run:
        from training.runs import requests
        from training.runs.requests import Step

        step = Step(kind, changes=SETTINGS[kind])
        run = requests.request_run(self.common, step, name=name or kind, after=after)
        self.runs.append(run.pk)
        return run

    def ask_next(self) -> list[Run]:
        """One run of fine-tuning, or PPO with the reward model that it needs before it."""
        if "ppo" not in self.kinds or len(self.runs) % 3 == 0:
            return [self.ask("sft")]
        reward = self.ask("reward")
        return [reward, self.ask("ppo", after=reward)]

    def remember(self) -> None:
        """Take the weights of the runs so far as those that all later ones must end with."""
        for run in self.asked():
            self.reference[run.kind] = weights(run)
        self.runs.clear()

    def asked(self) -> QuerySet[Run]:
        return Run.objects.filter(pk__in=self.runs)

    def unfinished(self) -> int:
        return self.asked().filter(state__in=(State.QUEUED, State.RUNNING)).count()


def weights(run: Run) -> dict[str, str]:
    """Digests of the final weights by file name; empty when the run left none."""
    checkpoint = run.checkpoints.filter(final=True).first()
    files = checkpoint.files if checkpoint is not None else []
    return {one["name"]: one["sha256"] for one in files if one["name"].endswith(".safetensors")}


@dataclass(frozen=True)
class Ends:
    """How the runs ended; all but the first two must be 0."""

    asked: int
    resumed: int
    not_succeeded: int
    unequal: int
    overlapping: int
    strayed: int
    twice: int


def ends(bench: Bench, folder: Path) -> Ends:
    runs = list(bench.asked())
    done = [run for run in runs if run.state == State.SUCCEEDED]
    return Ends(
        asked=len(runs),
        resumed=sum(run.attempt_count > 1 for run in runs),
        not_succeeded=len(runs) - len(done),
        unequal=sum(weights(run) != bench.reference[run.kind] for run in done),
        overlapping=sum(_overlaps(list(run.attempts.order_by("number"))) for run in runs),
        strayed=sum(_strays(run, folder) for run in runs),
        twice=sum(run.checkpoints.filter(final=True).count() > 1 for run in runs),
    )


def _overlaps(attempts: list[Attempt]) -> bool:
    pairs = itertools.pairwise(attempts)
    return any(one.ended_at is None or two.claimed_at < one.ended_at for one, two in pairs)


def _strays(run: Run, folder: Path) -> int:
    """Events that a trainer of one host wrote after the run had gone to another host."""
    claims = list(run.attempts.order_by("number").values_list("claimed_at", "host"))
    strays = 0
    for path in folder.glob(f"*/{run.pk}/events.jsonl"):
        for line in path.read_text().splitlines():
            try:
                moment = json.loads(line)["time"]
            except ValueError:
                continue  # Cut off by a kill in the middle of the line.
            owners = [host for claimed_at, host in claims if claimed_at.timestamp() <= moment]
            strays += not owners or owners[-1] != path.parent.parent.name
    return strays
