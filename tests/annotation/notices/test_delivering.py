"""Mails and webhooks: signed, tried again a bounded number of times, once for an event."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from annotation.models import Delivery, Notice, User, Webhook
from annotation.notices import delivering, writing
from config import poison_jobs
from tests import factories
from tests.annotation.notices.conftest import Receiver, choose, tell
from tests.announcing import keep_announcements

pytestmark = pytest.mark.django_db


def due() -> Delivery:
    """The one delivery, as if its pause were over."""
    Delivery.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
    return Delivery.objects.get()


def test_a_webhook_gets_a_signed_text_once(
    person: User, webhook: Webhook, receiver: Receiver, settings: Any
) -> None:
    settings.SITE_URL = "https://labels.example.org/"
    choose(person, webhook=webhook)
    tell(person)
    delivering.deliver(due().pk)
    delivering.deliver(due().pk)
    [(headers, sent)] = receiver.got
    said = receiver.bodies()[0]
    assert said["text"] == "Run 1 has failed\nhttps://labels.example.org/training/"
    assert (said["kind"], said["event"]) == ("run_failed", "run_failed:1")
    whole = headers["X-FactLoop-Timestamp"].encode() + b"." + sent
    expected = hmac.new(webhook.secret.encode(), whole, hashlib.sha256).hexdigest()
    assert headers["X-FactLoop-Signature"] == f"v1={expected}"
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.said) == ("sent", 1, "200 ok")


def test_secrets_are_those_of_one_webhook_and_kept_nowhere(webhook: Webhook) -> None:
    other = Webhook.objects.create(name="other", address=webhook.address)
    assert webhook.secret != other.secret
    assert len(webhook.secret) == 64
    assert webhook.secret not in str(Webhook.objects.values().first())


def test_an_event_goes_to_a_webhook_once_whoever_wants_it(
    person: User, webhook: Webhook, receiver: Receiver
) -> None:
    other = factories.make_user()
    for one in (person, other):
        choose(one, webhook=webhook)
    tell(person, other)
    tell(person, other)
    assert Notice.objects.count() == 2
    assert Delivery.objects.count() == 1


def test_what_is_not_taken_is_tried_again_later_each_time_and_then_given_up(
    person: User, webhook: Webhook, receiver: Receiver
) -> None:
    receiver.status = 500
    choose(person, webhook=webhook)
    tell(person)
    pauses = []
    for number in range(1, poison_jobs.MOST_ATTEMPTS + 1):
        before = timezone.now()
        delivering.deliver(due().pk)
        delivery = Delivery.objects.get()
        assert delivery.attempts == number
        assert delivery.said == "It answered 500 ok"
        pauses.append(delivery.next_try_at - before)
        delivering.deliver(delivery.pk)  # before its pause is over
    assert delivery.state == "failed"
    assert len(receiver.got) == poison_jobs.MOST_ATTEMPTS
    assert pauses == sorted(pauses)
    assert pauses[1] > 4 * pauses[0]
    receiver.status = 200
    delivering.deliver(due().pk)
    assert len(receiver.got) == poison_jobs.MOST_ATTEMPTS


def test_a_redirect_is_not_followed(person: User, webhook: Webhook, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 307, {"Location": f"{receiver.address}/elsewhere"}
    choose(person, webhook=webhook)
    tell(person)
    delivering.deliver(due().pk)
    assert len(receiver.got) == 1
    assert Delivery.objects.get().said == "It answered 307 ok"


def test_an_address_where_nobody_is_is_told_in_words(person: User) -> None:
    gone = Webhook.objects.create(name="gone", address="http://127.0.0.1:9/")
    choose(person, webhook=gone)
    tell(person)
    delivering.deliver(due().pk)
    assert "The connection failed" in Delivery.objects.get().said


def test_a_worker_that_dies_of_a_try_does_not_make_it_for_ever(
    person: User, webhook: Webhook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_announcements(monkeypatch)
    choose(person, webhook=webhook)
    tell(person)
    delivering.deliver_waiting()
    assert kept[-1] == (writing.TASK, Delivery.objects.get().pk)
    Delivery.objects.update(attempts=poison_jobs.MOST_ATTEMPTS)
    due()
    delivering.deliver_waiting()
    assert Delivery.objects.get().state == "failed"
    assert Delivery.objects.get().said == poison_jobs.GIVEN_UP
    assert receiver.got == []


def test_a_mail_goes_to_whoever_chose_it_where_there_is_a_server(
    person: User, settings: Any
) -> None:
    choose(person, email=True)
    tell(person)
    assert not Delivery.objects.exists()
    settings.EMAIL_HOST, settings.SITE_URL = "mail.example.org", "https://labels.example.org"
    tell(person, event="run_failed:2")
    delivering.deliver(due().pk)
    [sent] = mail.outbox
    assert sent.to == ["noor@example.org"]
    assert sent.subject == "FactLoop: Run 1 has failed"
    assert "https://labels.example.org/training/" in sent.body


def test_a_mail_server_that_is_away_is_tried_again(
    person: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_HOST = "mail.example.org"

    def refuse(*_: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    choose(person, email=True)
    tell(person)
    delivering.deliver(due().pk)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == ("waiting", 1)
    assert "did not take it" in delivery.said


def test_what_is_rolled_back_was_not_told(
    person: User, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_announcements(monkeypatch)
    choose(person, webhook=webhook)
    with pytest.raises(RuntimeError), transaction.atomic():
        tell(person)
        raise RuntimeError
    assert not Notice.objects.exists()
    assert kept == []


def test_the_inbox_can_be_left_empty_and_others_told(person: User, webhook: Webhook) -> None:
    choose(person, inbox=False, webhook=webhook)
    notice = tell(person)
    assert notice is not None
    assert not notice.in_inbox
    assert Delivery.objects.count() == 1
    with pytest.raises(ValueError, match="no kind"):
        writing.tell("nonsense", [person], event="x", title="x", link="/")


def test_people_who_left_are_not_told(person: User) -> None:
    person.is_active = False
    assert tell(person) is None
