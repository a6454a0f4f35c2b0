"""People change their own password."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_user

pytestmark = pytest.mark.django_db
OLD, NEW = "an old passphrase", "another passphrase"


@pytest.fixture
def person():
    user = make_user("noor")
    user.set_password(OLD)
    user.save()
    return user


def logged_in(user):
    client = Client()
    client.force_login(user)
    return client


def send(client, old, new, again=None):
    fields = {"old_password": old, "new_password1": new, "new_password2": again or new}
    return client.post(reverse("annotation:password"), fields)


def test_a_new_password_opens_the_account_and_logs_other_browsers_out(person):
    here, elsewhere = logged_in(person), logged_in(person)
    assert send(here, OLD, NEW).status_code == 302
    person.refresh_from_db()
    assert person.check_password(NEW)
    page = reverse("annotation:projects")
    assert here.get(page).status_code == 200
    assert elsewhere.get(page).status_code == 302


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [("a wrong passphrase", NEW, NEW), (OLD, NEW, "a third passphrase"), (OLD, "short", "short")],
)
def test_a_wrong_or_weak_password_changes_nothing(person, old, new, again):
    answer = send(logged_in(person), old, new, again)
    assert answer.status_code == 422
    person.refresh_from_db()
    assert person.check_password(OLD)


def test_strangers_are_asked_to_log_in():
    answer = Client().get(reverse("annotation:password"))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("login"))
