"""How a newcomer learns the rules: guidelines with worked examples, and the entry quiz.

Answers to the quiz are rows of their own. They are no judgments, so no release, figure or vote can
take one for work.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from annotation.models.items import Comparison
from annotation.models.projects import Membership, Project
from annotation.models.work import Choice, ShownInOrder


class SupersededGuidelines(models.Model):
    """The text of an earlier version; that of the newest one is in the project."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="superseded_guidelines", db_index=False
    )
    version = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    replaced_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["project", "version"], name="guidelines_version_once")
        ]

    def __str__(self) -> str:
        return f"version {self.version} of the guidelines of {self.project}"


class WorkedExample(models.Model):
    """A comparison answered and explained in the guidelines, from one version to another.

    What it says never changes. While ``added_in`` is empty it is a draft that only managers see;
    a change is a removal and a new draft.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="worked_examples")
    comparison = models.ForeignKey(
        Comparison, on_delete=models.CASCADE, related_name="worked_examples"
    )
    more_hallucinated = models.CharField(max_length=4, choices=Choice)
    why = models.TextField()
    spans: models.JSONField[Any] = models.JSONField(
        default=list, blank=True, help_text="Hallucinated words, as in a judgment."
    )
    added_in = models.PositiveIntegerField(null=True, blank=True)
    removed_in = models.PositiveIntegerField(null=True, blank=True)
    to_remove = models.BooleanField(
        default=False, help_text="Leaves the guidelines with their next version."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["comparison"],
                condition=Q(removed_in__isnull=True, to_remove=False),
                name="worked_example_once",
            ),
            models.CheckConstraint(
                condition=Q(removed_in__isnull=True) | Q(removed_in__gt=F("added_in")),
                name="worked_example_versions_in_order",
            ),
            models.CheckConstraint(
                condition=Q(more_hallucinated__in=Choice.values), name="worked_example_has_answer"
            ),
        ]

    def __str__(self) -> str:
        return f"example {self.comparison}"


class QuizQuestion(models.Model):
    """A gold comparison that newcomers are asked first."""

    comparison = models.OneToOneField(
        Comparison, on_delete=models.CASCADE, related_name="quiz_question"
    )

    class Meta:
        ordering = ["comparison"]

    def __str__(self) -> str:
        return f"quiz question {self.comparison}"


class QuizAttempt(models.Model):
    """One go of one member at all questions; ``passed`` is empty until the last is answered."""

    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, related_name="quiz_attempts", db_index=False
    )
    number = models.PositiveSmallIntegerField()
    pass_mark = models.FloatField(help_text="The project's when the attempt began.")
    passed = models.BooleanField(null=True, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["membership", "number"]
        constraints = [
            models.UniqueConstraint(fields=["membership", "number"], name="quiz_attempt_once"),
            models.CheckConstraint(
                condition=Q(passed__isnull=True, ended_at__isnull=True)
                | Q(passed__isnull=False, ended_at__isnull=False),
                name="quiz_attempt_ends_with_result",
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.membership}"


class QuizGrant(models.Model):
    """One attempt more for one member than the project allows, and which manager gave it."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="quiz_grants")
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    granted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"one more attempt of {self.membership}"


class QuizAnswer(ShownInOrder):
    """A question of one attempt, in its place and order of responses; empty until answered."""

    attempt = models.ForeignKey(
        QuizAttempt, on_delete=models.CASCADE, related_name="answers", db_index=False
    )
    position = models.PositiveSmallIntegerField(help_text="From 1.")
    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="+")
    known = models.CharField(
        max_length=4, choices=Choice, help_text="The right answer when the attempt began."
    )
    given = models.CharField(max_length=4, choices=Choice, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["attempt", "position"]
        constraints = [
            models.UniqueConstraint(fields=["attempt", "position"], name="quiz_place_once"),
            models.UniqueConstraint(fields=["attempt", "comparison"], name="quiz_asks_once"),
            models.CheckConstraint(
                condition=Q(shown_first__in=[1, 2]), name="quiz_shown_first_1_or_2"
            ),
            models.CheckConstraint(
                condition=Q(known__in=Choice.values)
                & (
                    Q(given="", answered_at__isnull=True)
                    | Q(given__in=Choice.values, answered_at__isnull=False)
                ),
                name="quiz_answer_is_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"question {self.position} of {self.attempt}"

    @property
    def right(self) -> bool:
        return self.given == self.known
