"""What a model answered to a question, and what a judge made of it."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from benchmark.judging.injections import addresses_judge
from benchmark.models.asked import SHA256_LENGTH, Judge, Question
from benchmark.models.evaluations import Evaluation
from benchmark.protocols.protocol import RATING, Given, Pair


class AnswerQuerySet(models.QuerySet["Answer"]):
    def judged_by(self, evaluation: Evaluation) -> AnswerQuerySet:
        """With the evaluation's own verdict, where there is one, as ``own_verdicts``."""
        verdicts = Verdict.objects.filter(
            judge=evaluation.judge_id, prompt_hash=evaluation.prompt_hash
        )
        return self.prefetch_related(
            models.Prefetch("verdicts", queryset=verdicts, to_attr="own_verdicts")
        )


class Answer(models.Model):
    """What the model said to one question."""

    evaluation = models.ForeignKey(Evaluation, models.CASCADE, related_name="answers")
    question = models.ForeignKey(Question, models.PROTECT, related_name="answers")
    text = models.TextField(blank=True)
    text_sha256 = models.CharField(max_length=SHA256_LENGTH, editable=False)
    finished = models.BooleanField(
        default=True, help_text="Whether the answer ended by itself rather than at the limit."
    )

    objects = AnswerQuerySet.as_manager()

    class Meta:
        ordering = ["evaluation", "question__index"]
        indexes = [models.Index(fields=["question", "text_sha256"], name="answer_by_text")]
        constraints = [
            models.UniqueConstraint(fields=["evaluation", "question"], name="answer_once")
        ]

    def __str__(self) -> str:
        return f"{self.evaluation}, {self.question}"

    @staticmethod
    def digest_of(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def addresses_judge(self) -> bool:
        """Whether the answer speaks to its judge, which people should look at."""
        return addresses_judge(self.text)

    @property
    def reviews(self) -> list[Verdict]:
        """The verdicts that count; only on answers that came through ``judged_by``."""
        own: list[Verdict] = getattr(self, "own_verdicts", [])
        return sorted(own, key=lambda verdict: verdict.order, reverse=True)

    @property
    def verdict(self) -> Verdict | None:
        """The one verdict of an answer that is not asked about in several orders."""
        return next((verdict for verdict in self.reviews if verdict.order == RATING), None)


_NO_SCORES = {"reference_score__isnull": True, "model_score__isnull": True}


class Verdict(models.Model):
    """What one judge, asked in one wording, made of one answer: a rating, the scores of the
    reference and of the answer, or counts (``found``), as the benchmark has it."""

    class State(models.TextChoices):
        PARSED = "parsed", "Rated"
        UNPARSED = "unparsed", "Unclear"
        FAILED = "failed", "Not answered"
        SETTLED = "settled", "Settled by hand"

    OPEN = (State.UNPARSED, State.FAILED)

    answer = models.ForeignKey(Answer, models.CASCADE, related_name="verdicts")
    judge = models.ForeignKey(Judge, models.PROTECT, related_name="verdicts")
    prompt_hash = models.CharField(max_length=SHA256_LENGTH)
    order = models.CharField(
        max_length=20,
        blank=True,
        help_text="What was shown first, where that is asked both ways; else empty.",
    )
    text = models.TextField(blank=True)
    rating = models.PositiveSmallIntegerField(null=True, blank=True)
    reference_score = models.FloatField(null=True, blank=True)
    model_score = models.FloatField(null=True, blank=True)
    found: models.JSONField[Any] = models.JSONField(
        null=True, blank=True, help_text="What was counted, where one number is not enough."
    )
    state = models.CharField(max_length=10, choices=State)
    calls = models.PositiveIntegerField(default=0, help_text="Requests made; 0 if remembered.")
    tokens = models.PositiveIntegerField(default=0)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    rated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The person who rated in the browser.",
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["answer", "judge", "prompt_hash", "order"], name="verdict_once_per_judge"
            ),
            models.CheckConstraint(
                # A comparison with NULL is not false to a constraint.
                condition=Q(state__in=["parsed", "settled"])
                & (
                    Q(rating__isnull=False, rating__gte=0, rating__lte=6, **_NO_SCORES)
                    | Q(
                        rating__isnull=True,
                        reference_score__isnull=False,
                        model_score__isnull=False,
                        reference_score__gte=1,
                        reference_score__lte=10,
                        model_score__gte=1,
                        model_score__lte=10,
                    )
                    | Q(rating__isnull=True, found__isnull=False, **_NO_SCORES)
                )
                | Q(
                    state__in=["unparsed", "failed"],
                    rating__isnull=True,
                    found__isnull=True,
                    **_NO_SCORES,
                ),
                name="verdict_says_something",
            ),
            models.CheckConstraint(
                condition=Q(state="settled") ^ Q(settled_by__isnull=True),
                name="verdict_settled_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        said = (self.rating, self.scores, self.found)
        return f"{self.state}: {next((part for part in said if part is not None), None)}"

    @property
    def open(self) -> bool:
        """Whether a person must settle it, or the judge be asked again."""
        return self.state in self.OPEN

    @property
    def scores(self) -> Pair | None:
        """(reference, model); None while open, and for a rating."""
        return self.given.scores

    @property
    def given(self) -> Given:
        """What it says, for the benchmark's figures."""
        return Given(*(getattr(self, name) for name in Given._fields))
