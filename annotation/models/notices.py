"""What people are told, which of it they want and how, and what was sent of it."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from django.core.validators import URLValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from annotation.models.people import User
from annotation.models.projects import Project
from config.poison_jobs import Attempted


class Notice(models.Model):
    """One event told to one person, once: ``event`` names it."""

    person = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="notices", db_index=False
    )
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    kind = models.CharField(max_length=30)
    event = models.CharField(max_length=120)
    title = models.CharField(max_length=300)
    link = models.CharField(max_length=300, help_text="A path of this site.")
    in_inbox = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["person", "event"], name="notice_once_a_person")
        ]
        indexes = [
            models.Index(
                fields=["person"],
                condition=Q(read_at__isnull=True, in_inbox=True),
                name="notice_unread",
            ),
            models.Index(fields=["person", "-id"], name="notice_of_person"),
        ]

    def __str__(self) -> str:
        return self.title


class Webhook(models.Model):
    """An address that is told of events. Superusers alone enter addresses (decision 030).

    What signs the messages is made of SECRET_KEY and ``salt``; it is kept nowhere.
    """

    name = models.CharField(max_length=80, unique=True)
    address = models.CharField(max_length=500, validators=[URLValidator(schemes=["https", "http"])])
    salt = models.CharField(max_length=64, editable=False)
    enabled = models.BooleanField(default=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        self.salt = self.salt or secrets.token_hex(16)
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    @property
    def secret(self) -> str:
        """With which a receiver checks who has sent a message; 64 hexadecimal digits."""
        return salted_hmac("annotation.webhook", self.salt, algorithm="sha256").hexdigest()

    @property
    def host(self) -> str:
        """What may be shown of the address: the rest of it may be a secret."""
        return urlsplit(self.address).hostname or ""

    def get_absolute_url(self) -> str:
        return reverse("annotation:webhook", args=[self.pk])


class NoticeChoice(models.Model):
    """How somebody wants to be told of a kind; where there is no row, in the page alone."""

    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notice_choices")
    kind = models.CharField(max_length=30)
    inbox = models.BooleanField(default=True)
    email = models.BooleanField(default=False)
    webhook = models.ForeignKey(
        Webhook, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "kind"], name="notice_choice_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.person_id}"


class Delivery(Attempted):
    """A notice on its way out of the site. To a webhook an event goes once, whoever wanted it."""

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        SENT = "sent", "sent"
        FAILED = "failed", "failed"

    notice = models.ForeignKey(
        Notice,
        on_delete=models.CASCADE,
        null=True,
        related_name="deliveries",
        help_text="Empty for a test.",
    )
    webhook = models.ForeignKey(
        Webhook,
        on_delete=models.CASCADE,
        null=True,
        related_name="deliveries",
        db_index=False,
        help_text="Empty for a mail.",
    )
    event = models.CharField(max_length=120)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    next_try_at = models.DateTimeField(default=timezone.now)
    said = models.CharField(max_length=300, blank=True, help_text="What came of the last try.")
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "event"],
                condition=Q(webhook__isnull=False),
                name="delivery_once_a_webhook",
            ),
            models.UniqueConstraint(
                fields=["notice"], condition=Q(webhook__isnull=True), name="delivery_one_mail"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"], condition=Q(state="waiting"), name="delivery_waiting"
            ),
            models.Index(fields=["webhook", "-id"], name="delivery_log"),
        ]

    def __str__(self) -> str:
        return f"{self.event} ({self.state})"


class Condition(models.Model):
    """Something that holds since a moment and was told then; the row goes when it ends."""

    key = models.CharField(max_length=80, unique=True)
    since = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.key
