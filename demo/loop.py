"""Once round the loop: base model, pairs, labels, release, two chains, scores.

Read top to bottom: ``run_loop`` is the story, the functions below it are its sentences. What an
admin would click is done through the same domain functions as the pages use; what annotators do
goes over REST.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from django.db.models import Sum

from annotation import image_sources, importing, projects
from annotation.models import ApiToken, Project, Release, User
from annotation.models.projects import Role
from annotation.onboarding import joining
from annotation.releases import freezing
from benchmark import importing as benchmark_importing
from benchmark.models import Evaluation, Judge, QuestionSet
from benchmark.protocols.small_world import question_record
from demo import report, world
from demo.console import Console
from demo.crowd import label_everything
from demo.installation import Installation
from demo.questions import DESCRIBE
from demo.scenes import caption
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


@dataclass(frozen=True)
class Bench:
    """The question sets of the demo and the judge that knows their truth."""

    questions: QuestionSet
    descriptions: QuestionSet
    judge: Judge

    def steps(self) -> list[Step]:
        """Two evaluations: descriptions sampled, and the eight types answered greedily.

        In this order, because the dashboard begins with what was measured last.
        """
        asked = ((self.descriptions, 1.0), (self.questions, 0.0))
        return [
            Step(
                "evaluation",
                options={
                    "question_set": question_set.pk,
                    "judge": self.judge.pk,
                    "temperature": temperature,
                },
            )
            for question_set, temperature in asked
        ]


def run_loop(site: Installation, console: Console, *, seed: int, plan: Plan | None = None) -> None:
    """Everything that ``make demo`` shows; writes ``report.json`` into the site's folder."""
    plan = plan or Plan()
    admin = User.objects.get(username=site.admin)

    console.stage("A project, its annotators, a base model and questions about pictures")
    project = _project(admin)
    tokens = _annotators(project, admin, plan.annotators)
    base = registry.register_base("small-world base", folder=BASE_MODEL)
    prompts = _prompts(project, plan, seed, site.folder / "inputs")
    bench = _bench(plan, seed, site.folder / "inputs")
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


def _project(admin: User) -> Project:
    """A project of its own for each time the demo runs, so that nothing is ever overwritten."""
    number = Project.objects.filter(slug__startswith="small-world").count() + 1
    slug = "small-world" if number == 1 else f"small-world-{number}"
    return projects.create(
        Project(
            slug=slug,
            name="Small world" if number == 1 else f"Small world {number}",
            description="Questions about rendered scenes with a known truth.",
            # Two people each, and a third where they disagree: of the 10 % mistakes 3 % are left.
            judgments_per_comparison=2,
            max_judgments=3,
            guidelines=(
                "Compare each answer with the picture.\n\n"
                "- **Hallucinated** is an object, colour, shape, place or number that is not so.\n"
                "- If both are equally honest, prefer the one that answers the question, and of "
                "two descriptions the one that names more of what is there."
            ),
        ),
        manager=admin,
    )


def _annotators(project: Project, admin: User, people: int) -> list[str]:
    """Members with a token each, usable for a day; nobody can log in as them."""
    tokens = []
    for number in range(1, people + 1):
        user, _ = User.objects.get_or_create(username=f"demo-annotator-{number}")
        user.set_unusable_password()
        user.save()
        joining.add(project, user, Role.ANNOTATOR)
        _, raw = ApiToken.create(
            user, name=f"demo {secrets.token_hex(3)}", scopes=["annotate"], days=1
        )
        tokens.append(raw)
    return tokens


def _prompts(project: Project, plan: Plan, seed: int, folder: Path) -> dict[str, world.Prompt]:
    """Imports the questions and their pictures; by id, with what annotators see in them."""
    prompts = world.mixture(plan.prompts, seed=seed)
    pictures = _pictures(folder / "images", {p.record.image: p.picture() for p in prompts})
    records = folder / "prompts.jsonl"
    _write_lines(records, [prompt.record.to_json() for prompt in prompts])
    importing.import_files(project, [records], image_sources.Folder(pictures), format="prompts")
    return {prompt.record.id: prompt for prompt in prompts}


def _bench(plan: Plan, seed: int, folder: Path) -> Bench:
    """The small world's MMHal-Bench, and many scenes to describe for the oracle."""
    described = [
        question_record(
            question_type="holistic",
            question_id=prompt.record.id,
            scene=prompt.scene,
            question=DESCRIBE,
            answer=caption(prompt.scene),
        )
        for prompt in world.prompts(plan.measured_scenes, seed=seed, held_out=True)
    ]
    judge, _ = Judge.objects.get_or_create(
        kind=Judge.Kind.EXACT, defaults={"name": "Exact rule of the small world"}
    )
    return Bench(
        questions=_question_set(
            "Small world: eight types, six of them trained on",
            world.questions(plan.questions_per_type, seed=seed),
            folder,
        ),
        descriptions=_question_set("Small world: descriptions, sampled", described, folder),
        judge=judge,
    )


def _question_set(name: str, records: list[dict[str, Any]], folder: Path) -> QuestionSet:
    file = folder / f"{name}.json"
    pictures = {
        record["image_src"].rsplit("/", 1)[-1]: world.picture_of(record) for record in records
    }
    _pictures(folder / name, pictures)
    file.write_text(json.dumps(records), encoding="utf-8")
    return benchmark_importing.import_questions(
        "small_world", file, images_from=image_sources.Folder(folder / name), name=name
    )


def _label(
    site: Installation,
    console: Console,
    project: Project,
    tokens: list[str],
    prompts: dict[str, world.Prompt],
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


def _pictures(folder: Path, pictures: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    return folder


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
