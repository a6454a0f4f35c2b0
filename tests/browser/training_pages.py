"""Training pages full of data, for pictures and for tests in the browser: nothing is trained."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from annotation.models import Comparison, Project, User
from tests.benchmark.factories import make_evaluation, make_judge, make_question_set
from training.models import Attempt, BaseImport, Checkpoint, Metric, RewardScore, Run, Sample
from training.runs import requests, scheduling
from training.runs.requests import Common, Step

PPO_FIGURES = (
    "reward",
    "hallucination_estimate",
    "kl",
    "response_tokens",
    "entropy",
    "policy_loss",
    "value_loss",
    "explained_variance",
)


def fill(
    project: Project, manager: User, *, points: int = 10_000, groups: int = 3, seeds: int = 3
) -> dict[str, Run]:
    """A chain whose PPO is under way with eight curves of ``points`` points, and scored pairs;
    ``groups`` groups of ended runs with ``seeds`` seeds each."""
    release = project.releases.order_by("pk").last()
    base, _ = Checkpoint.objects.get_or_create(
        run=None,
        name="llava-1.5-7b",
        defaults={"kind": Checkpoint.Kind.BASE, "source": "llava-hf/llava-1.5-7b-hf"},
    )
    common = Common(
        project=project, requested_by=manager, base=base, release=release, preset="small-world"
    )
    steps = [Step("reward"), Step("ppo"), Step("sample", options={"prompts": 500})]
    chain = requests.request_chain(common, steps, name="Fact-RLHF, first try")
    reward, ppo, sample = chain.runs.order_by("pk")
    reward_model = finish_reward(reward, points)
    run_ppo(ppo, project, points)
    scored = score(common, reward_model, project)
    failed = fail(common)
    import_bases(manager)
    many = many_runs(common, groups=groups, seeds=seeds)
    return {
        "reward": reward,
        "ppo": ppo,
        "sample": sample,
        "scored": scored,
        "failed": failed,
        "first of many": many[0],
        "last of many": many[-1],
    }


def many_runs(common: Common, *, groups: int, seeds: int, steps: int = 60) -> list[Run]:
    """Ended DPO runs that differ in learning rate and beta by group and in the seed inside one;
    the last group has one seed alone that failed."""
    draw = random.Random(4)
    prompts = list(common.project.prompts.select_related("image").order_by("pk")[:2])
    made = []
    for group in range(groups):
        rate = 1e-5 * 2 ** (group % 4)
        changes = {"optimizer": {"learning_rate": rate}, "beta": 0.05 * (1 + group // 4)}
        for seed in range(1 if group == groups - 1 and groups > 1 else seeds):
            name = f"DPO, rate {rate:g}, beta {changes['beta']:g}, seed {seed}"
            asked = dataclasses.replace(common, seed=seed)
            run = requests.request_run(asked, Step("dpo", changes=changes), name=name)
            attempt = begin(run)
            for figure, begun, ended in (
                ("train/loss", 0.69, 0.3 + 0.02 * group),
                ("train/accuracy", 0.5, 0.8 - 0.01 * group),
                ("held_out/accuracy", 0.5, 0.72 - 0.015 * group),
            ):
                shift = draw.gauss(0, 0.015)
                values = {
                    step: begun
                    + (ended + shift - begun) * math.tanh(3 * step / steps)
                    + draw.gauss(0, 0.01)
                    for step in range(1, steps + 1)
                }
                tell(run, figure, values)
            Sample.objects.bulk_create(
                Sample(
                    run=run,
                    step=steps,
                    prompt_id=prompt.external_id,
                    image=prompt.image.filename,
                    prompt=prompt.conversation[-1]["value"],
                    response=f"A {draw.choice(['red', 'blue', 'green'])} mug stands on a table "
                    f"beside {draw.randint(1, 5)} books.",
                    reward=draw.gauss(0, 1),
                    facts=[],
                )
                for prompt in prompts
            )
            if group == groups - 1 and groups > 1:
                scheduling.fail(attempt, "loss is not finite at step 61")
            else:
                checkpoint(run, Checkpoint.Kind.POLICY, steps, {"held_out/accuracy": 0.7})
                end(run, attempt)
            run.refresh_from_db()
            made.append(run)
    pks = [run.pk for run in made]
    Run.objects.filter(pk__in=pks[:seeds]).update(tags=["paper", "baseline"])
    questions = make_question_set(name="MMHal-Bench, a part", count=8, version="b" * 64)
    judge = make_judge("the lab's judge")
    for number, run in enumerate(made[: 2 * seeds]):
        ratings = [(number + place) % 4 + 2 for place in range(8)]
        made_by_it = run.checkpoints.first()
        if made_by_it is not None:
            asked = {"question_set": questions, "judge": judge, "checkpoint": made_by_it}
            make_evaluation(ratings, model_name=run.name, project=run.project, **asked)
    Run.objects.filter(pk=pks[0]).update(notes="The rate of the paper.\n\nSlow at first.")
    return made


def begin(run: Run) -> Attempt:
    attempt = scheduling.claim(run.pk, host="gpu-node-1", gpus=0)
    assert attempt is not None
    return attempt


def end(run: Run, attempt: Attempt) -> None:
    with scheduling.holding(attempt):
        scheduling.finish(attempt)
    run.refresh_from_db()


def finish_reward(run: Run, points: int) -> Checkpoint:
    attempt = begin(run)
    draw = random.Random(1)
    steps = range(1, points // 10 + 1)
    share = [step / len(steps) for step in steps]
    curves = {
        "train/loss": [0.69 - 0.25 * x + draw.gauss(0, 0.05) for x in share],
        "train/accuracy": [0.5 + 0.25 * x**0.5 + draw.gauss(0, 0.06) for x in share],
        "held_out/accuracy": [0.5 + 0.21 * x**0.5 for x in share[::50]],
    }
    for name, values in curves.items():
        every = len(steps) // len(values)
        tell(run, name, {1 + i * every: value for i, value in enumerate(values)})
    metrics = {"held_out/accuracy": 0.713, "held_out/accuracy_swapped": 0.713}
    made = checkpoint(run, Checkpoint.Kind.REWARD_MODEL, len(steps), metrics)
    end(run, attempt)
    return made


def run_ppo(run: Run, project: Project, points: int) -> None:
    attempt = begin(run)
    draw = random.Random(2)
    for number, name in enumerate(PPO_FIGURES):
        values = {
            step: math.tanh(4 * step / points) * (1 + number / 4) + draw.gauss(0, 0.08)
            for step in range(1, points + 1)
        }
        values[points // 3] += 4
        tell(run, f"ppo/{name}", values)
    Run.objects.filter(pk=run.pk).update(
        stage=f"rollout {points}/12000",
        progress_done=points,
        progress_total=12_000,
        progress_unit="round",
    )
    attempt.log_tail = "\n".join(f"a warning about line {line}" for line in range(60))
    attempt.save()
    prompts = list(project.prompts.select_related("image").order_by("pk")[:3])
    for step in range(0, points + 1, max(1, points // 20)):
        Sample.objects.bulk_create(
            Sample(
                run=run,
                step=step,
                prompt_id=prompt.external_id,
                image=prompt.image.filename,
                prompt=prompt.conversation[-1]["value"],
                response=f"A {'red' if step < points / 2 else 'blue'} mug stands on a wooden table "
                f"beside {2 + step * 3 // points} books, and a window opens on a green hill.",
                reward=-1.2 + 2.5 * step / points + draw.gauss(0, 0.2),
                facts=prompt.captions,
            )
            for prompt in prompts
        )
    saved = checkpoint(run, Checkpoint.Kind.POLICY, points, {}, final=False)
    Checkpoint.objects.filter(pk=saved.pk).update(name=f"{run.name}, step {points}")


def tell(run: Run, name: str, values: dict[int, float]) -> None:
    rows = [Metric(run=run, name=name, step=step, value=value) for step, value in values.items()]
    Metric.objects.bulk_create(rows, batch_size=5000)


def checkpoint(
    run: Run, kind: str, step: int, metrics: dict[str, float], *, final: bool = True
) -> Checkpoint:
    path = f"checkpoints/pictures-{run.pk}-{step}"
    default_storage.save(f"{path}/adapter_config.json", ContentFile(b"{}"))
    return Checkpoint.objects.create(
        run=run,
        kind=kind,
        name=run.name,
        base=run.base,
        step=step,
        final=final,
        path=path,
        files=[{"name": "adapter_config.json", "size": 2, "sha256": "0" * 64}],
        size=168_000_000,
        metrics=metrics,
    )


def score(common: Common, reward_model: Checkpoint, project: Project) -> Run:
    run = requests.request_scoring(reward_model, common.requested_by)
    attempt = begin(run)
    draw = random.Random(3)
    rows = project.comparisons.filter(gold_more_hallucinated="").order_by("pk")
    outcomes: Any = Comparison.Outcome
    for comparison in rows.exclude(outcome=outcomes.UNDECIDED):
        waits = comparison.outcome != outcomes.DECIDED
        sure = draw.betavariate(4, 2)
        right = waits or draw.random() < 0.72
        first = (comparison.preference or 1) == (1 if right else 2)
        chance = 0.5 + sure / 2 if first else 0.5 - sure / 2
        RewardScore.objects.create(
            comparison=comparison,
            run=run,
            reward_1=2 * chance - 1 + draw.gauss(0, 0.3),
            reward_2=1 - 2 * chance + draw.gauss(0, 0.3),
            probability_1=chance,
            spread_1=draw.gammavariate(2, 0.1),
            spread_2=draw.gammavariate(2, 0.1),
            spread=draw.gammavariate(2, 0.2),
            trained_on=not waits and draw.random() < 0.3,
            priority_points=round(100 * (1 - sure)) if waits else 0,
        )
    moved = {name: draw.randint(2, 20) for name in ("raised", "lowered", "unchanged")}
    for name, value in {**moved, "comparisons": sum(moved.values())}.items():
        Metric.objects.create(run=run, name=f"scored/{name}", step=0, value=value)
    end(run, attempt)
    return run


def fail(common: Common) -> Run:
    run = requests.request_run(common, Step("dpo"), name="DPO on the same release")
    scheduling.fail(
        begin(run),
        "data/train.jsonl, line 17: image: 'a3f9.png' is not in the images folder",
    )
    run.refresh_from_db()
    return run


def import_bases(manager: User) -> None:
    """One import that was refused, and one under way."""
    BaseImport.objects.create(
        name="an older model",
        source="org/older-7b",
        created_by=manager,
        state=BaseImport.State.FAILED,
        error="pytorch_model.bin could carry code: only safetensors weights are taken, and no "
        "programs",
    )
    BaseImport.objects.create(
        name="qwen3-vl-8b",
        source="Qwen/Qwen3-VL-8B-Instruct",
        created_by=manager,
        state=BaseImport.State.RUNNING,
        stage="fetching model-00002-of-00004.safetensors (9 of 14)",
        done=5_400_000_000,
        total=17_500_000_000,
        revision="0c351dd01ed87e9c1b53cbc748cba10e6187ff3b",
    )


def pages(runs: dict[str, Run]) -> dict[str, str]:
    """Name of the picture -> address."""
    ppo, reward = runs["ppo"], runs["reward"]
    release, slug = ppo.release_id, ppo.project.slug
    policy = reward.checkpoints.get(final=True)
    first, last = runs["first of many"], runs["last of many"]
    of_kind = Run.objects.filter(kind=first.kind, project=first.project).order_by("pk")
    several = "&".join(f"run={pk}" for pk in of_kind.values_list("pk", flat=True)[:8])
    many = "&".join(f"run={pk}" for pk in of_kind.values_list("pk", flat=True)[:22])
    keys = list(dict.fromkeys(of_kind.values_list("group", flat=True)))
    grouped = "&".join(f"group={key}" for key in keys[:4])
    return {
        "runs": "/training/",
        "runs-grouped": "/training/?grouped=yes",
        "runs-none-found": "/training/?q=nothing",
        "runs-columns": "/training/columns/",
        "run-describe": f"{first.get_absolute_url()}describe/",
        "run-noted": first.get_absolute_url(),
        "compare-nothing": "/training/compare/",
        "compare-two": f"/training/compare/?run={first.pk}&run={last.pk}",
        "compare-runs": f"/training/compare/?{several}&baseline=run-{first.pk}",
        "compare-many": f"/training/compare/?{many}&baseline=run-{first.pk}",
        "compare-groups": f"/training/compare/?{grouped}&baseline=group-{first.group}",
        "run": ppo.get_absolute_url(),
        "run-ended": reward.get_absolute_url(),
        "run-failed": runs["failed"].get_absolute_url(),
        "run-scored": runs["scored"].get_absolute_url(),
        "run-waiting": runs["sample"].get_absolute_url(),
        "chain-choose": "/training/new/",
        "chain-new": f"/training/new/?release={release}",
        "chain-again": f"/training/new/?chain={ppo.pk}",
        "checkpoints": "/training/checkpoints/",
        "checkpoint": policy.get_absolute_url(),
        "disagreement": f"/training/projects/{slug}/disagreement/",
        "health": "/training/health/",
        "base-import-new": "/training/bases/import/",
        "base-import": BaseImport.objects.get(state="running").get_absolute_url(),
        "base-import-refused": BaseImport.objects.get(state="failed").get_absolute_url(),
    }
