"""Question sets, judges, and evaluations: what a model answered and what a judge made of it.

A score means nothing without the questions, the judge and the judge's wording it came from, so an
evaluation names all three (``Evaluation.group``), and figures are ranked within such a group only.
Rows here are facts; every figure is computed from them in ``benchmark.scoring``.
"""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse

from benchmark import figures as figures_of
from benchmark import mmhal, person
from benchmark.figures import Shown
from benchmark.injections import addresses_judge
from benchmark.judges import KEY_VARIABLE, exact_rule_hash, pope_rule_hash
from benchmark.ratings import HIGHEST_RATING

SHA256_LENGTH = 64


class QuestionSet(models.Model):
    """One version of a benchmark's questions with their images; never changed once imported."""

    class Protocol(models.TextChoices):
        MMHAL = "mmhal", "MMHal-Bench"
        SMALL_WORLD = "small_world", "Small world"
        POPE = "pope", "POPE"

    protocol = models.CharField(max_length=20, choices=Protocol)
    name = models.CharField(max_length=120, unique=True)
    version = models.CharField(
        max_length=SHA256_LENGTH, help_text="SHA-256 of the questions and of the images' files."
    )
    missing_images = models.JSONField(
        default=list, blank=True, help_text="File names that the import did not find."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["protocol", "version"], name="question_set_once")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def short_version(self) -> str:
        return self.version[:8]

    @property
    def figures(self) -> tuple[Shown, ...]:
        """What its evaluations show; the first one ranks."""
        return figures_of.shown(self.protocol)

    @property
    def headline(self) -> Shown:
        return self.figures[0]

    @property
    def tested_figure(self) -> Shown:
        """What pairs of models are tested on."""
        return figures_of.tested(self.protocol)

    @property
    def yes_or_no(self) -> bool:
        """Whether a verdict says right (1) or wrong (0) instead of rating from 0 to 6."""
        return self.protocol == self.Protocol.POPE

    @property
    def highest_rating(self) -> int:
        return 1 if self.yes_or_no else HIGHEST_RATING


class Question(models.Model):
    """One question in MMHal-Bench's fields; without an image it can be judged but not asked."""

    question_set = models.ForeignKey(QuestionSet, models.CASCADE, related_name="questions")
    index = models.PositiveIntegerField(help_text="Place in the published file, from 0.")
    type = models.CharField(max_length=20)
    data: models.JSONField[Any] = models.JSONField()
    image = models.ForeignKey("annotation.Image", models.PROTECT, null=True, blank=True)

    class Meta:
        ordering = ["question_set", "index"]
        constraints = [
            models.UniqueConstraint(fields=["question_set", "index"], name="question_index_once")
        ]

    def __str__(self) -> str:
        return f"{self.question_set}, question {self.index + 1}"

    @property
    def text(self) -> str:
        return str(self.data["question"])

    @property
    def number(self) -> int:
        return self.index + 1


