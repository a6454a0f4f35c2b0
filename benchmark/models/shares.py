"""Links by which anybody may read chosen evaluations, without an account."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from benchmark.models.asked import SHA256_LENGTH
from benchmark.models.evaluations import Evaluation

TOKEN_BYTES = 32


class SharedLinkQuerySet(models.QuerySet["SharedLink"]):
    def open(self) -> SharedLinkQuerySet:
        """Those that still show something: while who made them may still share."""
        return self.filter(
            revoked_at=None,
            expires_at__gt=timezone.now(),
            created_by__is_active=True,
            created_by__is_superuser=True,
        )

    def matching(self, token: str) -> SharedLinkQuerySet:
        """The link that was shown as ``token`` when it was made."""
        return self.filter(digest=hashlib.sha256(token.encode()).hexdigest())


class SharedLink(models.Model):
    """Shows evaluations of one group to whoever has the link, until it expires or is revoked.

    The evaluations are chosen when the link is made: what is measured later is not shown by it.
    Only a digest of the token is kept, so that a copy of the database opens nothing.
    """

    title = models.CharField(max_length=120)
    digest = models.CharField(max_length=SHA256_LENGTH, unique=True, editable=False)
    evaluations = models.ManyToManyField(Evaluation, related_name="shared_links")
    with_answers = models.BooleanField(
        "questions and answers",
        default=True,
        help_text="Each question with the model's answer and what the judge wrote.",
    )
    with_photographs = models.BooleanField(
        "photographs",
        default=False,
        help_text="Only where their licences allow to publish them.",
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = SharedLinkQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.title

    @classmethod
    def create(
        cls, evaluations: Iterable[Evaluation], *, days: int, created_by: Any, **fields: Any
    ) -> tuple[SharedLink, str]:
        """A new link and its token, which cannot be had again.

        Raises ValueError unless there is at least one evaluation and all are of one group.
        """
        chosen = list(evaluations)
        if len({evaluation.group for evaluation in chosen}) != 1:
            raise ValueError("A link shows evaluations that may be ranked together.")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with transaction.atomic():
            link = cls.objects.create(
                digest=hashlib.sha256(token.encode()).hexdigest(),
                expires_at=timezone.now() + timedelta(days=days),
                created_by=created_by,
                **fields,
            )
            link.evaluations.set(chosen)
        return link, token

    @property
    def state(self) -> str:
        """ "open", "expired", "revoked", or "closed": who made it is no administrator any more."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at <= timezone.now():
            return "expired"
        return "open" if self.created_by.is_active and self.created_by.is_superuser else "closed"

    def revoke(self) -> None:
        """Closes the link for good; a second time changes nothing."""
        SharedLink.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=timezone.now())
