"""Runs, who carries them out, and on which devices."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Exists, F, Func, OuterRef, Q, Value
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from training.models.checkpoints import Checkpoint


class State(models.TextChoices):
    """What drives logic. ``Run.stage`` is the text for people."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.LOST)
ENDED_BADLY = (State.FAILED, State.CANCELLED, State.LOST)
LONGEST_TAG = 40
_MADE_FROM = ("policy__run__", "reward_model__run__")
_SEEDS = (
    "seed",
    *(f"{one}seed" for one in _MADE_FROM),
    *(f"{one}{other}seed" for one in _MADE_FROM for other in _MADE_FROM),
)
"""Of a run, of what it was made from, and of what that was made from."""


class Chain(models.Model):
    """Runs that were asked for together, each ``after`` another."""

    project = models.ForeignKey("annotation.Project", models.PROTECT, related_name="chains")
    name = models.CharField(max_length=200)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class RunQuerySet(models.QuerySet["Run"]):
    def in_projects(self, projects: models.QuerySet[Any]) -> RunQuerySet:
        return self.filter(project__in=projects)

    def ready(self) -> RunQuerySet:
        """Queued, and what they wait for has succeeded; oldest first."""
        return (
            self.filter(state=State.QUEUED)
            .filter(Q(after=None) | Q(after__state=State.SUCCEEDED))
            .order_by("created_at", "pk")
        )

    def listed(self, *, archived: bool | None = False) -> RunQuerySet:
        """Those that lists show; the archived ones, or with None both, where somebody asks."""
        return self if archived is None else self.filter(archived_at__isnull=not archived)

    def known_tags(self) -> list[str]:
        """All tags of these runs, by name."""
        each = self.exclude(tags=[]).order_by().values_list(Func(F("tags"), function="unnest"))
        return sorted({tag for (tag,) in each.distinct()})

    def counted(self) -> RunQuerySet:
        """The runs that a group's figures are of: that succeeded, of the same seeds the newest. The
        same seeds again are no second draw; models of two seeds measured with one are two."""
        seeds = {f"seed_{place}": _no_null(F(path)) for place, path in enumerate(_SEEDS)}
        same = {f"seed_{place}": _no_null(OuterRef(path)) for place, path in enumerate(_SEEDS)}
        newer = Run.objects.alias(**seeds).filter(
            **same,
            group=OuterRef("group"),
            seed=OuterRef("seed"),
            state=State.SUCCEEDED,
            archived_at=None,
            pk__gt=OuterRef("pk"),
        )
        return self.filter(state=State.SUCCEEDED, archived_at=None).filter(~Exists(newer))

    def with_context(self) -> RunQuerySet:
        """With what a row of a list shows beside the run."""
        return self.select_related("project", "chain", "requested_by", "after")

    def waiting_on(self, runs: models.QuerySet[Run] | list[int]) -> RunQuerySet:
        return self.filter(state=State.QUEUED, after__in=runs)

    def with_expired_lease(self, now: Any) -> RunQuerySet:
        """Running by the record, but their worker has not been heard of in time."""
        held = Attempt.objects.filter(
            run=OuterRef("pk"), token=OuterRef("token"), lease_expires_at__gte=now
        )
        return self.filter(state=State.RUNNING).filter(~Exists(held))


def _no_null(seed: F) -> Coalesce:
    return Coalesce(seed, Value(-1))


