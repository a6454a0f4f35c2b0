"""An evaluation: one model's answers to one question set under one judge in one wording."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from benchmark.models.asked import SHA256_LENGTH, Judge, QuestionSet
from config.poison_jobs import Attempted


class EvaluationQuerySet(models.QuerySet["Evaluation"]):
    def visible_in(self, projects: models.QuerySet[Any]) -> EvaluationQuerySet:
        """Those of ``projects``, those that belong to none, and those of imported bases: whoever
        may train from a base may see what it scores."""
        shared = Q(checkpoint__kind="base", checkpoint__run=None)
        return self.filter(Q(project__in=projects) | Q(project=None) | shared)

    def shared_by(self, link: Any) -> EvaluationQuerySet:
        """Those of a public link that still have a score."""
        return self.scored().filter(shared_links=link)

    def with_origin(self) -> EvaluationQuerySet:
        """Everything that a row of the leaderboard shows, in one query."""
        return self.select_related(
            "question_set",
            "judge",
            "project",
            "run",
            "checkpoint__base",
            "checkpoint__run__project",
            "checkpoint__run__release__project",
            "checkpoint__run__reward_model__run__release__project",
        )

    def scored(self) -> EvaluationQuerySet:
        """Those with a headline score, newest first."""
        return self.filter(state=Evaluation.State.COMPLETE).order_by("-finished_at", "-pk")


class Evaluation(Attempted):
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
    answers_left_out = models.PositiveIntegerField(
        default=0, help_text="Answers of the file to questions that the set does not have."
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
        if self.question_set.rules.ranks_judges:
            return (self.question_set_id, self.coverage, 0, "")
        return (self.question_set_id, self.coverage, self.judge_id, self.prompt_hash)

    @property
    def release(self) -> Any:
        """The release whose preferences went into the model, itself or by its reward model."""
        run = self.checkpoint.run if self.checkpoint else None
        if run is None:
            return None
        return run.release or (
            run.reward_model.run.release if run.reward_model and run.reward_model.run else None
        )

    @property
    def is_of_shared_base(self) -> bool:
        """Of an imported base, which belongs to no project."""
        checkpoint = self.checkpoint
        return checkpoint is not None and checkpoint.kind == "base" and checkpoint.run_id is None

    @property
    def can_be_talked_to(self) -> bool:
        """Whether words in an answer could reach its judge; a rule reads none."""
        return self.judge.kind != Judge.Kind.EXACT

    @property
    def ended(self) -> bool:
        return self.state not in (self.State.ANSWERING, self.State.JUDGING)

    def verdicts(self) -> models.QuerySet[Any]:
        """Those of its own judge in its own wording, over its own answers."""
        own: models.QuerySet[Any] = Judge(pk=self.judge_id).verdicts.all()
        return own.filter(answer__evaluation=self, prompt_hash=self.prompt_hash)

    @property
    def undecided(self) -> Any:
        """A ``benchmark.protocols.protocol.Undecided``; None where its benchmark knows none."""
        return self.question_set.rules.undecided(self.summary, self.judge.kind)

    @property
    def decides_nothing(self) -> bool:
        """Whether neither response of any pair was preferred; such a score is no measurement."""
        found = self.undecided
        return found is not None and bool(found.never)

    @property
    def full_name(self) -> str:
        """The model with how it was made, said once: "Fact-RLHF: PPO", "Base: LLaVA 1.5 7B"."""
        named = not self.method or self.model_name.lower().startswith(self.method.lower())
        return self.model_name if named else f"{self.method}: {self.model_name}"

    @property
    def measures_its_judge(self) -> bool:
        """Whether the judge behind an endpoint is what is measured, on the set's own responses."""
        if not self.question_set_id or not self.question_set.rules.ranks_judges:
            return False
        return self.judge.kind == Judge.Kind.OPENAI

    @property
    def method(self) -> str:
        """How it was made: "Base", "SFT", "DPO", "RLHF", "Fact-RLHF", or empty if unknown."""
        if self.checkpoint is None:
            return "Judge" if self.measures_its_judge else ""
        run = self.checkpoint.run
        if run is None:
            return "Base"
        if run.kind != "ppo":
            return {"sft": "SFT", "dpo": "DPO", "reward": "Reward model"}.get(run.kind, run.kind)
        rewarded_by = run.reward_model.run if run.reward_model else None
        makers = [run] if rewarded_by is None else [run, rewarded_by]
        facts = all(maker.settings.get("with_facts") for maker in makers)
        return "Fact-RLHF" if facts else "RLHF"
