"""The inbox, what a person chooses, and the webhooks of superusers; pages and REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Delivery, NoticeChoice, User, Webhook
from annotation.notices.kinds import KINDS
from tests import factories
from tests.annotation.notices.conftest import tell

pytestmark = pytest.mark.django_db
JSON = "application/json"


def logged_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def test_the_bell_counts_what_is_new_and_opening_reads_it(person: User) -> None:
    client, inbox = logged_in(person), reverse("annotation:notices")
    assert "Nothing yet" in client.get(inbox).content.decode()
    notice = tell(person)
    tell(person, event="run_failed:2")
    assert notice is not None
    assert "Notices, 2 new" in client.get(inbox).content.decode()
    opened = client.post(reverse("annotation:notice-open", args=[notice.pk]))
    assert opened["Location"] == "/training/"
    assert "Notices, 1 new" in client.get(inbox).content.decode()
    client.post(reverse("annotation:notices-read"))
    page = client.get(inbox).content.decode()
    assert 'aria-label="Notices"' in page
    assert "Run 1 has failed" in page


def test_notices_are_ones_own(person: User) -> None:
    notice = tell(person)
    assert notice is not None
    other = logged_in(factories.make_user())
    assert other.post(reverse("annotation:notice-open", args=[notice.pk])).status_code == 404
    assert other.get(reverse("annotation-api:notices")).json()["results"] == []
    notice.refresh_from_db()
    assert notice.read_at is None


def test_choices_are_kept_and_shown(person: User, webhook: Webhook) -> None:
    client, path = logged_in(person), reverse("annotation:notice-choices")
    page = client.get(path).content.decode()
    assert "no mail server" in page
    assert str(KINDS["disk_nearly_full"]) not in page
    given: Any = {"email": "me@example.org", "run_failed-webhook": webhook.pk}
    client.post(path, {**given, "run_failed-inbox": "on"})
    person.refresh_from_db()
    assert person.email == "me@example.org"
    failed = NoticeChoice.objects.get(kind="run_failed")
    assert (failed.inbox, failed.email, failed.webhook) == (True, False, webhook)
    assert not NoticeChoice.objects.get(kind="run_lost").inbox
    assert "checked" in client.get(path).content.decode()


def test_choices_over_rest(person: User, webhook: Webhook) -> None:
    client, path = logged_in(person), reverse("annotation-api:notice-choices")
    before = client.get(path).json()["choices"]
    assert {one["kind"] for one in before} == set(KINDS) - {"disk_nearly_full"}
    assert {(one["inbox"], one["email"], one["webhook"]) for one in before} == {(True, False, None)}
    one = {"kind": "run_lost", "inbox": False, "email": True, "webhook": "lab"}
    now = client.put(path, {"choices": [one]}, content_type=JSON).json()["choices"]
    assert one in now
    one["webhook"] = "nowhere"
    refused = client.put(path, {"choices": [one]}, content_type=JSON)
    assert refused.status_code == 400


def test_reading_over_rest(person: User) -> None:
    client = logged_in(person)
    for number in range(3):
        tell(person, event=f"run_failed:{number}")
    newest, middle, oldest = client.get(reverse("annotation-api:notices")).json()["results"]
    assert newest["id"] > middle["id"] > oldest["id"]
    path = reverse("annotation-api:notices-read")
    assert client.put(path, {"up_to": middle["id"]}, content_type=JSON).status_code == 204
    found = client.get(reverse("annotation-api:notices")).json()["results"]
    assert [one["read_at"] is None for one in found] == [True, False, False]


def test_webhooks_are_made_tested_and_turned_off_by_superusers(person: User) -> None:
    path = reverse("annotation:webhooks")
    given = {"name": "lab", "address": "https://hooks.slack.com/services/SECRET"}
    assert logged_in(person).post(path, given).status_code == 403
    admin = logged_in(factories.make_admin())
    refused = admin.post(path, {"name": "file", "address": "file:///etc/passwd"})
    assert refused.status_code == 422
    admin.post(path, given)
    webhook = Webhook.objects.get()
    one = webhook.get_absolute_url()
    admin.post(one, {"action": "test"})
    delivery = Delivery.objects.get()
    assert (delivery.webhook, delivery.notice) == (webhook, None)
    page = admin.get(one).content.decode()
    assert "SECRET" not in page
    assert webhook.secret in page
    assert ">Test<" in page
    admin.post(one, {"action": "turn-off"})
    assert not Webhook.objects.get().enabled
    assert admin.post(one, {"action": "nonsense"}).status_code == 422
    admin.post(one, {"action": "delete"})
    assert not Delivery.objects.exists()
