"""What machines answer about comparisons, and what people's answers to a sample allow of it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse

from annotation.models.items import MACHINE_ANSWERS, Comparison
from annotation.models.projects import Project
from config.poison_jobs import Attempted

MOST_COMPARISONS = 20_000
HIGHEST_LEVEL = 0.3
LOWEST_CONFIDENCE, HIGHEST_CONFIDENCE = 0.8, 0.999
HIGHEST_AUDIT = 0.5


class MachineLabelling(Attempted):
    """A machine answers the waiting comparisons of a project; people answer a sample of them.

    labelling -> sampling -> certified | refused, and certified -> withdrawn; labelling may fail
    (and go on), and both it and sampling be cancelled.
    """

    class State(models.TextChoices):
        LABELLING = "labelling", "The machine answers"
        SAMPLING = "sampling", "People answer the sample"
        CERTIFIED = "certified", "Certified"
        REFUSED = "refused", "Not certified"
        WITHDRAWN = "withdrawn", "Withdrawn"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    UNDER_WAY = (State.LABELLING, State.SAMPLING)

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="machine_labellings", db_index=False
    )
    number = models.PositiveIntegerField(help_text="Counts from 1 within the project.")
    state = models.CharField(max_length=10, choices=State, default=State.LABELLING)
    machine = models.CharField(max_length=40, help_text="Its kind and key, as judge:3.")
    machine_name = models.CharField(max_length=200)
    about: models.JSONField[Any] = models.JSONField(
        default=dict, blank=True, help_text="What else tells which machine it was."
    )
    level = models.FloatField(
        default=0.05,
        validators=[MinValueValidator(0.001), MaxValueValidator(HIGHEST_LEVEL)],
        help_text="The share of its votes that may be wrong, 0.001 to 0.3.",
    )
    confidence = models.FloatField(
        default=0.95,
        validators=[MinValueValidator(LOWEST_CONFIDENCE), MaxValueValidator(HIGHEST_CONFIDENCE)],
        help_text="How sure that must be, 0.8 to 0.999.",
    )
    audit_share = models.FloatField(
        default=0.05,
        validators=[MinValueValidator(0), MaxValueValidator(HIGHEST_AUDIT)],
        help_text="Share of the other comparisons that stay with people, to notice if the machine "
        "is worse than certified.",
    )
    sample_size = models.PositiveIntegerField(help_text="Comparisons in the random sample.")
    seed = models.BigIntegerField(default=0, editable=False)
    total = models.PositiveIntegerField(default=0, help_text="Comparisons that it is asked about.")
    done = models.PositiveIntegerField(default=0, help_text="Those that it has answered.")
    calls = models.PositiveIntegerField(default=0, help_text="Requests to an endpoint.")
    tokens = models.PositiveBigIntegerField(default=0, help_text="As the endpoint billed them.")
    error = models.TextField(blank=True, help_text="Why it failed or was withdrawn.")
    certificate: models.JSONField[Any] = models.JSONField(
        default=dict, blank=True, help_text="What the sample showed; never changed afterwards."
    )
    audit: models.JSONField[Any] = models.JSONField(
        default=dict, blank=True, help_text="What people have answered since it was certified."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    labelled_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(
        null=True, blank=True, help_text="When it failed, was cancelled or withdrawn."
    )

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "number"], name="machine_labelling_number_once"
            ),
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(state__in=["labelling", "sampling"]),
                name="machine_labelling_one_under_way",
            ),
            models.CheckConstraint(
                condition=Q(level__gt=0, level__lt=1, confidence__gt=0, confidence__lt=1)
                & Q(audit_share__gte=0, audit_share__lte=1),
                name="machine_labelling_shares",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.machine_name}, labelling {self.number} of {self.project}"

    def get_absolute_url(self) -> str:
        return reverse("annotation:machine-labelling", args=[self.project.slug, self.number])

    @property
    def under_way(self) -> bool:
        return self.state in self.UNDER_WAY


class MachineLabel(models.Model):
    """What the machine answers to one comparison. ``use`` is drawn before it is asked."""

    class Use(models.TextChoices):
        VOTE = "vote", "May become a vote"
        SAMPLE = "sample", "In the random sample"
        AUDIT = "audit", "Stays with people"

    labelling = models.ForeignKey(
        MachineLabelling, on_delete=models.CASCADE, related_name="labels", db_index=False
    )
    comparison = models.ForeignKey(
        Comparison, on_delete=models.CASCADE, related_name="machine_labels", db_index=False
    )
    use = models.CharField(max_length=6, choices=Use)
    more_hallucinated = models.CharField(
        max_length=1,
        blank=True,
        choices=MACHINE_ANSWERS,
        help_text="Empty where the machine cannot tell.",
    )
    confidence = models.FloatField(
        null=True,
        blank=True,
        help_text="The machine's own, 0.5 to 1: it orders, and proves nothing.",
    )
    replies: models.JSONField[Any] = models.JSONField(
        default=dict, blank=True, help_text="What a judge replied, by the order that was shown."
    )
    answered_at = models.DateTimeField(null=True, blank=True)
    stands = models.BooleanField(default=False, help_text="It was taken as a vote.")

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["labelling", "comparison"], name="machine_label_once"),
            models.UniqueConstraint(
                fields=["comparison"], condition=Q(stands=True), name="machine_label_one_stands"
            ),
            models.CheckConstraint(
                condition=Q(more_hallucinated="")
                | Q(more_hallucinated__in=["1", "2"], confidence__isnull=False)
                & Q(confidence__gte=0.5, confidence__lte=1),
                name="machine_label_is_whole",
            ),
        ]
        indexes = [
            models.Index(
                fields=["labelling", "id"],
                condition=Q(answered_at__isnull=True),
                name="machine_label_to_ask",
            ),
            models.Index(fields=["comparison"], name="machine_label_of_comparison"),
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id}: {self.more_hallucinated or 'cannot tell'}"
