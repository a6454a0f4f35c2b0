"""The site for administrators shows training's rows and lets nobody edit them."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from tests.factories import make_admin
from tests.training.factories import make_checkpoint, make_run
from training.models import Run, State
from training.runs import scheduling

pytestmark = pytest.mark.django_db

MODELS = [model for model in admin.site._registry if model._meta.app_label == "training"]


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(make_admin())
    return client


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_has_a_list_and_no_form(model: type, client: Client) -> None:
    run = make_run()
    make_checkpoint(run)
    scheduling.claim(run.pk, host="here", gpus=0)
    name = f"admin:training_{model.__name__.lower()}"
    assert client.get(reverse(f"{name}_changelist")).status_code == 200
    assert client.get(reverse(f"{name}_add")).status_code == 403


def test_runs_can_be_cancelled_but_their_token_is_not_shown(client: Client) -> None:
    run = make_run()
    attempt = scheduling.claim(run.pk, host="here", gpus=0)
    assert attempt is not None
    page = client.get(reverse("admin:training_run_change", args=[run.pk])).content.decode()
    assert str(attempt.token) not in page
    waiting = make_run()
    action = {"action": "cancel", "_selected_action": [waiting.pk]}
    client.post(reverse("admin:training_run_changelist"), action)
    assert Run.objects.get(pk=waiting.pk).state == State.CANCELLED
