"""What a run tells while it goes on, and what a reward model says of comparisons."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from training.models.runs import Run


class Metric(models.Model):
    """One figure at one step. A resumed run writes a step again: the later value stands."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="metrics")
    name = models.CharField(max_length=100)
    step = models.PositiveIntegerField()
    value = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "name", "step"], name="metric_once_per_step")
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.step}={self.value:g}"


class Sample(models.Model):
    """A response worth looking at, with the reward it got and the facts that were shown."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="samples")
    step = models.PositiveIntegerField()
    prompt_id = models.CharField(max_length=200)
    image = models.CharField(max_length=300, blank=True, help_text="Name in the run's images.")
    prompt = models.TextField()
    response = models.TextField()
    reward = models.FloatField(null=True)
    facts = models.JSONField(default=list)

    class Meta:
        ordering = ["-step", "prompt_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "step", "prompt_id"], name="sample_once_per_step"
            )
        ]

    def __str__(self) -> str:
        return f"{self.prompt_id}@{self.step}"


class RewardScore(models.Model):
    """What a reward model says of a comparison. The one asked for last stands, and only that."""

    comparison = models.OneToOneField(
        "annotation.Comparison", models.CASCADE, related_name="reward_score"
    )
    run = models.ForeignKey(Run, models.CASCADE, related_name="reward_scores")
    reward_1 = models.FloatField(help_text="Normalised reward of response 1.")
    reward_2 = models.FloatField(help_text="Normalised reward of response 2.")
    probability_1 = models.FloatField(help_text="Chance that response 1 is the better one.")
    spread_1 = models.FloatField(
        null=True,
        blank=True,
        help_text="How far the heads of an ensemble are apart about response 1, as its reward.",
    )
    spread_2 = models.FloatField(
        null=True, blank=True, help_text="The same about response 2; none of one head."
    )
    spread = models.FloatField(
        null=True,
        blank=True,
        help_text="The same about which is better, in log-odds of probability_1.",
    )
    trained_on = models.BooleanField(
        default=False, help_text="The reward model has learnt from people's answer to it."
    )
    priority_points = models.SmallIntegerField(
        default=0, help_text="What it adds to the comparison's priority."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(probability_1__gte=0, probability_1__lte=1),
                name="reward_score_states_a_chance",
            )
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id}: {self.probability_1:.2f}"