class Run(models.Model):
    """One thing a worker is asked to carry out: train, sample, score or evaluate."""

    project = models.ForeignKey("annotation.Project", models.PROTECT, related_name="runs")
    chain = models.ForeignKey(Chain, models.PROTECT, null=True, blank=True, related_name="runs")
    after = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="followers"
    )
    kind = models.CharField(max_length=40)
    name = models.CharField(max_length=200)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")

    settings = models.JSONField(default=dict, help_text="Complete settings of the engine.")
    model = models.JSONField(default=dict, help_text="How the base model is loaded.")
    options = models.JSONField(default=dict, help_text="What the kind asks beyond that.")
    preset = models.CharField(max_length=40, default="default")
    seed = models.PositiveIntegerField(default=0)
    gpus = models.PositiveSmallIntegerField(default=0)

    release = models.ForeignKey(
        "annotation.Release", models.PROTECT, null=True, blank=True, related_name="runs"
    )
    base = models.ForeignKey(
        Checkpoint, models.PROTECT, null=True, blank=True, related_name="runs_on_base"
    )
    policy = models.ForeignKey(
        Checkpoint, models.PROTECT, null=True, blank=True, related_name="runs_from_policy"
    )
    reward_model = models.ForeignKey(
        Checkpoint, models.PROTECT, null=True, blank=True, related_name="runs_with_reward_model"
    )

    state = models.CharField(max_length=20, choices=State, default=State.QUEUED)
    stage = models.CharField(max_length=200, blank=True)
    progress_done = models.PositiveBigIntegerField(default=0)
    progress_total = models.PositiveBigIntegerField(default=0)
    progress_unit = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    doubts = models.JSONField(
        default=list, blank=True, help_text="What speaks against its result: code and text."
    )
    group = models.CharField(
        max_length=64,
        default="",
        editable=False,
        help_text="What runs have in common that differ in the seed alone (training.runs.groups).",
    )
    tags = ArrayField(models.CharField(max_length=LONGEST_TAG), default=list, blank=True)
    notes = models.TextField(blank=True, default="")
    archived_at = models.DateTimeField(
        null=True, blank=True, help_text="Lists leave it out; nothing else changes."
    )
    request_id = models.CharField(
        max_length=64, blank=True, help_text="Of the web request that queued it last."
    )

    token = models.UUIDField(null=True, editable=False, help_text="Fencing token while running.")
    attempt_count = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(state="queued"), name="run_queued_by_age"
            ),
            models.Index(fields=["state"], condition=Q(state="running"), name="run_running"),
            models.Index(fields=["project", "-created_at"], name="run_of_project_by_age"),
            models.Index(
                fields=["-created_at", "-id"],
                condition=Q(archived_at__isnull=True),
                name="run_listed_by_age",
            ),
            models.Index(fields=["group", "seed"], name="run_of_group"),
            GinIndex(fields=["tags"], name="run_by_tag"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="run_known_state"),
            models.CheckConstraint(
                condition=Q(state__in=ENDED, finished_at__isnull=False)
                | (~Q(state__in=ENDED) & Q(finished_at__isnull=True)),
                name="run_finished_at_when_ended",
            ),
            models.CheckConstraint(
                condition=Q(state="running", token__isnull=False, started_at__isnull=False)
                | (~Q(state="running") & Q(token__isnull=True)),
                name="run_token_while_running",
            ),
            models.CheckConstraint(
                condition=Q(attempt_count__lte=F("max_attempts")),
                name="run_attempts_bounded",
            ),
            models.CheckConstraint(
                condition=Q(archived_at=None) | Q(state__in=ENDED), name="run_archived_when_ended"
            ),
            models.CheckConstraint(
                condition=Q(after=None) | ~Q(after=F("id")), name="run_not_after_itself"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("training:run", args=[self.pk])

    @property
    def name_in_chain(self) -> str:
        """Its name without that of its chain, which ``requests.request_chain`` puts before it."""
        return self.name.removeprefix(f"{self.chain.name}: ") if self.chain else self.name

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def ahead(self) -> Run | None:
        """What a queued run waits for: the one before it, until that has succeeded."""
        waits = self.state == State.QUEUED and self.after and self.after.state != State.SUCCEEDED
        return self.after if waits else None

    @property
    def may_resume(self) -> bool:
        """Ended without success, for a reason of its own: ``scheduling.resume`` may continue it."""
        stuck = self.after is not None and self.after.state in ENDED_BADLY
        return self.state in ENDED_BADLY and not stuck

    @property
    def percent(self) -> int:
        """Progress in 0..100, for a bar."""
        if self.state == State.SUCCEEDED:
            return 100
        if not self.progress_total:
            return 0
        return min(100, self.progress_done * 100 // self.progress_total)

    @property
    def duration(self) -> timedelta | None:
        """Time since a worker first took it, until now or until it ended."""
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at


class Attempt(models.Model):
    """One worker's try at a run; it may write only while its token is the run's."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    token = models.UUIDField(unique=True, editable=False)
    host = models.CharField(max_length=200)
    job = models.CharField(
        max_length=100, blank=True, default="", help_text="What a cluster calls its trainer."
    )
    pid = models.PositiveIntegerField(help_text="The worker's process.")
    claimed_at = models.DateTimeField()
    lease_expires_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, choices=State, blank=True)
    reason = models.TextField(blank=True)
    log_tail = models.TextField(blank=True)
    pace_from_done = models.PositiveBigIntegerField(default=0)
    pace_from_at = models.DateTimeField(null=True, blank=True)
    usage = models.JSONField(default=dict, blank=True, help_text="As the worker measures it.")

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="attempt_number_once"),
            models.CheckConstraint(
                condition=Q(outcome="", ended_at__isnull=True)
                | (~Q(outcome="") & Q(ended_at__isnull=False)),
                name="attempt_outcome_when_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.number}"

    @property
    def log_fields(self) -> dict[str, Any]:
        """What each line of its worker's log is about (``config.logs``)."""
        asked = {"request_id": self.run.request_id} if self.run.request_id else {}
        return {"run_id": self.run_id, "attempt": self.number, **asked}

    def remaining(self, run: Run, now: datetime) -> timedelta | None:
        """Time left at the pace since this attempt's first progress; None while unknown."""
        made = run.progress_done - self.pace_from_done
        if self.pace_from_at is None or made <= 0 or run.state != State.RUNNING:
            return None
        return (now - self.pace_from_at) * ((run.progress_total - run.progress_done) / made)


class GpuSlot(models.Model):
    """One GPU of one host; whoever holds the row holds the device."""

    host = models.CharField(max_length=200)
    index = models.PositiveSmallIntegerField()
    attempt = models.ForeignKey(
        Attempt, models.SET_NULL, null=True, blank=True, related_name="gpu_slots"
    )

    class Meta:
        ordering = ["host", "index"]
        constraints = [models.UniqueConstraint(fields=["host", "index"], name="gpu_slot_once")]

    def __str__(self) -> str:
        return f"{self.host}:{self.index}"
