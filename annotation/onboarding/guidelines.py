"""Guidelines and their worked examples, by version.

Examples are prepared as drafts and published together, so that people are asked to read the
guidelines again once and not for every example.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from annotation import gold_and_repeats
from annotation.answers import Answer
from annotation.errors import DomainError
from annotation.models import (
    Comparison,
    Membership,
    Project,
    QuizQuestion,
    User,
    WorkedExample,
)
from annotation.models.work import Choice


class ExampleAlready(DomainError):
    status = 409
    title = "The comparison is an example already"


class NothingToPublish(DomainError):
    status = 409
    title = "Nothing has changed"


class NoSuchVersion(DomainError):
    status = 422
    title = "There is no such version of the guidelines"


@dataclass(frozen=True, kw_only=True)
class Version:
    """The guidelines as they were at one version."""

    number: int
    text: str
    examples: list[WorkedExample]


def at(project: Project, version: int | None = None) -> Version | None:
    """The guidelines at ``version`` (the newest one unless named); None for one that never was."""
    number = project.guidelines_version if version is None else version
    if number == project.guidelines_version:
        text: str | None = project.guidelines
    else:
        earlier = project.superseded_guidelines.filter(version=number)
        text = earlier.values_list("text", flat=True).first()
    if text is None:
        return None
    return Version(number=number, text=text, examples=list(examples(project, number)))


def acknowledged(project: Project, user: User) -> int | None:
    """The newest version that a member has said to have read, 0 for none; None for outsiders."""
    mine = Membership.objects.filter(project=project, user=user)
    return mine.values_list("guidelines_acknowledged", flat=True).first()


def acknowledge(project: Project, user: User, version: int) -> int:
    """A member has read ``version``; the newest version that they have read. Never goes back.

    The version is the one that was on screen: a newer one that came meanwhile is not read by that.
    Raises NoSuchVersion for one that is yet to come.
    """
    if version > project.guidelines_version:
        raise NoSuchVersion(f"The newest is {project.guidelines_version}.", field="version")
    mine = Membership.objects.filter(project=project, user=user)
    mine.filter(guidelines_acknowledged__lt=version).update(guidelines_acknowledged=version)
    return acknowledged(project, user) or 0


def examples(project: Project, version: int) -> QuerySet[WorkedExample]:
    """The published examples of one version."""
    there = Q(removed_in__isnull=True) | Q(removed_in__gt=version)
    found = project.worked_examples.filter(there, added_in__lte=version)
    return _with_pictures(found)


def pending(project: Project) -> QuerySet[WorkedExample]:
    """What the next version adds and takes out."""
    changed = Q(added_in__isnull=True) | Q(to_remove=True)
    return _with_pictures(project.worked_examples.filter(changed, removed_in__isnull=True))


def _with_pictures(rows: QuerySet[WorkedExample]) -> QuerySet[WorkedExample]:
    return rows.select_related("comparison__project", "comparison__prompt__image")


def draft(
    comparison: Comparison,
    author: User,
    *,
    more_hallucinated: str,
    why: str,
    spans: list[dict[str, Any]],
) -> WorkedExample:
    """A new example for the next version.

    The comparison becomes gold, if it is not: what everybody is shown with its answer is no work.
    Raises InvalidAnswer and ExampleAlready.
    """
    helpful = "tie" if more_hallucinated == Choice.TIE else ""
    answer = Answer(more_hallucinated=more_hallucinated, more_helpful=helpful, spans=spans)
    with transaction.atomic():
        project = Project.objects.select_for_update(no_key=True).get(pk=comparison.project_id)
        answer.check(project, comparison)
        standing = project.worked_examples.filter(
            comparison=comparison, removed_in__isnull=True, to_remove=False
        )
        if standing.exists():
            raise ExampleAlready("Take the example out first; then it can be written anew.")
        if QuizQuestion.objects.filter(comparison=comparison).exists():
            raise ExampleAlready("It is a question of the entry quiz, which would give it away.")
        comparison.refresh_from_db()
        if not comparison.is_gold:
            gold_and_repeats.make_gold(
                comparison, more_hallucinated=more_hallucinated, explanation=why
            )
        return project.worked_examples.create(
            comparison=comparison,
            more_hallucinated=more_hallucinated,
            why=why,
            spans=spans,
            created_by=author,
        )


def remove(example: WorkedExample) -> None:
    """Drops a draft at once; takes a published example out with the next version."""
    # As it stands in the database: it may have been published since it was read.
    stored = WorkedExample.objects.filter(pk=example.pk)
    dropped, _ = stored.filter(added_in__isnull=True).delete()
    if not dropped:
        stored.update(to_remove=True)


def publish(project: Project) -> int:
    """Begins a version with the drafts and without what is to be removed; its number.

    Raises NothingToPublish.
    """
    with transaction.atomic():
        locked = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        if not pending(locked).exists():
            raise NothingToPublish("Add or take out an example first.")
        locked.next_guidelines(locked.guidelines)
        version = locked.guidelines_version
        standing = locked.worked_examples.filter(removed_in__isnull=True)
        standing.filter(to_remove=True).update(removed_in=version, to_remove=False)
        standing.filter(added_in__isnull=True).update(added_in=version)
    project.refresh_from_db(fields=["guidelines_version"])
    return version
