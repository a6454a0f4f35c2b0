"""The step of a project that training brings (``annotation.steps``)."""

from __future__ import annotations

from django.db.models import Exists, OuterRef
from django.urls import reverse

from annotation.steps import Step, register
from training.models import Checkpoint


def register_own() -> None:
    policies = Checkpoint.objects.usable().filter(kind=Checkpoint.Kind.POLICY)
    register(
        Step(
            "Train",
            "A reward model and a policy from the release, started by one form.",
            lambda project: reverse("training:chain-new"),
            Exists(policies.filter(run__project=OuterRef("pk"))),
        )
    )
