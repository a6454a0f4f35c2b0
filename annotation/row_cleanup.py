"""Rows that are of no use after a while and would otherwise be kept for ever.

Deleted in short transactions that pass over what somebody else holds, so that it may run at any
time and in several workers at once.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt, AccessLog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from annotation.models import Delivery, IdempotentAnswer, Invitation, Notice

log = logging.getLogger(__name__)

BATCH = 1000
MOST_BATCHES = 100
KEPT_NOTICES = timedelta(days=180)


def tidy() -> dict[str, int]:
    """Delete what is over; returns how many rows of each sort went.

    Answers to repeated requests after ``IDEMPOTENCY_HOURS``, who logged in or failed to after
    ``LOGIN_LOG_DAYS``, sessions and unused invitations once they have expired. A used invitation
    stays: it tells who let somebody in. Notices go after ``KEPT_NOTICES``, and what was sent of
    them.
    """
    answered = Now() - timedelta(hours=settings.IDEMPOTENCY_HOURS)
    logged = Now() - timedelta(days=settings.LOGIN_LOG_DAYS)
    over: dict[str, QuerySet[Any]] = {
        "repeatable answers": IdempotentAnswer.objects.filter(created_at__lt=answered),
        "sessions": Session.objects.filter(expire_date__lt=Now()),
        "failed log-ins": AccessAttempt.objects.filter(attempt_time__lt=logged),
        "log-ins": AccessLog.objects.filter(attempt_time__lt=logged),
        "notices": Notice.objects.filter(created_at__lt=Now() - KEPT_NOTICES),
        "tests of webhooks": Delivery.objects.filter(
            notice=None, created_at__lt=Now() - KEPT_NOTICES
        ),
        "invitations": Invitation.objects.filter(expires_at__lt=Now(), accepted_at=None),
    }
    gone = {name: delete_in_batches(rows) for name, rows in over.items()}
    log.info("tidied: %s", gone)
    return gone


def delete_in_batches(
    rows: QuerySet[Any], *, size: int = BATCH, most_batches: int = MOST_BATCHES
) -> int:
    """Delete ``rows``, ``size`` in a transaction; returns how many went.

    Rows that another transaction has locked, and those beyond ``most_batches``, are left to the
    next time.
    """
    gone = 0
    for _ in range(most_batches):
        with transaction.atomic():
            batch = rows.order_by("pk").select_for_update(skip_locked=True, of=("self",))[:size]
            ids = list(batch.values_list("pk", flat=True))
            rows.model._default_manager.filter(pk__in=ids).delete()
        gone += len(ids)
        if len(ids) < size:
            break
    return gone
