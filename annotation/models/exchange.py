"""Data on its way in and out: import jobs, frozen releases, and answers to repeated requests."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse

from annotation.models.projects import Project
from annotation.models.stored_file import StoredFileField
from config.poison_jobs import Attempted

_SHA256 = re.compile(r"[0-9a-f]{64}")


def import_path(job: ImportJob, filename: str) -> str:
    """Where an upload waits for its import; the person's file name is kept in the row only, and
    two uploads of one name never meet. A ``filename`` that is a hash stays: see ``upload_hash``."""
    known = f"-{filename}" if _SHA256.fullmatch(filename) else ""
    return f"imports/{job.project_id}/{uuid.uuid4().hex}{known}"


def upload_hash(name: str) -> str:
    """The SHA-256 that the name of an upload in storage says; empty if it was stored without."""
    said = name.rpartition("-")[2]
    return said if _SHA256.fullmatch(said) else ""


def left_out_path(job: ImportJob, filename: str) -> str:
    """Where the list of what an import left out lies; it stays as long as the row."""
    return f"left-out/{job.project_id}/{job.pk}.csv"


class ImportJob(Attempted):
    """One file on its way in: taken whole, or refused whole with every bad line named."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Imported"
        FAILED = "failed", "Refused"

    class Format(models.TextChoices):
        LLAVA_RLHF = "llava_rlhf", "LLaVA-RLHF pairs, with or without labels"
        PROMPTS = "prompts", "Prompts without responses"
        MMHAL = "mmhal", "Two MMHal-style answer files, side by side"
        RLHF_V = "rlhf_v", "RLHF-V or RLAIF-V rows: question, chosen, rejected"
        LLAVA = "llava", "LLaVA conversations: two files side by side, or one for its prompts"

    TWO_FILES = ("mmhal", "llava")
    """Formats that compare two files; "llava" also takes one."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="import_jobs")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    format = models.CharField(max_length=20, choices=Format, default=Format.LLAVA_RLHF)
    name = models.CharField(max_length=200, help_text="The name of the file as uploaded.")
    records = StoredFileField(upload_to=import_path, max_length=300)
    second_records = StoredFileField(
        upload_to=import_path, max_length=300, blank=True, help_text="The second answer file."
    )
    images = StoredFileField(
        upload_to=import_path, max_length=300, blank=True, help_text="A zip of images."
    )
    images_name = models.CharField(
        max_length=200, blank=True, help_text="The name of the zip as uploaded."
    )
    captions = StoredFileField(
        upload_to=import_path, max_length=300, blank=True, help_text="Facts: captions by image."
    )
    skip_missing_images = models.BooleanField(
        default=False, help_text="Leave out records whose image is absent instead of refusing all."
    )
    leave_out_unusable = models.BooleanField(
        default=False,
        help_text="Leave out every record that cannot be used instead of refusing all.",
    )
    keep_labels = models.BooleanField(
        default=True, help_text="Take preferences of the file as decided, not to be judged again."
    )
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    created_count = models.PositiveIntegerField(default=0)
    unchanged_count = models.PositiveIntegerField(default=0)
    left_out_count = models.PositiveIntegerField(default=0)
    left_out_list = StoredFileField(
        upload_to=left_out_path, max_length=300, blank=True, help_text="CSV: each with its reason."
    )
    left_out_sha256 = models.CharField(max_length=64, blank=True)
    left_out_bytes = models.PositiveBigIntegerField(default=0)
    joins: models.JSONField[Any] = models.JSONField(
        default=list, blank=True, help_text='[{"what": "captions", "found": 81, "of": 96}]'
    )
    problems: models.JSONField[Any] = models.JSONField(
        default=list, blank=True, help_text='[{"line": …, "field": …, "reason": …}]: why refused.'
    )
    warnings: models.JSONField[Any] = models.JSONField(
        default=list, blank=True, help_text="The same shape: worth a look, but imported."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    beat_at = models.DateTimeField(
        null=True, blank=True, help_text="When its worker last said that it lives."
    )
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running", "succeeded", "failed"]),
                name="import_job_state_known",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} into {self.project}"

    def get_absolute_url(self) -> str:
        return reverse("annotation:import", args=[self.project.slug, self.pk])

    @property
    def ended(self) -> bool:
        return self.state in (self.State.SUCCEEDED, self.State.FAILED)


def release_path(release: Release, filename: str) -> str:
    return f"releases/{release.project_id}/{filename}"


class ReleaseQuerySet(models.QuerySet["Release"]):
    def listed(self, *, archived: bool | None = False) -> ReleaseQuerySet:
        """Those that lists show; the archived ones, or with None both, where somebody asks."""
        return self if archived is None else self.filter(archived_at__isnull=not archived)


class Release(Attempted):
    """A frozen export: once ready, its artefact and everything said about it never change."""

    class State(models.TextChoices):
        BUILDING = "building", "Being built"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="releases")
    number = models.PositiveIntegerField(help_text="Counts from 1 within the project.")
    state = models.CharField(max_length=10, choices=State, default=State.BUILDING)
    policy: models.JSONField[Any] = models.JSONField(
        default=dict, blank=True, help_text="Which votes and comparisons are in."
    )
    seed = models.BigIntegerField(default=0)
    held_out_share = models.FloatField(
        default=0.1,
        validators=[MinValueValidator(0), MaxValueValidator(0.9)],
        help_text="Share of the images, not of the records, that training never sees.",
    )
    guidelines_version = models.PositiveIntegerField(default=1)
    counts: models.JSONField[Any] = models.JSONField(
        default=dict, blank=True, help_text="Records, images and judgments, by split."
    )
    agreement: models.JSONField[Any] = models.JSONField(
        default=dict, blank=True, help_text="Krippendorff's alpha and its interval."
    )
    warnings: models.JSONField[Any] = models.JSONField(
        default=list, blank=True, help_text="What speaks against its votes, kept for ever."
    )
    machine_labels: models.JSONField[Any] = models.JSONField(
        default=list,
        blank=True,
        help_text="Certificates of the machines whose votes are in it, as they were then.",
    )
    artefact = StoredFileField(upload_to=release_path, max_length=300, blank=True)
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the artefact.")
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    frozen_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(
        null=True, blank=True, help_text="Lists leave it out from then on; nothing else changes."
    )

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="release_number_once"),
            models.CheckConstraint(
                condition=~Q(state="ready") | ~Q(sha256="") & ~Q(artefact=""),
                name="release_ready_has_artefact",
            ),
            models.CheckConstraint(
                condition=Q(held_out_share__gte=0, held_out_share__lte=0.9),
                name="release_held_out_share_is_share",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project.name}, release {self.number}"

    def get_absolute_url(self) -> str:
        return reverse("annotation:release", args=[self.project.slug, self.number])


class IdempotentAnswer(models.Model):
    """What a creating request was answered, for the same request sent again."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=100)
    path = models.CharField(max_length=300)
    body_sha256 = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    answer: models.JSONField[Any] = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key", "path"], name="idempotency_key_once")
        ]

    def __str__(self) -> str:
        return f"{self.key} for {self.path}"
