"""What models are asked and who judges them: question sets, questions, judges."""

from __future__ import annotations

from typing import Any

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from benchmark import protocols
from benchmark.judging.endpoints import KEY_VARIABLE
from benchmark.protocols.figure_display import Shown
from benchmark.protocols.protocol import Protocol

SHA256_LENGTH = 64


class QuestionSet(models.Model):
    """One version of a benchmark's questions with their images; never changed once imported."""

    protocol = models.CharField(max_length=40, choices=protocols.choices)
    name = models.CharField(max_length=120, unique=True)
    version = models.CharField(
        max_length=SHA256_LENGTH, help_text="SHA-256 of the questions and of the images' files."
    )
    missing_images = models.JSONField(
        default=list, blank=True, help_text="File names that the import did not find."
    )
    place = models.PositiveSmallIntegerField(
        default=100, help_text="Lower ones stand first on the leaderboard; equal ones by name."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["place", "name"]
        constraints = [
            models.UniqueConstraint(fields=["protocol", "version"], name="question_set_once")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def short_version(self) -> str:
        return self.version[:8]

    @property
    def told(self) -> str:
        """How many questions, and how many of them with a picture, in a line."""
        total = self.questions.count()
        shown = self.questions.exclude(image=None).count()
        return (
            f"{self.name}, version {self.short_version}: {total:,} questions, {shown:,} of them "
            "with an image"
        )

    @property
    def rules(self) -> Protocol:
        """All that is special about its benchmark."""
        return protocols.named(self.protocol)

    @property
    def headline(self) -> Shown:
        """The figure that ranks."""
        return self.rules.figures[0]

    @property
    def tested_figure(self) -> Shown:
        """What pairs of models are tested on."""
        return next(shown for shown in self.rules.figures if shown.name == self.rules.tested)


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
        """What the judge is asked by today, in the first benchmark that it can judge."""
        wordings = (protocol.wording(self.kind) for protocol in protocols.TABLE.values())
        return next(wording for wording in wordings if wording is not None)

    def wording_for(self, question_set: QuestionSet) -> str:
        """The same for a question set; empty where the judge cannot judge it."""
        return question_set.rules.wording(self.kind) or ""

    def can_judge(self, question_set: QuestionSet) -> bool:
        """Whether the benchmark takes a judge of this kind."""
        return question_set.rules.wording(self.kind) is not None
