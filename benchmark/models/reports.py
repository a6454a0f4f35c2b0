"""What is known of a reward model's worth, beside its scores on benchmarks."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.urls import reverse


class ReportCard(models.Model):
    """Figures of one reward model on the held-out pairs of its release (``report_cards.figures``);
    made anew it takes the place of the one before."""

    checkpoint = models.OneToOneField(
        "training.Checkpoint", models.CASCADE, related_name="report_card"
    )
    run = models.ForeignKey("training.Run", models.PROTECT, related_name="+")
    figures: models.JSONField[Any] = models.JSONField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-updated_at", "-pk"]

    def __str__(self) -> str:
        return f"Report card of {self.checkpoint}"

    def get_absolute_url(self) -> str:
        return reverse("benchmark:report-card", args=[self.checkpoint_id])
