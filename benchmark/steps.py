"""The step of a project that benchmarks bring (``annotation.steps``)."""

from __future__ import annotations

from django.db.models import Exists, OuterRef
from django.urls import reverse

from annotation.steps import Step, register
from benchmark.models import Evaluation


def register_own() -> None:
    scored = Evaluation.objects.scored().order_by()
    register(
        Step(
            "Score",
            "What was trained, asked the questions of a benchmark, beside its base.",
            lambda project: reverse("benchmark:start"),
            Exists(scored.filter(checkpoint__run__project=OuterRef("pk"))),
        )
    )
