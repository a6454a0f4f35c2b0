"""One model across benchmarks: what rose and fell, and the table for a paper."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.test import Client
from django.urls import reverse

from benchmark.models import Evaluation
from tests.benchmark.factories import make_evaluation, make_judge, make_question_set
from tests.factories import make_admin, make_project
from tests.training.factories import make_base, make_checkpoint
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db


def models() -> tuple[Checkpoint, Checkpoint]:
    base = make_base(name="the base")
    run = Run.objects.create(
        project=make_project(), kind="ppo", base=base, requested_by=make_admin(), name="ppo"
    )
    return base, make_checkpoint(run, name="policy_1", base=base)


def evaluated(version: str, before: list[int | None], after: list[int | None]) -> Evaluation:
    base = Checkpoint.objects.get(name="the base")
    policy = Checkpoint.objects.get(name="policy_1")
    questions = make_question_set(count=len(before), name=f"set {version}", version=version * 64)
    make_evaluation(before, question_set=questions, model_name="the base", checkpoint=base)
    return make_evaluation(
        after, question_set=questions, model_name="policy_1 & 50%", checkpoint=policy
    )


def test_the_page_says_what_rose_and_what_fell_and_at_what_coverage() -> None:
    make_judge("gpt", model="gpt-2026")
    _, policy = models()
    evaluated("a", [1] * 12, [5] * 12)
    evaluated("b", [5] * 12, [1] * 12)
    evaluated("c", [3, 4, 3], [3, 4, 3])
    client = Client()
    client.force_login(make_admin())
    page = client.get(reverse("benchmark:model", args=[policy.pk])).content.decode()
    assert "1 rose, 1 fell of 3 tested" in page
    assert "Fell on set b" in page
    assert "no difference shown" in page and "12 of 12" in page
    assert client.get(reverse("benchmark:model", args=[make_base().pk])).status_code == 404


def test_the_table_for_a_paper_names_judge_wording_and_interval() -> None:
    make_judge("gpt_4", model="gpt-2026")
    _, policy = models()
    evaluation = evaluated("a", [1] * 8, [5, 6, 5, 4, 5, 2, 5, 5])
    client = Client()
    client.force_login(make_admin())

    def told(form: str) -> str:
        return client.get(
            reverse("benchmark:model-summary", args=[policy.pk, form])
        ).content.decode()

    tex = told("tex")
    assert r"gpt\_4 (gpt-2026)" in tex and r"12 \%" in tex
    assert tex.count(r"\\") == 4
    assert evaluation.prompt_hash[:8] in tex
    markdown = told("md")
    assert "| set a, aaaaaaaa | gpt\\_4 (gpt-2026)" in markdown and "8 of 8" in markdown
    rows = list(csv.DictReader(io.StringIO(told("csv"))))
    assert [row["figure"] for row in rows] == ["Score", "Hallucination rate", "Informativeness"]
    assert json.loads(told("json"))["figures"][0]["value"] == evaluation.summary["score"]["value"]
    assert client.get(f"/benchmarks/models/{policy.pk}/summary.docx").status_code == 404
