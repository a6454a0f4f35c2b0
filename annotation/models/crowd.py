"""Studies that bring people from a crowd into a project, and the people whom they brought."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import (
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    Value,
)
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from annotation.models.people import digest_of
from annotation.models.projects import Project, still_managed_by

LINK_BYTES = 24
MOST_ANSWERS = 1000
MOST_PLACES = 10_000
MOST_HOURS = 720


class StudyQuerySet(models.QuerySet["Study"]):
    def reachable(self) -> StudyQuerySet:
        """Those whose link leads somewhere."""
        return self.filter(still_managed_by("link_by"), digest__isnull=False)

    def with_counts(self) -> StudyQuerySet:
        """With how many came, have finished and hold a place, and whether the link leads here."""
        hours = ExpressionWrapper(
            F("session_hours") * Value(timedelta(hours=1)), output_field=DurationField()
        )
        ended = Q(participants__finished_at__isnull=False)
        at_it = Q(participants__seen_at__gt=Now() - hours)
        return self.annotate(
            arrived=Count("participants"),
            finished=Count("participants", filter=ended),
            taken=Count("participants", filter=ended | at_it),
            has_link=Exists(Study.objects.reachable().filter(pk=OuterRef("pk"))),
        )

    def matching(self, raw: str) -> StudyQuerySet:
        """The study whose link was shown as ``raw`` when it was made."""
        return self.filter(digest=digest_of(raw))


class Study(models.Model):
    """A link that lets people of a platform answer a set number of a project's comparisons.

    The text of the link is kept as a digest. No digest: the link is withdrawn.
    """

    class Platform(models.TextChoices):
        PROLIFIC = "prolific", "Prolific"
        MTURK = "mturk", "Mechanical Turk"
        OTHER = "other", "Another platform"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="studies")
    name = models.CharField(max_length=120)
    platform = models.CharField(max_length=10, choices=Platform, default=Platform.PROLIFIC)
    participant_parameter = models.CharField(
        max_length=60, help_text="The part of the link that names the participant."
    )
    study_parameter = models.CharField(max_length=60, blank=True)
    session_parameter = models.CharField(max_length=60, blank=True)
    answers = models.PositiveSmallIntegerField(
        default=20,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_ANSWERS)],
        help_text="Comparisons that each participant answers.",
    )
    places = models.PositiveIntegerField(
        default=50,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_PLACES)],
        help_text="How many participants; then the study is full.",
    )
    session_hours = models.PositiveSmallIntegerField(
        default=24,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_HOURS)],
        help_text="Hours after which the place of somebody who left goes to another.",
    )
    completion_code = models.CharField(
        max_length=100, blank=True, help_text="Shown to whoever has answered all."
    )
    return_url = models.CharField(
        max_length=500, blank=True, help_text="Where whoever has answered all is led."
    )
    failed_code = models.CharField(
        max_length=100, blank=True, help_text="Shown to whoever does not pass the entry quiz."
    )
    digest = models.CharField(max_length=64, unique=True, null=True, editable=False)
    link_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="Who made the link; it opens nothing once they may not manage the project.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = StudyQuerySet.as_manager()

    # Of rows ``with_counts``.
    arrived: int
    finished: int
    taken: int
    has_link: bool

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name_plural = "studies"
        constraints = [
            models.CheckConstraint(
                condition=Q(answers__gte=1, places__gte=1, session_hours__gte=1),
                name="study_asks_something_of_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(completion_code="", return_url=""), name="study_says_it_is_complete"
            ),
            models.CheckConstraint(
                condition=~Q(participant_parameter=""), name="study_knows_its_participants"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("annotation:study", args=[self.project.slug, self.pk])

    @property
    def state(self) -> str:
        """ "ended", "full", "no link" or "open"; of a row ``with_counts``."""
        if self.ended_at is not None:
            return "ended"
        if self.taken >= self.places:
            return "full"
        return "open" if self.has_link else "no link"

    def new_link(self, maker: Any) -> str:
        """The text of a new link, which cannot be had again; the one before opens nothing."""
        raw = secrets.token_urlsafe(LINK_BYTES)
        self.digest, self.link_by = digest_of(raw), maker
        return raw


class ParticipantQuerySet(models.QuerySet["Participant"]):
    def holding_places(self, study: Study) -> ParticipantQuerySet:
        """Those of ``study`` who have ended it, and those who may still be at it."""
        lately = timezone.now() - timedelta(hours=study.session_hours)
        return self.filter(Q(finished_at__isnull=False) | Q(seen_at__gt=lately), study=study)


class Participant(models.Model):
    """Somebody whom a study brought: their ids on the platform, for managers alone, and the
    account without a password under which they answer."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="participants")
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="participants", db_index=False
    )
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="participant"
    )
    external_id = models.CharField(max_length=200)
    platform_study = models.CharField(max_length=200, blank=True)
    session = models.CharField(max_length=200, blank=True)
    arrived_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(help_text="When the link was last opened.")
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = ParticipantQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "external_id"], name="participant_once_in_a_project"
            ),
            models.CheckConstraint(condition=~Q(external_id=""), name="participant_has_an_id"),
        ]
        indexes = [
            models.Index(fields=["study", "finished_at", "seen_at"], name="participant_of_study")
        ]

    def __str__(self) -> str:
        return f"participant {self.pk} of {self.study_id}"
