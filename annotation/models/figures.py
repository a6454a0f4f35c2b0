"""Counts derived from judgments, kept so that pages need not read every judgment.

Nothing here is a source: ``annotation.quality.figures`` makes all of it anew from the judgments.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation.models.projects import Project

COUNTS = (
    "answers",
    "skipped",
    "ties",
    "timed",
    "paired",
    "agreed",
    "gold",
    "gold_right",
    "repeats",
    "repeats_same",
    "named",
    "named_first",
    "unequal",
    "longer",
)
"""The whole numbers of a WorkDay."""


class WorkDay(models.Model):
    """What one person did in a project on one day (of the installation's time zone)."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="work_days", db_index=False
    )
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    day = models.DateField()
    answers = models.PositiveIntegerField(help_text="Judgments first given on this day.")
    skipped = models.PositiveIntegerField()
    ties = models.PositiveIntegerField(help_text="Answers “about the same”.")
    timed = models.PositiveIntegerField(help_text="Answers that came with an active time.")
    active_seconds = models.FloatField(help_text="Sum of those active times.")
    paired = models.PositiveIntegerField(
        help_text="Over the day's votes, how many votes of others stand beside each, added up."
    )
    agreed = models.PositiveIntegerField(help_text="Those of ``paired`` that say the same.")
    gold = models.PositiveIntegerField()
    gold_right = models.PositiveIntegerField()
    repeats = models.PositiveIntegerField(help_text="Own answers asked again.")
    repeats_same = models.PositiveIntegerField(help_text="Repeats answered as the first time.")
    named = models.PositiveIntegerField(help_text="Answers that name a response.")
    named_first = models.PositiveIntegerField(help_text="Those that name the one shown first.")
    unequal = models.PositiveIntegerField(help_text="``named``, of responses of unequal length.")
    longer = models.PositiveIntegerField(help_text="Those that favour the longer response.")

    class Meta:
        ordering = ["day", "annotator"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "day", "annotator"], name="work_day_once_per_person"
            )
        ]
        indexes = [
            models.Index(fields=["project", "annotator", "day"], name="work_day_of_person"),
            models.Index(fields=["annotator"], name="work_day_by_annotator"),
        ]

    def __str__(self) -> str:
        return f"{self.annotator_id} in {self.project_id} on {self.day}"


class Figures(models.Model):
    """What a project's judgments amounted to at one moment."""

    project = models.OneToOneField(
        Project, on_delete=models.CASCADE, primary_key=True, related_name="figures"
    )
    as_of = models.DateTimeField(null=True, help_text="Empty until counted once.")
    cost_seconds = models.FloatField(default=0, help_text="What counting took.")
    data: models.JSONField[Any] = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "figures"
        constraints = [
            models.CheckConstraint(condition=Q(cost_seconds__gte=0), name="figures_cost_a_duration")
        ]

    def __str__(self) -> str:
        return f"figures of {self.project_id}"
