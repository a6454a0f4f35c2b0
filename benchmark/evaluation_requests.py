"""Asking for an evaluation as a run: what the page and the API have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from annotation.models import Project, User
from benchmark import evaluating
from benchmark.models import Evaluation, Judge, QuestionSet
from training.models import Checkpoint, Run
from training.runs import requests


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which model is to answer which questions, how, and who rates the answers."""

    project: Project
    requested_by: User
    checkpoint: Checkpoint
    question_set: QuestionSet
    judge: Judge
    temperature: float = 0.0
    preset: str = "default"
    seed: int = 0
    gpus: int = 0


def evaluable(projects: QuerySet[Project]) -> QuerySet[Checkpoint]:
    """Checkpoints that benchmarks measure: bases, and policies and reward models of
    ``projects``."""
    kinds = [Checkpoint.Kind.BASE, Checkpoint.Kind.POLICY, Checkpoint.Kind.REWARD_MODEL]
    return Checkpoint.objects.in_projects(projects).usable().filter(kind__in=kinds)


def repeat(evaluation: Evaluation, requested_by: User) -> Run:
    """Queue the same evaluation again: same model, questions, judge, settings, sampling and seed.

    Raises training.runs.requests.Refused for answers that were imported from a file, and for a
    wording that the judge is no longer asked in, since the result could not be compared.
    """
    run = evaluation.run
    if run is None or run.base is None:
        raise requests.Refused("evaluation", "its answers were imported; import the file again")
    if evaluation.judge.wording_for(evaluation.question_set) != evaluation.prompt_hash:
        raise requests.Refused("evaluation", "its judge is asked in another wording by now")
    common = requests.Common(
        project=run.project,
        requested_by=requested_by,
        base=run.base,
        policy=run.policy,
        preset=run.preset,
        model_changes=run.model,
        seed=run.seed,
        gpus=run.gpus,
    )
    step = requests.Step("evaluation", changes=run.settings, options=run.options)
    return requests.request_run(common, step, name=f"{run.name}, again"[:200])


_MISFIT = "a reward model is measured on pairs of responses, others on questions, not {questions}"


def _request_reward_evaluation(wanted: Wanted) -> Run:
    """Loaded as it was trained."""
    model, made_by = wanted.checkpoint, wanted.checkpoint.run
    base = model.base or (made_by.base if made_by else None)
    if base is None:
        raise requests.Refused("checkpoint", "its base is not known")
    common = requests.Common(
        project=wanted.project,
        requested_by=wanted.requested_by,
        base=base,
        reward_model=model,
        preset=made_by.preset if made_by else wanted.preset,
        model_changes=made_by.model if made_by else {},
        seed=wanted.seed,
        gpus=wanted.gpus,
    )
    options = {"question_set": wanted.question_set.pk, "judge": wanted.judge.pk}
    step = requests.Step("reward_evaluation", options=options)
    return requests.request_run(common, step, name=_named(wanted))


def judge_evaluation(question_set: QuestionSet, judge: Judge, **fields: Any) -> Evaluation:
    """A judge behind an endpoint measured on pairs of responses: it is asked about all of them
    whose picture is here, in both orders. Raises EvaluationError for what is none.
    """
    if not question_set.rules.ranks_judges or judge.kind != Judge.Kind.OPENAI:
        raise evaluating.NotSuitable(f"{question_set} does not measure {judge}.")
    asked = question_set.questions.exclude(image=None)
    if not asked.exists():
        raise evaluating.NotSuitable(
            f"None of the pictures of {question_set} is here, and a judge is asked only about "
            "pairs whose picture it sees. Import the set again with its images."
        )
    with transaction.atomic():
        name = judge.model or judge.name
        evaluation = evaluating.start(
            question_set=question_set, judge=judge, model_name=name, **fields
        )
        evaluating.store_answers(evaluation, {question: evaluating.Said("") for question in asked})
    return evaluation


def request_evaluation(wanted: Wanted) -> Run:
    """Queue the run. Raises training.runs.requests.Refused, which names the field at fault."""
    model = wanted.checkpoint
    rewards = model.kind == Checkpoint.Kind.REWARD_MODEL
    if rewards != wanted.question_set.rules.ranks_judges:
        raise requests.Refused("checkpoint", _MISFIT.format(questions=wanted.question_set))
    if rewards:
        return _request_reward_evaluation(wanted)
    trained = model.kind == Checkpoint.Kind.POLICY
    common = requests.Common(
        project=wanted.project,
        requested_by=wanted.requested_by,
        base=model.base if trained and model.base else model,
        policy=model if trained else None,
        preset=wanted.preset,
        seed=wanted.seed,
        gpus=wanted.gpus,
    )
    options = {
        "question_set": wanted.question_set.pk,
        "judge": wanted.judge.pk,
        "temperature": wanted.temperature,
    }
    step = requests.Step("evaluation", options=options)
    return requests.request_run(common, step, name=_named(wanted))


def _named(wanted: Wanted) -> str:
    made_by = wanted.checkpoint.run
    what = f"{wanted.question_set} for {wanted.checkpoint}"
    return requests.named(what, wanted.project, made_by.release if made_by else None)
