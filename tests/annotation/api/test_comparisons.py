"""Comparisons and prompts in over REST, and what became of them."""

import base64

import pytest

from annotation.models import Comparison, Prompt
from tests.annotation.api import record
from tests.factories import (
    judge,
    make_comparison,
    make_image,
    picture_bytes,
)

pytestmark = pytest.mark.django_db


def test_comparisons_are_created_together(project, api):
    image = make_image()
    project.image_uploads.create(image=image)
    records = [record(image.sha256), record(f"{image.sha256}.png", id="r2", output_1="A bird.")]
    path = f"projects/{project.slug}/comparisons"
    created = api.post(path, {"comparisons": records})
    assert created.status_code == 201
    joins = [{"what": "images", "found": 2, "of": 2}, {"what": "facts", "found": 2, "of": 2}]
    said = {"left_out": [], "warnings": [], "joins": joins}
    assert created.json() == {"created": 2, "unchanged": 0, **said}
    again = api.post(path, {"comparisons": records})
    assert again.json() == {"created": 0, "unchanged": 2, **said}
    assert Prompt.objects.count() == 1


def test_one_bad_record_refuses_all_and_each_fault_is_named(project, api):
    image = make_image()
    bad = record(image.sha256, id="r2")
    del bad["output_2"]
    records = [record(image.sha256), bad, {"id": "r3"}]
    refused = api.post(f"projects/{project.slug}/comparisons", {"comparisons": records})
    assert refused.status_code == 422
    named = [(error["line"], error["field"]) for error in refused.json()["errors"]]
    assert named == [(1, "image"), (2, "output_2"), (3, "image")]  # nobody uploaded it
    assert not Comparison.objects.exists()


@pytest.mark.parametrize("kind", ["comparisons", "prompts"])
def test_what_cannot_be_used_is_left_out_by_name_where_that_is_asked(project, api, kind):
    image = make_image()
    project.image_uploads.create(image=image)
    good = record(image.sha256)
    bad = [{**good, "id": "r2", "conversations": []}, {**good, "id": "r3", "image": "f" * 64}]
    body = {kind: [bad[0], good, bad[1]]}
    path = f"projects/{project.slug}/{kind}"
    refused = api.post(path, body)
    assert (refused.status_code, Prompt.objects.count()) == (422, 0)
    assert api.post(path, {**body, "leave_out_unusable": "yes"}).status_code == 400
    done = api.post(path, {**body, "leave_out_unusable": True})
    assert (done.status_code, done.json()["created"]) == (201, 1)
    named = [(one["line"], one["field"]) for one in done.json()["left_out"]]
    assert named == [(1, "conversations"), (3, "image")]
    only = api.post(path, {kind: [{**bad[0], "id": "r4"}], "leave_out_unusable": True})
    assert only.status_code == 422
    assert "no record that can be used" in only.json()["errors"][0]["reason"]


def test_an_unknown_image_is_named(project, api):
    refused = api.post(f"projects/{project.slug}/comparisons", {"comparisons": [record("f" * 64)]})
    assert refused.status_code == 422
    assert "f" * 59 in refused.json()["errors"][0]["reason"]


@pytest.mark.parametrize("body", [{}, {"comparisons": []}, {"comparisons": {}}, []])
def test_a_body_without_records_is_refused(project, api, body):
    assert api.post(f"projects/{project.slug}/comparisons", body).status_code == 400


def test_prompts_are_created_without_responses(project, api):
    image = make_image()
    project.image_uploads.create(image=image)
    prompt = record(image.sha256, caption_type=6, length_bonus=-0.5)
    created = api.post(f"projects/{project.slug}/prompts", {"prompts": [prompt]})
    assert created.json()["created"] == 1
    stored = Prompt.objects.get()
    assert (stored.caption_type, stored.length_bonus) == (6, -0.5)
    assert not Comparison.objects.exists()


def test_comparisons_are_listed_and_filtered(project, api):
    judge(make_comparison(project))
    waiting = make_comparison(project)
    path = f"projects/{project.slug}/comparisons"
    assert len(api.get(path).json()["results"]) == 2
    listed = api.get(path, outcome="waiting").json()["results"]
    assert [entry["external_id"] for entry in listed] == [waiting.external_id]
    assert api.get(path, outcome="open").status_code == 400


def test_listing_comparisons_takes_no_more_queries_for_more(
    project, api, django_assert_num_queries, django_assert_max_num_queries
):
    path = f"projects/{project.slug}/comparisons"
    make_comparison(project)
    api.get(path)
    with django_assert_max_num_queries(10) as few:
        api.get(path)
    for _ in range(5):
        make_comparison(project)
    with django_assert_num_queries(len(few)):
        api.get(path)


def test_records_of_other_projects_may_hold_their_picture_and_no_second_one(project, api):
    picture = f"data:image/png;base64,{base64.b64encode(picture_bytes()).decode()}"
    row = {"image": picture, "question": "What?", "chosen": "A card.", "rejected": "A dog."}
    turn = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture}}] * 2}
    two = {"messages": [turn], "chosen": "One.", "rejected": "Two."}
    path = f"projects/{project.slug}/comparisons"
    refused = api.post(path, {"comparisons": [row, two]})
    [error] = refused.json()["errors"]
    assert (refused.status_code, error["line"], error["field"]) == (422, 2, "messages")
    assert "a comparison shows one" in error["reason"]
    done = api.post(path, {"comparisons": [row, two], "leave_out_unusable": True})
    assert (done.json()["created"], len(done.json()["left_out"])) == (1, 1)
    assert Comparison.objects.get().prompt.image.format == "png"
