"""Models that can be used, and base models on their way in."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from config.poison_jobs import Attempted


class CheckpointQuerySet(models.QuerySet["Checkpoint"]):
    def in_projects(self, projects: models.QuerySet[Any]) -> CheckpointQuerySet:
        """Those of runs of ``projects``, and imported bases, which belong to no project."""
        return self.filter(Q(run__project__in=projects) | Q(run=None))

    def usable(self) -> CheckpointQuerySet:
        """Those that another run may start from; the rest exist only to resume their own run."""
        return self.filter(final=True)

    def with_lineage(self) -> CheckpointQuerySet:
        return self.select_related("base", "run__project", "run__release")


class Checkpoint(models.Model):
    """A model that can be used: an imported base, or what a run saved.

    The files lie in Django's default storage under ``path``, listed with their digests in
    ``files``; an imported base may instead name a ``source`` (an absolute folder that every worker
    sees, or a hub id) that the engine opens itself.
    """

    class Kind(models.TextChoices):
        BASE = "base"
        POLICY = "policy"
        REWARD_MODEL = "reward_model", "reward model"

    kind = models.CharField(max_length=20, choices=Kind)
    name = models.CharField(max_length=200)
    run = models.ForeignKey(
        "Run", models.PROTECT, null=True, blank=True, related_name="checkpoints"
    )
    base = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="adapters")
    step = models.PositiveIntegerField(default=0)
    final = models.BooleanField(default=True)
    path = models.CharField(max_length=500, blank=True)
    source = models.CharField(max_length=500, blank=True)
    files = models.JSONField(default=list, blank=True)
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes.")
    sha256 = models.CharField(max_length=64, blank=True)
    metrics = models.JSONField(default=dict, blank=True)
    code_version = models.CharField(
        max_length=100, blank=True, help_text="Of the worker that made it."
    )
    warnings = models.JSONField(
        default=list, blank=True, help_text="What speaks against the labels behind it."
    )
    promoted = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CheckpointQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "step", "final"], name="checkpoint_once_per_step_of_a_run"
            ),
            models.UniqueConstraint(
                fields=["name"], condition=Q(run=None), name="checkpoint_imported_name_unique"
            ),
            models.CheckConstraint(
                condition=Q(path="") ^ Q(source=""), name="checkpoint_has_path_or_source"
            ),
            models.CheckConstraint(
                condition=Q(kind="base") | Q(base__isnull=False), name="checkpoint_adapter_has_base"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def distinct_name(self) -> str:
        """Its name, with the number of its run where another run made one of the same name: runs
        are named after what they do, and so are two that differ in a setting."""
        twins = Checkpoint.objects.filter(name=self.name).exclude(run=self.run_id)
        if self.run_id is None or not twins.exclude(run=None).exists():
            return self.name
        return f"{self.name[:180]}, run {self.run_id}"

    def get_absolute_url(self) -> str:
        return reverse("training:checkpoint", args=[self.pk])


class BaseImport(Attempted):
    """A base model on its way into the registry, from a folder or a hub."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    name = models.CharField(max_length=200)
    source = models.CharField(max_length=500, help_text="A folder of the workers, or a hub id.")
    copy = models.BooleanField(default=True, help_text="Into storage; else opened where it is.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    state = models.CharField(max_length=20, choices=State, default=State.QUEUED)
    stage = models.CharField(max_length=200, blank=True)
    done = models.PositiveBigIntegerField(default=0, help_text="Bytes.")
    total = models.PositiveBigIntegerField(default=0, help_text="Bytes.")
    family = models.CharField(max_length=100, blank=True)
    tensors = models.PositiveIntegerField(default=0)
    revision = models.CharField(max_length=100, blank=True, help_text="Of the hub.")
    error = models.TextField(blank=True)
    checkpoint = models.ForeignKey(Checkpoint, models.SET_NULL, null=True, related_name="imports")
    created_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running", "succeeded", "failed"]),
                name="base_import_known_state",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("training:base-import", args=[self.pk])

    @property
    def ended(self) -> bool:
        return self.state in (self.State.SUCCEEDED, self.State.FAILED)
