"""Sending what was written: mails, and webhooks with a signature.

A try is counted before it is made (config.poison_jobs), so that a worker that dies of one does not
make it for ever; between tries the pause grows. A webhook is asked as a judge is: no redirect is
followed, the whole request has a time, and of the answer little is read. The body is JSON with a
``text``, which Slack and what is like it shows.

    X-FactLoop-Timestamp: 1700000000
    X-FactLoop-Signature: v1=<HMAC-SHA256 of "<timestamp>.<body>" with the webhook's secret, in hex>
    X-FactLoop-Event: <the event's name: the same in each try>
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from smtplib import SMTPException
from typing import Any

import httpx
from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext

from annotation.models import Delivery, Webhook
from annotation.notices.writing import TASK
from config import deadlines, languages, poison_jobs, wakeup
from config.sanitising import storable

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
MOST_READ_BYTES = 2048
PAUSE_SECONDS = 60
"""After the first try that failed; five times as long after each further one."""
LEASE = timedelta(minutes=2)
"""For which a try keeps the row from other workers."""
AT_ONCE = 200
USER_AGENT = "FactLoop-Webhook"


class NotTaken(Exception):
    """The other side did not take it; the message is for people."""


def deliver(delivery_id: int) -> None:
    """One try, unless another worker is at it or it has ended."""
    rows = Delivery.objects.filter(
        pk=delivery_id,
        state=Delivery.State.WAITING,
        next_try_at__lte=timezone.now(),
        attempts__lt=poison_jobs.MOST_ATTEMPTS,
    )
    if not poison_jobs.take(rows, next_try_at=timezone.now() + LEASE):
        return
    delivery = Delivery.objects.select_related("notice__person", "webhook").get(pk=delivery_id)
    try:
        said = _mail(delivery) if delivery.webhook is None else _post(delivery, delivery.webhook)
    except NotTaken as error:
        poison_jobs.note_failure(partial(_failed, delivery), error)
    except Exception:
        log.exception("delivery %s failed", delivery.pk)
        poison_jobs.note_failure(partial(_failed, delivery), poison_jobs.FAULT)
    else:
        ended = {"state": Delivery.State.SENT, "ended_at": Now()}
        Delivery.objects.filter(pk=delivery.pk).update(said=said[:300], **ended)


def _failed(delivery: Delivery, reason: str) -> None:
    pause = timedelta(seconds=PAUSE_SECONDS * 5 ** (delivery.attempts - 1))
    told: dict[str, Any] = {"said": reason[:300], "next_try_at": timezone.now() + pause}
    if delivery.attempts >= poison_jobs.MOST_ATTEMPTS:
        told |= {"state": Delivery.State.FAILED, "ended_at": Now()}
    Delivery.objects.filter(pk=delivery.pk).update(**told)


def deliver_waiting() -> None:
    """Announces what is due, and gives up what workers came to no end with."""
    due = Delivery.objects.filter(state=Delivery.State.WAITING, next_try_at__lte=timezone.now())
    poison_jobs.give_up(due, state=Delivery.State.FAILED, ended_at=Now(), said=poison_jobs.GIVEN_UP)
    ids = list(due.order_by("next_try_at").values_list("pk", flat=True)[:AT_ONCE])
    wakeup.announce_unless_pending(TASK, ids)


def test(webhook: Webhook) -> Delivery:
    """Asks for one message that says that it is a test."""
    event = f"test:{webhook.pk}:{time.time_ns()}"
    delivery = Delivery.objects.create(webhook=webhook, event=event)
    wakeup.after_commit(TASK, delivery.pk)
    return delivery


def body(delivery: Delivery) -> dict[str, Any]:
    """What a webhook is sent."""
    notice = delivery.notice
    if notice is None:
        return {"text": "FactLoop: this is a test.", "kind": "test", "event": delivery.event}
    link = _whole(notice.link)
    return {
        "text": f"{notice.title}\n{link}" if link else notice.title,
        "kind": notice.kind,
        "event": delivery.event,
        "title": notice.title,
        "link": link,
        "project": notice.project.slug if notice.project else None,
        "at": notice.created_at.isoformat(timespec="seconds"),
    }


def signature(secret: str, timestamp: str, sent: bytes) -> str:
    """HMAC-SHA256 over "timestamp.body", in hex."""
    whole = timestamp.encode() + b"." + sent
    return hmac.new(secret.encode(), whole, hashlib.sha256).hexdigest()


def _post(delivery: Delivery, webhook: Webhook) -> str:
    if not webhook.enabled:
        raise NotTaken("The webhook is off.")
    sent = json.dumps(body(delivery), ensure_ascii=False).encode()
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
        "X-FactLoop-Timestamp": timestamp,
        "X-FactLoop-Signature": f"v1={signature(webhook.secret, timestamp, sent)}",
        "X-FactLoop-Event": delivery.event,
    }
    timeout = httpx.Timeout(TIMEOUT_SECONDS)
    try:
        with (
            httpx.Client(timeout=timeout, transport=deadlines.transport()) as client,
            deadlines.within(TIMEOUT_SECONDS),
            client.stream("POST", webhook.address, content=sent, headers=headers) as response,
        ):
            answer = b"".join(_read(response)).decode(errors="replace")
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        raise NotTaken("This is no address that can be asked.") from None
    except httpx.TimeoutException:
        raise NotTaken(f"No answer within {TIMEOUT_SECONDS:g} s.") from None
    except httpx.HTTPError as error:
        raise NotTaken(f"The connection failed ({type(error).__name__}).") from None
    told = f"{response.status_code} {storable(answer[:200])}".strip()
    if not 200 <= response.status_code < 300:
        raise NotTaken(f"It answered {told}")
    return told


def _read(response: httpx.Response) -> Iterator[bytes]:
    seen = 0
    for chunk in response.iter_raw():
        yield chunk[: MOST_READ_BYTES - seen]
        seen += len(chunk)
        if seen >= MOST_READ_BYTES:
            return


def _mail(delivery: Delivery) -> str:
    notice = delivery.notice
    if notice is None or not notice.person.email:
        raise NotTaken("Nobody is there to write to.")
    subject = " ".join(notice.title.split())[:150]
    with languages.spoken_to(notice.person):
        why = gettext("You get this mail because you asked for it in FactLoop, under Notices.")
    text = "\n\n".join(part for part in (notice.title, _whole(notice.link), why) if part)
    try:
        EmailMessage(f"FactLoop: {subject}", text, to=[notice.person.email]).send()
    except (SMTPException, OSError) as error:
        raise NotTaken(f"The mail server did not take it ({type(error).__name__}).") from None
    return "handed to the mail server"


def _whole(path: str) -> str:
    """A path with the site's address before it; empty where that is not set."""
    return f"{settings.SITE_URL.rstrip('/')}{path}" if settings.SITE_URL else ""
