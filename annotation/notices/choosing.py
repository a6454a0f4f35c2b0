"""What a person does about notices: choosing, and having read them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from annotation.models import NoticeChoice, User

MOST_COUNTED = 100


def choose(person: User, chosen: dict[str, dict[str, Any]]) -> None:
    """By kind: ``inbox``, ``email``, ``webhook``, or some of them."""
    with transaction.atomic():
        for kind, how in chosen.items():
            NoticeChoice.objects.update_or_create(person=person, kind=kind, defaults=how)


def unread(person: User) -> int:
    """How many wait in the inbox, counted up to MOST_COUNTED."""
    waiting = person.notices.filter(read_at__isnull=True, in_inbox=True).order_by()
    return waiting[:MOST_COUNTED].count()


def read_all(person: User, *, up_to: int | None = None) -> None:
    """Those up to a notice (its key), or all."""
    waiting = person.notices.filter(read_at__isnull=True)
    if up_to is not None:
        waiting = waiting.filter(pk__lte=up_to)
    waiting.update(read_at=timezone.now())


def sends_mails() -> bool:
    """Whether the site has a mail server."""
    return bool(settings.EMAIL_HOST)
