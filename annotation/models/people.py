"""People and the tokens that programs use in their name."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import timedelta

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy

TOKEN_PREFIX = "fl_"
DEFAULT_TOKEN_DAYS = 90


class User(AbstractUser):
    """A person with a log-in. Exports name the pseudonym and nothing else of them."""

    pseudonym = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    is_participant = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Came by a study's link: no password, one project, its labelling alone.",
    )
    # Neither has a list of values: languages and zones come and go without a migration.
    language = models.CharField(
        max_length=10,
        blank=True,
        default="",
        db_default="",
        help_text="A code such as pt-br; empty: what the browser asks for.",
    )
    time_zone = models.CharField(
        max_length=50,
        blank=True,
        default="",
        db_default="",
        help_text="A name such as America/Sao_Paulo; empty: that of the site.",
    )


def digest_of(raw: str) -> str:
    """What is kept of a token or of a link's text, SHA-256 in hex.

    No salt and no slow hash: the text has 192 random bits or more, so nothing can be guessed.
    """
    return hashlib.sha256(raw.encode()).hexdigest()


class ApiToken(models.Model):
    """A secret of one person or service. Only its SHA-256 is kept: the text is shown once."""

    class Scope(models.TextChoices):
        READ = "read", gettext_lazy("Read projects, releases and scores")
        ANNOTATE = "annotate", gettext_lazy("Take and answer assignments")
        MANAGE = "manage", gettext_lazy("Create projects, comparisons and releases")
        TRAIN = "train", gettext_lazy("Start and cancel runs")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, help_text="The beginning, to tell tokens apart.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope))
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def create(
        cls, user: User, *, name: str, scopes: list[str], days: int | None = DEFAULT_TOKEN_DAYS
    ) -> tuple[ApiToken, str]:
        """A new token and its text, which cannot be had again. ``days=None`` never expires."""
        unknown = sorted(set(scopes) - set(cls.Scope.values))
        if unknown or not scopes:
            known = ", ".join(cls.Scope.values)
            raise ValueError(f"scopes must be some of {known}; got {', '.join(unknown) or 'none'}")
        raw = TOKEN_PREFIX + secrets.token_urlsafe(32)
        token = cls.objects.create(
            user=user,
            name=name,
            prefix=raw[:8],
            digest=digest_of(raw),
            scopes=sorted(set(scopes)),
            expires_at=None if days is None else timezone.now() + timedelta(days=days),
        )
        return token, raw

    def revoke(self) -> None:
        """Ends the token's use at once; the row stays as a record."""
        self.revoked_at = self.revoked_at or timezone.now()
        self.save(update_fields=["revoked_at"])

    @property
    def state(self) -> str:
        """ "usable", "expired" or "revoked"."""
        if self.revoked_at:
            return "revoked"
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return "expired" if expired else "usable"

    def allows(self, *scopes: str) -> bool:
        return set(scopes) <= set(self.scopes)


class RecoveryCode(models.Model):
    """Opens an account once in place of its second factor. Only the SHA-256 is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "digest"], name="recovery_code_once")
        ]

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"
