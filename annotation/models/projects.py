"""Projects, who belongs to them, and invitations to join."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy, gettext_noop, pgettext_lazy

from annotation.errors import DomainError
from annotation.models.people import User, digest_of

INVITATION_DAYS = 14

LONGEST_GUIDELINES = 50_000


QUESTION = gettext_noop("Which response hallucinates more?")
"""Where a project asks no other."""


class Role(models.TextChoices):
    """What a member may do; each role may also do what the ones before it may."""

    ANNOTATOR = "annotator", gettext_lazy("Annotator")
    REVIEWER = "reviewer", gettext_lazy("Reviewer")
    MANAGER = "manager", gettext_lazy("Manager")


class Correct(models.TextChoices):
    """Which response of a pair is to be corrected, once somebody has chosen."""

    NEITHER = "", "No"
    BETTER = "better", gettext_lazy("The better one")
    WORSE = "worse", gettext_lazy("The one that hallucinates more")


class OneProjectOnly(DomainError):
    status = 409
    title = "Participants of a study stay what they came for"


class Project(models.Model):
    """One body of comparisons with one question, one set of rules and its own members."""

    class State(models.TextChoices):
        OPEN = "open", pgettext_lazy("project", "Open")
        PAUSED = "paused", pgettext_lazy("project", "Paused")
        CLOSED = "closed", pgettext_lazy("project", "Closed")
        ARCHIVED = "archived", pgettext_lazy("project", "Archived")

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    question = models.CharField(
        max_length=200,
        default=QUESTION,
        help_text="Asked above the two responses; the answer names the worse one.",
    )
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    judgments_per_comparison = models.PositiveSmallIntegerField(
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text="How many people judge each comparison.",
    )
    max_judgments = models.PositiveSmallIntegerField(
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text="While votes give no majority one more person is asked, up to this many.",
    )
    allow_tie = models.BooleanField(default=True)
    lease_minutes = models.PositiveSmallIntegerField(
        default=15,
        validators=[MinValueValidator(1), MaxValueValidator(24 * 60)],
        help_text="How long a comparison stays with a person who does not answer.",
    )
    mark_spans = models.BooleanField(
        default=False, help_text="Let annotators mark the hallucinated words."
    )
    ask_confidence = models.BooleanField(default=False)
    ask_correction = models.CharField(
        max_length=6,
        choices=Correct,
        blank=True,
        default=Correct.NEITHER,
        db_default=Correct.NEITHER,
        help_text="Which response annotators correct after they have chosen.",
    )
    correction_required = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether everybody has to correct it, or to say that nothing in it is false.",
    )
    gold_rate = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0), MaxValueValidator(0.5)],
        help_text="Share of comparisons whose answer is known, 0 to 0.5.",
    )
    repeat_rate = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0), MaxValueValidator(0.2)],
        help_text="Share of a person's own answers asked again with the sides exchanged, 0 to 0.2.",
    )
    pause_below = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="Pause an annotator whose share of right gold answers is below; 0 for never.",
    )
    pause_after = models.PositiveSmallIntegerField(
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="Gold answers before anybody is paused; only the last so many are looked at.",
    )
    quiz_pass_mark = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="Share of right answers with which a newcomer passes; 0 for no quiz.",
    )
    quiz_attempts = models.PositiveSmallIntegerField(
        default=2,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
        help_text="How often somebody may try; a manager can grant more, or let them in.",
    )
    guidelines = models.TextField(blank=True, max_length=LONGEST_GUIDELINES, help_text="Markdown.")
    guidelines_version = models.PositiveIntegerField(default=1)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        through="Membership",
        through_fields=("project", "user"),
        related_name="projects",
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(judgments_per_comparison__gte=1), name="project_asks_somebody"
            ),
            models.CheckConstraint(
                condition=Q(max_judgments__gte=F("judgments_per_comparison")),
                name="project_maximum_not_below_usual",
            ),
            models.CheckConstraint(
                condition=Q(gold_rate__gte=0, gold_rate__lte=0.5), name="project_gold_rate_share"
            ),
            models.CheckConstraint(
                condition=Q(repeat_rate__gte=0, repeat_rate__lte=0.2),
                name="project_repeat_rate_share",
            ),
            models.CheckConstraint(
                condition=Q(pause_below__gte=0, pause_below__lte=1), name="project_bar_is_share"
            ),
            models.CheckConstraint(
                condition=Q(lease_minutes__gte=1), name="project_lease_is_positive"
            ),
            models.CheckConstraint(
                condition=Q(quiz_pass_mark__gte=0, quiz_pass_mark__lte=1),
                name="project_pass_mark_is_share",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def asked(self) -> str:
        """The question as people read it: what managers wrote stays as they wrote it."""
        return gettext(QUESTION) if self.question == QUESTION else self.question

    def get_absolute_url(self) -> str:
        return reverse("annotation:project", args=[self.slug])

    @property
    def lease(self) -> timedelta:
        return timedelta(minutes=self.lease_minutes)

    def change_guidelines(self, text: str) -> None:
        """Stores new guidelines under a new version; members are asked to acknowledge it."""
        if text != self.guidelines:
            self.next_guidelines(text)

    def next_guidelines(self, text: str) -> None:
        """Begins a version; the text of the one before is kept. Call it with the row locked."""
        self.superseded_guidelines.create(version=self.guidelines_version, text=self.guidelines)
        self.guidelines = text
        self.guidelines_version += 1
        self.save(update_fields=["guidelines", "guidelines_version"])


class Membership(models.Model):
    """A person's role in a project. A paused member keeps access but is handed no work."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=10, choices=Role, default=Role.ANNOTATOR)
    from_groups = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Given by groups of single sign-on: it changes and ends with them.",
    )
    paused = models.BooleanField(default=False)
    paused_reason = models.CharField(
        max_length=200, blank=True, help_text="Why the project paused them by itself."
    )
    guidelines_acknowledged = models.PositiveIntegerField(
        default=0, help_text="The version of the guidelines last acknowledged; 0 for none."
    )
    quiz_admitted_at = models.DateTimeField(
        null=True, blank=True, help_text="When the entry quiz was passed, or a manager let them in."
    )
    quiz_admitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who let them in without a pass.",
    )
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["joined_at"]
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.project} as {self.role}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Raises OneProjectOnly for more than what a participant of a study came for."""
        if fault := self._fault_of_participant():
            raise OneProjectOnly(fault)
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """The same, said to a form."""
        if self.user_id and (fault := self._fault_of_participant()):
            raise ValidationError(fault)

    def _fault_of_participant(self) -> str:
        if not self.user.is_participant:
            return ""
        others = Membership.objects.filter(user=self.user_id).exclude(pk=self.pk)
        if self.role == Role.ANNOTATOR and not others.exists():
            return ""
        name = self.user.username
        return f"{name} came by a study's link: they annotate in its project and nowhere else."


def still_managed_by(maker: str) -> Q:
    """Of rows with a ``project``, those whose ``maker`` (a field) manages it at this moment.

    What lets somebody in is worth no more than who made it is worth now.
    """
    manages = Membership.objects.filter(
        user=OuterRef(maker), project=OuterRef("project"), role=Role.MANAGER
    )
    in_charge = Q(**{f"{maker}__is_superuser": True}) | Q(Exists(manages))
    return in_charge & Q(**{f"{maker}__is_active": True})


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def usable(self) -> InvitationQuerySet:
        """Those that let somebody in."""
        return self.filter(
            still_managed_by("created_by"),
            accepted_at__isnull=True,
            expires_at__gt=timezone.now(),
        )

    def matching(self, raw: str) -> InvitationQuerySet:
        """The invitation that was shown as ``raw`` when it was made."""
        return self.filter(digest=digest_of(raw))


class Invitation(models.Model):
    """Lets one person join one project, once. The text of the link is kept only as a digest."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=10, choices=Role, default=Role.ANNOTATOR)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    note = models.CharField(max_length=120, blank=True, help_text="For whom it is.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="accepted_invitations",
    )
    accepted_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_known")
        ]

    def __str__(self) -> str:
        return f"{self.role} of {self.project}"

    @classmethod
    def create(
        cls, project: Project, *, role: str, created_by: User, note: str = ""
    ) -> tuple[Invitation, str]:
        """A new invitation and the text of its link, which cannot be had again."""
        raw = secrets.token_urlsafe(24)
        invitation = cls.objects.create(
            project=project,
            role=Role(role),
            digest=digest_of(raw),
            note=note,
            created_by=created_by,
            expires_at=timezone.now() + timedelta(days=INVITATION_DAYS),
        )
        return invitation, raw