class Judge(models.Model):
    """Who rates. Another model, endpoint or way of reading it is another judge."""

    class Kind(models.TextChoices):
        EXACT = "exact", "Exact rule"
        OPENAI = "openai", "Chat endpoint in OpenAI's form"
        PERSON = "person", "Person in the browser"

    class Parser(models.TextChoices):
        CAREFUL = "careful", "Careful: unclear verdicts stay open"
        REFERENCE = "reference", "Reference: the published rule, unclear counts as 0"

    name = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=10, choices=Kind)
    parser = models.CharField(max_length=10, choices=Parser, default=Parser.CAREFUL)
    base_url = models.URLField(
        blank=True, help_text="Up to and without /chat/completions; of a chat endpoint only."
    )
    model = models.CharField(max_length=120, blank=True)
    key_variable = models.CharField(
        max_length=80,
        default="JUDGE_API_KEY",
        validators=[RegexValidator(rf"^{KEY_VARIABLE.pattern}$", "Begins with JUDGE_API_KEY.")],
        help_text="The environment variable of the workers that holds the key.",
    )
    options: models.JSONField[Any] = models.JSONField(
        default=dict, blank=True, help_text='Further request members, such as {"seed": 1}.'
    )
    concurrency = models.PositiveSmallIntegerField(default=4)
    price_per_million_tokens = models.DecimalField(
        max_digits=10,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="In the currency of its bill; what costs are shown with.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["exact", "person"], base_url="", model="")
                | Q(kind="openai") & ~Q(base_url="") & ~Q(model=""),
                name="judge_endpoint_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(concurrency__gte=1, concurrency__lte=64), name="judge_concurrency"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def prompt_hash(self) -> str:
        """What the judge is asked by today: the wording's hash, or that of the exact rule."""
        if self.kind == self.Kind.PERSON:
            return person.WORDING_HASH
        return exact_rule_hash() if self.kind == self.Kind.EXACT else mmhal.PROMPT_HASH

    def wording_for(self, question_set: QuestionSet) -> str:
        """The same for a question set: each kind of question has an exact rule of its own."""
        if self.kind == self.Kind.EXACT and question_set.yes_or_no:
            return pope_rule_hash()
        return self.prompt_hash

    def can_judge(self, question_set: QuestionSet) -> bool:
        """The exact judge needs questions that carry their truth; POPE needs no other judge."""
        exact = self.kind == self.Kind.EXACT
        if question_set.yes_or_no:
            return exact
        return not exact or question_set.protocol == QuestionSet.Protocol.SMALL_WORLD


class EvaluationQuerySet(models.QuerySet["Evaluation"]):
    def visible_in(self, projects: models.QuerySet[Any]) -> EvaluationQuerySet:
        """Those of ``projects``, and those that belong to none."""
        return self.filter(Q(project__in=projects) | Q(project=None))

    def with_origin(self) -> EvaluationQuerySet:
        """Everything that a row of the leaderboard shows, in one query."""
        return self.select_related(
            "question_set",
            "judge",
            "project",
            "run",
            "checkpoint__base",
            "checkpoint__run__release",
            "checkpoint__run__reward_model__run",
        )

    def scored(self) -> EvaluationQuerySet:
        """Those with a headline score, newest first."""
        return self.filter(state=Evaluation.State.COMPLETE).order_by("-finished_at", "-pk")


class Evaluation(models.Model):
    """One model's answers to one question set under one judge.

    answering -> judging -> complete | incomplete | failed. ``incomplete`` has verdicts that are
    unparsed or failed and therefore no score; judging again can settle it.
    """

    class State(models.TextChoices):
        ANSWERING = "answering", "Answering"
        JUDGING = "judging", "Judging"
        COMPLETE = "complete", "Complete"
        INCOMPLETE = "incomplete", "Incomplete"
        FAILED = "failed", "Failed"

    question_set = models.ForeignKey(QuestionSet, models.PROTECT, related_name="evaluations")
    judge = models.ForeignKey(Judge, models.PROTECT, related_name="evaluations")
    prompt_hash = models.CharField(max_length=SHA256_LENGTH)
    project = models.ForeignKey(
        "annotation.Project", models.PROTECT, null=True, blank=True, related_name="evaluations"
    )
    checkpoint = models.ForeignKey(
        "training.Checkpoint", models.PROTECT, null=True, blank=True, related_name="evaluations"
    )
    run = models.OneToOneField(
        "training.Run", models.PROTECT, null=True, blank=True, related_name="evaluation"
    )
    model_name = models.CharField(max_length=200)
    sampling: models.JSONField[Any] = models.JSONField(
        default=dict, blank=True, help_text="How the answers were drawn, as far as known."
    )
    coverage = models.CharField(
        max_length=SHA256_LENGTH, blank=True, help_text="Names the set of answered questions."
    )
    state = models.CharField(max_length=12, choices=State, default=State.ANSWERING)
    summary: models.JSONField[Any] = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = EvaluationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["state", "-finished_at"], name="evaluation_by_state"),
            models.Index(fields=["project", "-created_at"], name="evaluation_of_project"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["answering", "judging", "complete", "incomplete", "failed"]),
                name="evaluation_state_known",
            ),
            models.CheckConstraint(
                condition=~Q(state="complete") | Q(finished_at__isnull=False),
                name="evaluation_complete_is_finished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_name} on {self.question_set}"

    def get_absolute_url(self) -> str:
        return reverse("benchmark:evaluation", args=[self.pk])

    @property
    def group(self) -> tuple[int, str, int, str]:
        """What must be equal for two scores to be comparable."""
        return (self.question_set_id, self.coverage, self.judge_id, self.prompt_hash)

    @property
    def can_be_talked_to(self) -> bool:
        """Whether words in an answer could reach its judge; a rule reads none."""
        return self.judge.kind != Judge.Kind.EXACT

    @property
    def ended(self) -> bool:
        return self.state not in (self.State.ANSWERING, self.State.JUDGING)

    def verdicts(self) -> models.QuerySet[Verdict]:
        """Those of its own judge in its own wording, over its own answers."""
        return Verdict.objects.filter(
            answer__evaluation=self, judge=self.judge_id, prompt_hash=self.prompt_hash
        )

    @property
    def method(self) -> str:
        """How it was made: "Base", "SFT", "DPO", "RLHF", "Fact-RLHF", or empty if unknown."""
        if self.checkpoint is None:
            return ""
        run = self.checkpoint.run
        if run is None:
            return "Base"
        if run.kind != "ppo":
            return {"sft": "SFT", "dpo": "DPO"}.get(run.kind, run.kind)
        rewarded_by = run.reward_model.run if run.reward_model else None
        makers = [run] if rewarded_by is None else [run, rewarded_by]
        facts = all(maker.settings.get("with_facts") for maker in makers)
        return "Fact-RLHF" if facts else "RLHF"


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
    def verdict(self) -> Verdict | None:
        """The verdict that counts; only on answers that came through ``judged_by``."""
        own: list[Verdict] = getattr(self, "own_verdicts", [])
        return own[0] if own else None


class Verdict(models.Model):
    """What one judge, asked in one wording, made of one answer."""

    class State(models.TextChoices):
        PARSED = "parsed", "Rated"
        UNPARSED = "unparsed", "Unclear"
        FAILED = "failed", "Not answered"
        SETTLED = "settled", "Settled by hand"

    answer = models.ForeignKey(Answer, models.CASCADE, related_name="verdicts")
    judge = models.ForeignKey(Judge, models.PROTECT, related_name="verdicts")
    prompt_hash = models.CharField(max_length=SHA256_LENGTH)
    text = models.TextField(blank=True)
    rating = models.PositiveSmallIntegerField(null=True, blank=True)
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
                fields=["answer", "judge", "prompt_hash"], name="verdict_once_per_judge"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["parsed", "settled"], rating__gte=0, rating__lte=6)
                | Q(state__in=["unparsed", "failed"], rating__isnull=True),
                name="verdict_rating_when_settled",
            ),
            models.CheckConstraint(
                condition=Q(state="settled") ^ Q(settled_by__isnull=True),
                name="verdict_settled_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.state}: {self.rating}"

    @property
    def hallucinated(self) -> bool:
        return self.rating is not None and self.rating < mmhal.LOWEST_HONEST_RATING
