"""Asking for an evaluation as a run: what the page and the API have in common."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from annotation.models import Project, User
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
    """Checkpoints that can answer questions: bases, and policies of ``projects``."""
    kinds = [Checkpoint.Kind.BASE, Checkpoint.Kind.POLICY]
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


def request_evaluation(wanted: Wanted) -> Run:
    """Queue the run. Raises training.runs.requests.Refused, which names the field at fault."""
    model = wanted.checkpoint
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
    return requests.request_run(common, step, name=f"Evaluation of {model}")
