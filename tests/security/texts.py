"""The texts of people, files and models in all tables, for a test to make something else of them.

A new column of text is found by itself, and so is a new model of which the world has no row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from annotation.models import Adjudication, IdempotentAnswer, SupersededGuidelines
from annotation.models.crowd import Participant
from annotation.models.notices import Condition, NoticeChoice
from tests import factories
from tests.security.world import World
from tests.training.factories import make_common
from training.models import GpuSlot, Metric, Run, RunColumns, RunPin, Sample
from training.runs import requests, scheduling
from training.runs.requests import Step

# Words of the program, which no person, file or model can choose: hashes, kinds, storage's names.
WORDS = {
    *("password", "prefix", "digest", "sha256", "original_sha256", "content_sha256", "text_sha256"),
    *("body_sha256", "prompt_hash", "coverage", "version", "path", "preset", "key_variable"),
    *("Run.kind", "Run.settings", "Run.model", "Run.options", "Question.type", "Figures.data"),
    *(
        "Run.group",
        "Notice.kind",
        "Notice.event",
        "NoticeChoice.kind",
        "Delivery.event",
        "Condition.key",
    ),
    *(
        "Webhook.salt",
        "MachineLabelling.machine",
        "Release.counts",
        "Release.agreement",
        "Evaluation.summary",
        "ReportCard.figures",
    ),
}
MEMBERS = {"from", "kind", "question_type", "sha256"}
"""The same inside JSON."""
TEXTS = (models.CharField, models.TextField)


def complete(world: World) -> None:
    """Adds to the world what its other tests need no row of."""
    run, project = world.rows["run"], world.project
    manager = world.people["manager"]
    chain = make_common(project, requested_by=manager, base=run.base, release=run.release)
    requests.request_chain(chain, [Step("dpo")], name="chain")
    scheduling.claim(run.pk, host="host", gpus=0)
    GpuSlot.objects.create(host="host", index=0)
    RunColumns.objects.create(person=manager, columns=["figure:loss"])
    RunPin.objects.create(person=manager, run=run)
    Run.objects.filter(pk=run.pk).update(tags=["baseline"], notes="A note")
    Metric.objects.create(run=run, name="loss", step=1, value=1)
    Sample.objects.create(
        run=run, step=1, prompt_id="one", prompt="What?", response="A cat.", facts=["a cat"]
    )
    SupersededGuidelines.objects.create(project=project, version=1, text="Look.")
    Adjudication.objects.create(
        comparison=world.rows["gold"], adjudicator=manager, more_hallucinated="1", note="Yes."
    )
    notice, webhook = world.rows["notice"], world.rows["webhook"]
    NoticeChoice.objects.create(person=manager, kind=notice.kind, webhook=webhook)
    notice.deliveries.create(webhook=webhook, event=notice.event, said="No.")
    Condition.objects.create(key="disk")
    Participant.objects.create(
        study=world.rows["study"],
        project=project,
        user=factories.make_user(),
        external_id="5f",
        platform_study="6a",
        session="7b",
        seen_at=timezone.now(),
    )
    IdempotentAnswer.objects.create(
        user=manager, key="one", path="/api", status=200, answer={"a": "b"}
    )


def columns() -> Iterator[tuple[Any, Any]]:
    """(model, column) of everything that may hold a text that somebody wrote."""
    for label in ("annotation", "training", "benchmark"):
        for model in apps.get_app_config(label).get_models():
            for column in model._meta.concrete_fields:
                text = isinstance(column, TEXTS) and not column.choices
                checked = isinstance(column, models.SlugField | models.URLField | models.FileField)
                if not (text or isinstance(column, models.JSONField | ArrayField)) or checked:
                    continue
                if not WORDS & {column.name, f"{model.__name__}.{column.name}"}:
                    yield model, column


def replace(text: str) -> None:
    """Writes ``text``, with the row's number before it, into every one of them of every row."""
    for model, column in columns():
        for pk, value in model._default_manager.values_list("pk", column.attname):
            found = model._default_manager.filter(pk=pk)
            other = _replaced(value, f"{pk}{text}", column.max_length)
            try:
                with transaction.atomic():
                    found.update(**{column.name: other})
            except IntegrityError:
                assert not value, f"{model.__name__}.{column.name}"  # It must be empty there.


def _replaced(value: Any, text: str, longest: int | None = None) -> Any:
    if isinstance(value, dict):
        return {
            name: one if name in MEMBERS else _replaced(one, text) for name, one in value.items()
        }
    if isinstance(value, list):
        return [_replaced(one, text) for one in value]
    return text[:longest] if isinstance(value, str) else value
