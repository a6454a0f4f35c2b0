"""Once round the loop: base model, pairs, labels, release, two chains, scores.

Read top to bottom: ``run_loop`` is the story, the functions below it are its sentences. What an
admin would click is done through the same domain functions as the pages use; what annotators do
goes over REST.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from django.db.models import Sum

from annotation.models import Project, Release, User
from annotation.releases import freezing
from benchmark.models import Evaluation
from demo import report, world
from demo.console import Console
from demo.crowd import Seen, label_everything
from demo.installation import Installation
from demo.preparing import Bench, import_prompts, make_annotators, make_bench, make_project
from training.checkpoints import registry
from training.models import Chain, Checkpoint, Run
from training.runs.requests import Common, Step, request_chain, request_run

BASE_MODEL = Path(__file__).parent / "base_model"
POLL_SECONDS = 0.5


class RunEndedBadly(RuntimeError):
    """A run of the demo did not succeed; the message says which and why."""


@dataclass(frozen=True)
class Plan:
    """How large the demo is."""

    prompts: int = 2800
    annotators: int = 5
    noise: float = 0.1
    """Share of judgments in which an annotator mixes the two responses up."""
    held_out_share: float = 0.12
    questions_per_type: int = 60
    measured_scenes: int = 256
    reward_changes: dict[str, Any] = field(default_factory=dict)
    """Changes to the preset "small-world" for both reward models."""
    ppo_changes: dict[str, Any] = field(default_factory=dict)


def run_loop(site: Installation, console: Console, *, seed: int, plan: Plan | None = None) -> None:
    """Everything that ``make demo`` shows; writes ``report.json`` into the site's folder."""
    plan = plan or Plan()
    admin = User.objects.get(username=site.admin)

    console.stage("A project, its annotators, a base model and questions about pictures")
    project = make_project(admin)
    tokens = make_annotators(project, admin, plan.annotators)
    base = registry.register_base("small-world base", folder=BASE_MODEL)
    inputs = site.folder / "inputs"
    prompts = import_prompts(project, plan.prompts, seed=seed, folder=inputs)
    bench = make_bench(
        questions_per_type=plan.questions_per_type,
        described=plan.measured_scenes,
        seed=seed,
        folder=inputs,
    )
    console.line(f"{len(prompts)} questions of {len(world.MIXTURE)} kinds, a picture each")
    console.line(f"watch it at {site.url}/projects/{project.slug}/")
    console.line(f"log in as {site.admin} with the password {site.password}")

    console.stage("The base model answers each question twice")
    common = Common(project=project, requested_by=admin, base=base, preset="small-world", seed=seed)
    sample = Step("sample", changes={"samples_per_prompt": 2}, options={"prompts": plan.prompts})
    _wait(site, console, [request_run(common, sample, name="Pairs of the base model")])

    console.stage("People compare the answers over REST")
    labels = _label(site, console, project, tokens, prompts, plan, seed)

    console.stage("A release freezes their preferences")
    release = freezing.make_release(
        project, seed=seed, held_out_share=plan.held_out_share, created_by=admin
    )
    console.line(f"{release.counts['preferences']} preferences, sha256 {release.sha256[:16]}…")
    console.line(_agreement(release))

    console.stage("Scores of the base; reward model, PPO and scores with and without facts")
    chains = _chains(project, admin, base, release, bench, plan, seed)
    _wait(site, console, [run for chain in chains.values() for run in _in_order(chain)])
    _wait_for_verdicts(site, list(chains.values()))

    console.stage("What came out")
    found = report.make(chains, seconds=console.seconds, labels=labels)
    report.write(found, site.folder / "report.json")
    report.show(found, console)
    console.finished = True


def _label(
    site: Installation,
    console: Console,
    project: Project,
    tokens: list[str],
    prompts: dict[Seen, world.Prompt],
    plan: Plan,
    seed: int,
) -> int:
    wanted = project.comparisons.aggregate(total=Sum("wanted_judgments"))["total"]
    judged = count(1)

    def on_judgment() -> None:
        done = next(judged)
        # Where two disagree a third is asked, so there is more to come than was planned.
        console.progress("judgments", done, max(wanted, done + 1))

    labels = label_everything(
        site.url,
        project.slug,
        tokens,
        prompts,
        noise=plan.noise,
        seed=seed,
        on_judgment=on_judgment,
    )
    console.progress("judgments", labels, labels)
    return labels


def _agreement(release: Release) -> str:
    alpha = release.agreement
    return (
        f"Krippendorff's alpha {alpha['alpha']:.2f} ({alpha['low']:.2f} to {alpha['high']:.2f})"
        if alpha and alpha["alpha"] is not None
        else "too few comparisons were judged twice to measure agreement"
    )


def _chains(
    project: Project,
    admin: User,
    base: Checkpoint,
    release: Release,
    bench: Bench,
    plan: Plan,
    seed: int,
) -> dict[str, Chain]:
    """The base alone, RLHF without facts, and Fact-RLHF; each ends with the same evaluations."""
    common = Common(
        project=project,
        requested_by=admin,
        base=base,
        release=release,
        preset="small-world",
        seed=seed,
    )

    def train(*, with_facts: bool) -> list[Step]:
        facts = {"with_facts": with_facts}
        return [
            Step("reward", changes=plan.reward_changes | facts),
            Step("ppo", changes=plan.ppo_changes | facts),
            *bench.steps(),
        ]

    return {
        "base": request_chain(common, bench.steps(), name="Base model"),
        "fact_rlhf": request_chain(common, train(with_facts=True), name="Fact-RLHF"),
        "rlhf": request_chain(common, train(with_facts=False), name="RLHF"),
    }


def _in_order(chain: Chain) -> list[Run]:
    return list(chain.runs.order_by("pk"))


def _wait(site: Installation, console: Console, runs: Sequence[Run]) -> None:
    """Until all have succeeded, showing those that are under way; RunEndedBadly otherwise."""
    shown: set[int] = set()
    while True:
        site.processes.check()
        current = list(Run.objects.filter(pk__in=[run.pk for run in runs]).order_by("pk"))
        for run in current:
            if run.state in ("failed", "cancelled", "lost"):
                raise RunEndedBadly(f"{run.name} has {run.state}: {run.error}")
            if run.state == "succeeded" and run.pk not in shown:
                shown.add(run.pk)
                took = run.duration.total_seconds() if run.duration else 0
                console.done(run.name, f"{took:.0f} s")
        if len(shown) == len(current):
            return
        running = [run for run in current if run.state == "running"]
        console.working([(run.name, run.percent, run.stage) for run in running])
        time.sleep(POLL_SECONDS)


def _wait_for_verdicts(site: Installation, chains: list[Chain]) -> None:
    evaluations = Evaluation.objects.filter(run__chain__in=chains)
    while evaluations.exclude(state=Evaluation.State.COMPLETE).exists():
        site.processes.check()
        failed = evaluations.filter(
            state__in=[Evaluation.State.FAILED, Evaluation.State.INCOMPLETE]
        ).first()
        if failed is not None:
            raise RunEndedBadly(f"{failed} has {failed.state}: {failed.error}")
        time.sleep(POLL_SECONDS)
