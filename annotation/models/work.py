"""Who has a comparison now, and what each person answered.

A judgment stores which *response* was named, never which side of the screen it stood on.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy

from annotation.models.items import Comparison
from annotation.models.projects import Project


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    def ready_to_show(self) -> AssignmentQuerySet:
        """With project, comparison, prompt and image.

        By keys and not by a join: the planner's statistics of a table that grows all the time
        are always old, and a join of the newest rows may then read a whole index.
        """
        return self.select_related("project").prefetch_related("comparison__prompt__image")


class ShownInOrder(models.Model):
    """Something that shows the two responses of its ``comparison`` in a recorded order."""

    comparison: Any

    shown_first = models.PositiveSmallIntegerField(
        help_text="The response shown as A (left, or on top): 1 or 2."
    )

    class Meta:
        abstract = True

    @property
    def order(self) -> tuple[int, int]:
        """The numbers of the responses in the order shown: A, then B."""
        return (1, 2) if self.shown_first == 1 else (2, 1)

    @property
    def responses(self) -> list[tuple[str, int, str]]:
        """("A", number, text) and ("B", number, text) as shown."""
        texts = {1: self.comparison.response_1, 2: self.comparison.response_2}
        return [
            (label, number, texts[number]) for label, number in zip("AB", self.order, strict=True)
        ]

    def turned(self, choice: str) -> str:
        """A choice by place (1: shown as A) for one by number in the record, or the other way."""
        if self.shown_first == 1:
            return choice
        return {"1": "2", "2": "1"}.get(choice, choice)


class Assignment(ShownInOrder):
    """A lease on a comparison: one per comparison and person, for ever, and at most one repeat.

    An expired one may be handed to the same person again; it keeps its token and shown order, so
    that an answer still waiting in somebody's browser finds its place.
    """

    class State(models.TextChoices):
        OPEN = "open", "With the annotator"
        EXPIRED = "expired", "Given back"
        SKIPPED = "skipped", "Skipped"
        JUDGED = "judged", "Judged"

    class Purpose(models.TextChoices):
        """Gold and repeats measure the annotator: their votes do not count.

        Nothing that an annotator is sent may tell them from work.
        """

        WORK = "work", "Work"
        GOLD = "gold", "The answer is known"
        REPEAT = "repeat", "Own answer, asked again with the sides exchanged"

    class SkipReason(models.TextChoices):
        IMAGE_BROKEN = "image_broken", gettext_lazy("The image is broken or missing")
        LANGUAGE = "language", gettext_lazy("I do not know the language")
        SENSITIVE = "sensitive", gettext_lazy("The content is sensitive")
        CANNOT_TELL = "cannot_tell", gettext_lazy("I cannot tell")

    # No index of their own: each begins one of the composite ones below.
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="assignments", db_index=False
    )
    comparison = models.ForeignKey(
        Comparison, on_delete=models.CASCADE, related_name="assignments", db_index=False
    )
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="assignments",
        db_index=False,
    )
    token = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    purpose = models.CharField(max_length=6, choices=Purpose, default=Purpose.WORK, editable=False)
    shows = models.ForeignKey(
        Comparison,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        db_index=False,
        help_text="The check that stands in for the comparison until it is answered or skipped.",
    )
    shows_as = models.CharField(max_length=6, editable=False, blank=True, db_default="", default="")
    skip_reason = models.CharField(max_length=20, choices=SkipReason, blank=True)
    skip_note = models.TextField(blank=True)
    leased_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = AssignmentQuerySet.as_manager()

    locked_at: datetime
    """The database's time when ``annotation.leases.locked`` locked the row; else not there."""

    class Meta:
        ordering = ["-leased_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["comparison", "annotator"],
                condition=~Q(purpose="repeat"),
                name="assignment_once_per_person",
            ),
            models.UniqueConstraint(
                fields=["comparison", "annotator"],
                condition=Q(purpose="repeat"),
                name="assignment_repeated_once",
            ),
            models.CheckConstraint(
                condition=Q(purpose__in=["work", "gold", "repeat"]), name="assignment_purpose_known"
            ),
            models.CheckConstraint(
                condition=Q(shown_first__in=[1, 2]), name="assignment_shown_first_1_or_2"
            ),
            models.CheckConstraint(
                condition=Q(state="skipped") & ~Q(skip_reason="")
                | ~Q(state="skipped") & Q(skip_reason=""),
                name="assignment_skip_has_reason",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=Q(state="open"), name="assignment_to_expire"
            ),
            models.Index(
                fields=["annotator", "project", "state", "-ended_at"], name="assignment_of_person"
            ),
            models.Index(fields=["project", "state"], name="assignment_by_state"),
            models.Index(
                fields=["shows"], condition=Q(shows__isnull=False), name="assignment_shows_check"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id} with {self.annotator_id}"

    @property
    def responses(self) -> list[tuple[str, int, str]]:
        """("A", 1, text) and ("B", 2, text): annotators are not told the record's numbers."""
        return [
            (letter, place, text)
            for place, (letter, _, text) in enumerate(super().responses, start=1)
        ]

    @property
    def counts(self) -> bool:
        """Whether it holds a slot, and its judgment is a vote."""
        return self.purpose == self.Purpose.WORK


