"""REST of quality: the report, and gold in its three ways."""

from __future__ import annotations

import pytest

from annotation.models import (
    Project,
)
from tests.annotation.api import Api
from tests.factories import (
    judge,
    make_comparison,
    make_member,
    make_project,
)

pytestmark = pytest.mark.django_db


def test_the_quality_report_says_what_the_pages_say(project: Project) -> None:
    for said in ("1", "1", "tie"):
        judge(make_comparison(project), said, "1" if said == "tie" else "")
    found = Api(make_member(project, "reviewer")).get(f"projects/{project.slug}/quality").json()
    assert found["ties"] == {
        "part": 1,
        "whole": 3,
        "value": pytest.approx(1 / 3),
        "low": pytest.approx(0.061, abs=1e-3),
        "high": pytest.approx(0.792, abs=1e-3),
    }
    assert [one["answers"] for one in found["annotators"]] == [1, 1, 1]
    assert found["annotators"][0]["gold"]["value"] is None
    assert (
        "Cannot say yet" in found["forecast"]["reason"] or "Nothing" in found["forecast"]["reason"]
    )
    assert (len(found["days"]), found["days"][-1]["answers"]) == (28, 3)
    assert found["agreement"]["comparisons"] == 0


def test_gold_is_stated_listed_and_withdrawn(api: Api, project: Project) -> None:
    path, comparison = f"projects/{project.slug}/gold", make_comparison(project)
    body = {"comparison": comparison.pk, "more_hallucinated": "2", "explanation": "a star"}
    made = api.post(path, body)
    assert (made.status_code, made.json()["more_hallucinated"]) == (201, "2")
    (listed,) = api.get(path).json()["results"]
    assert (listed["explanation"], listed["corrupted_from"]) == ("a star", None)
    assert api.delete(f"{path}/{comparison.pk}").status_code == 204
    comparison.refresh_from_db()
    assert not comparison.is_gold
    other = make_comparison(make_project())
    assert api.post(path, {**body, "comparison": other.pk}).status_code == 404


def test_gold_is_made_by_corruption_and_by_promotion(api: Api, project: Project) -> None:
    comparison = make_comparison(project, response_1="Two red apples.", response_2="A cat.")
    judge(comparison, "2")
    drafts = api.get(f"projects/{project.slug}/comparisons/{comparison.pk}/drafts").json()
    assert {one["kind"] for one in drafts} == {"object", "count", "colour"}
    body = {"comparison": comparison.pk, "text": drafts[0]["text"]}
    made = api.post(f"projects/{project.slug}/gold/corrupted", body)
    assert made.status_code == 201
    assert made.json()["corrupted_from"] == comparison.external_id
    same = {"comparison": comparison.pk, "text": "Two red apples."}
    assert api.post(f"projects/{project.slug}/gold/corrupted", same).status_code == 422
    promoted = api.post(f"projects/{project.slug}/gold/promote", {"most": 5})
    assert (promoted.status_code, promoted.json()) == (201, {"made": 0})
