"""What a person has set for their own table of runs."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from training.models.runs import Run


class RunColumns(models.Model):
    """The columns that a person has chosen, by their keys (``training.figures.columns``)."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="run_columns"
    )
    columns = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"Columns of {self.person}"


class RunPin(models.Model):
    """A run that stands first in a person's table."""

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="run_pins", db_index=False
    )
    run = models.ForeignKey(Run, models.CASCADE, related_name="pins")

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["person", "run"], name="run_pinned_once_a_person")
        ]

    def __str__(self) -> str:
        return f"{self.run} of {self.person}"