class Choice(models.TextChoices):
    """An answer to one of the two questions: a response, or neither."""

    RESPONSE_1 = "1", "Response 1"
    RESPONSE_2 = "2", "Response 2"
    TIE = "tie", "About the same"


class AnswerFields(models.Model):
    """What a person answers. Helpfulness is asked after a tie and only then."""

    more_hallucinated = models.CharField(max_length=4, choices=Choice)
    more_helpful = models.CharField(max_length=4, choices=Choice, blank=True)
    spans: models.JSONField[Any] = models.JSONField(
        default=list,
        blank=True,
        help_text='[{"response": 1 or 2, "start": …, "end": …, "kind": …}], in characters.',
    )
    corrections: models.JSONField[Any] = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text='[{"response": 1 or 2, "text": …}]: the response as it ought to read; its own '
        "text where nothing in it is false.",
    )
    confidence = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(5)]
    )
    note = models.TextField(blank=True)
    active_seconds = models.FloatField(
        null=True, blank=True, help_text="Time with the page visible and in use."
    )

    class Meta:
        abstract = True


ANSWER_FIELDS = tuple(field.name for field in AnswerFields._meta.local_fields)

ANSWER_IS_WHOLE = Q(more_hallucinated="tie", more_helpful__in=Choice.values) | Q(
    more_hallucinated__in=["1", "2"], more_helpful=""
)


class Judgment(AnswerFields):
    """One person's answer to one comparison, as it stands now; every version is kept beside."""

    assignment = models.OneToOneField(Assignment, on_delete=models.CASCADE, related_name="judgment")
    comparison = models.ForeignKey(
        Comparison, on_delete=models.CASCADE, related_name="judgments", db_index=False
    )
    version = models.PositiveIntegerField(default=1)
    surplus = models.BooleanField(
        default=False,
        help_text="Kept but not counted: it came after its place had gone to somebody else, or it "
        "was asked to measure the annotator.",
    )
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=ANSWER_IS_WHOLE, name="judgment_answer_is_whole"),
            models.CheckConstraint(
                condition=Q(active_seconds__isnull=True) | Q(active_seconds__gte=0),
                name="judgment_time_not_negative",
            ),
        ]
        indexes = [
            models.Index(fields=["comparison", "surplus"], name="judgment_votes"),
            # How many corrected something: of a project that asks for it, few of all rows.
            models.Index(
                fields=["comparison"], condition=~Q(corrections=[]), name="judgment_corrected"
            ),
            # Rows come in the order of time: for "in the last hour" a few kilobytes are enough.
            BrinIndex(fields=["created_at"], name="judgment_by_time"),
        ]

    def __str__(self) -> str:
        return f"judgment {self.pk} of comparison {self.comparison_id}"


class JudgmentVersion(AnswerFields):
    """A judgment as it was given at one time. Rows are added, never changed."""

    judgment = models.ForeignKey(
        Judgment, on_delete=models.CASCADE, related_name="versions", db_index=False
    )
    version = models.PositiveIntegerField()
    client_uuid = models.UUIDField(
        unique=True, help_text="Made by the client: the same one is the same act, sent again."
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["judgment", "version"]
        constraints = [
            models.UniqueConstraint(fields=["judgment", "version"], name="judgment_version_once"),
            models.CheckConstraint(condition=ANSWER_IS_WHOLE, name="version_answer_is_whole"),
        ]

    def __str__(self) -> str:
        return f"version {self.version} of judgment {self.judgment_id}"


class Adjudication(models.Model):
    """A reviewer's word on a disputed comparison; it replaces the votes."""

    comparison = models.OneToOneField(
        Comparison, on_delete=models.CASCADE, related_name="adjudication"
    )
    adjudicator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="adjudications"
    )
    more_hallucinated = models.CharField(max_length=4, choices=Choice)
    more_helpful = models.CharField(max_length=4, choices=Choice, blank=True)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=ANSWER_IS_WHOLE, name="adjudication_is_whole")
        ]

    def __str__(self) -> str:
        return f"adjudication of comparison {self.comparison_id}"
