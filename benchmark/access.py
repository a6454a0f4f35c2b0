"""Who may see or do what in benchmark, in terms of ``annotation.access``.

An evaluation names models and shows their answers, which annotators must not know while they
compare them: seeing one needs the right to review its project, changing one the right to manage
it. An evaluation without a project, question sets and judges are open to everybody who may review
some project.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404

from annotation import access
from annotation.access import Permission
from annotation.models import Image
from benchmark.models import (
    Evaluation,
    EvaluationQuerySet,
    Judge,
    Question,
    QuestionSet,
    SharedLink,
    Verdict,
)
from training.models import Checkpoint


def may_read(user: Any) -> bool:
    """Whether ``user`` may see benchmarks at all."""
    return bool(user.is_superuser) or access.projects_where(user, Permission.REVIEW).exists()


def require_reader(user: Any) -> None:
    """Raises PermissionDenied for those who review no project."""
    if not may_read(user):
        raise PermissionDenied("Benchmarks show models by name; this needs the role reviewer.")


def evaluations(user: Any) -> EvaluationQuerySet:
    """The evaluations that ``user`` may see."""
    if not may_read(user):
        return Evaluation.objects.none()
    return Evaluation.objects.visible_in(access.projects_where(user, Permission.REVIEW))


def evaluation(user: Any, pk: int) -> Evaluation:
    """One that ``user`` may see: Http404 for outsiders, PermissionDenied for annotators."""
    found = Evaluation.objects.with_origin().filter(pk=pk).first()
    if found is None:
        raise Http404
    if found.project is not None and not (found.is_of_shared_base and may_read(user)):
        access.require(user, found.project, Permission.REVIEW)
    elif not may_read(user):
        raise Http404
    return found


def sees_project(user: Any, evaluation: Evaluation) -> bool:
    """Whether ``user`` may also see the run and the project that it was made in."""
    return evaluation.project is None or access.may(user, evaluation.project, Permission.REVIEW)


def may_start(user: Any) -> bool:
    """Whether ``user`` manages a project to start an evaluation in."""
    return access.projects_where(user, Permission.MANAGE).exists()


def require_starter(user: Any) -> None:
    """Raises PermissionDenied for those who manage no project."""
    if not may_start(user):
        raise PermissionDenied("Starting an evaluation needs the role manager in a project.")


def require_manager(user: Any, evaluation: Evaluation) -> None:
    """Raises PermissionDenied unless ``user`` may change the evaluation."""
    if not may_manage(user, evaluation):
        raise PermissionDenied("This needs the role manager in the evaluation's project.")


def may_manage(user: Any, evaluation: Evaluation) -> bool:
    """A manager of its project; an administrator where it has none."""
    if evaluation.project is None:
        return bool(user.is_superuser)
    return access.may(user, evaluation.project, Permission.MANAGE)


def question(user: Any, pk: int) -> Question:
    """A question of any set for those who may read benchmarks; Http404 otherwise."""
    found = Question.objects.select_related("question_set", "image").filter(pk=pk).first()
    if found is None or not may_read(user):
        raise Http404
    return found


def reward_model(user: Any, pk: int) -> Checkpoint:
    """A reward model of a run whose project ``user`` may review; Http404 otherwise."""
    rows = Checkpoint.objects.filter(kind=Checkpoint.Kind.REWARD_MODEL).exclude(run=None)
    found = rows.select_related("run__project", "run__release", "base").filter(pk=pk).first()
    if found is None or found.run is None:
        raise Http404
    access.require(user, found.run.project, Permission.REVIEW)
    return found


def may_share(user: Any) -> bool:
    """Only administrators show anything to people without an account."""
    return bool(user.is_superuser)


def require_sharer(user: Any) -> None:
    """Raises PermissionDenied for everybody but administrators."""
    if not may_share(user):
        raise PermissionDenied("Only administrators make and revoke public links.")


def may_import_questions(user: Any) -> bool:
    """Only administrators: question sets belong to no project."""
    return bool(user.is_superuser)


def what_is_missing(user: Any) -> dict[str, bool]:
    """What a page that starts evaluations says where nothing can be started yet."""
    return {
        "has_questions": QuestionSet.objects.exists(),
        "has_judges": Judge.objects.exists(),
        "may_import": may_import_questions(user),
    }


def require_question_importer(user: Any) -> None:
    """Raises PermissionDenied for everybody but administrators."""
    if not may_import_questions(user):
        raise PermissionDenied("Only administrators import the questions of a benchmark.")


def shared_link(token: str) -> SharedLink:
    """The open link with this token, for anybody; Http404 for any other, for an expired and for a
    revoked one alike."""
    found = SharedLink.objects.open().matching(token).first()
    if found is None:
        raise Http404
    return found


def shared_evaluation(link: SharedLink, pk: int) -> Evaluation:
    """One that the link shows: complete, and chosen when it was made."""
    found = Evaluation.objects.shared_by(link).with_origin().filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def shared_photograph(link: SharedLink, pk: int) -> Image:
    """The picture of a question that one of the link's evaluations answers, where allowed."""
    shared = Evaluation.objects.shared_by(link)
    asked = Question.objects.filter(pk=pk, answers__evaluation__in=shared)
    found = asked.select_related("image").first()
    if not (link.with_answers and link.with_photographs) or found is None or found.image is None:
        raise Http404
    return found.image


def person_judge(user: Any, pk: int) -> Judge:
    """A judge of kind person, for those who may read benchmarks; Http404 otherwise."""
    found = Judge.objects.filter(pk=pk, kind=Judge.Kind.PERSON).first()
    if found is None or not may_read(user):
        raise Http404
    return found


def question_sets(user: Any) -> Any:
    return QuestionSet.objects.all() if may_read(user) else QuestionSet.objects.none()


def verdict_to_settle(user: Any, pk: int) -> Verdict:
    """A verdict of an evaluation that ``user`` may change."""
    found = Verdict.objects.select_related("answer__evaluation__project").filter(pk=pk).first()
    if found is None:
        raise Http404
    require_manager(user, evaluation(user, found.answer.evaluation_id))
    return found
