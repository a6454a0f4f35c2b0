"""Images and comparisons in over REST, releases out as streams."""

import csv
import hashlib
import io
import json

import pytest

from annotation.models import Comparison, IdempotentAnswer, Image, Project, Prompt, Release
from tests.annotation.api import Api
from tests.factories import (
    judge,
    make_comparison,
    make_image,
    make_member,
    make_project,
    picture_bytes,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project(k=1)


@pytest.fixture
def manager(project):
    return Api(make_member(project, "manager"))


def record(image, **fields):
    return {
        "id": "r1",
        "image": image,
        "conversations": [
            {"from": "human", "value": "<image>\nWhat is it?"},
            {"from": "gpt", "value": ""},
        ],
        "output_1": {"from": "a", "value": "A cat."},
        "output_2": {"from": "b", "value": "A dog."},
        "captions": ["a cat"],
        **fields,
    }


def body_of(response):
    return b"".join(response.streaming_content)


# --- images -----------------------------------------------------------------------------------


def test_an_uploaded_picture_comes_back_as_stored(project, manager):
    uploaded = manager.upload(f"projects/{project.slug}/images", picture_bytes(width=9, height=4))
    assert uploaded.status_code == 201
    about = uploaded.json()
    assert (about["width"], about["height"], about["format"]) == (9, 4, "png")
    # It belongs to nobody until a prompt shows it.
    assert manager.get(f"images/{about['sha256']}").status_code == 404
    manager.post(f"projects/{project.slug}/comparisons", {"comparisons": [record(about["sha256"])]})
    served = manager.get(f"images/{about['sha256']}")
    assert served["Content-Type"] == "image/png"
    assert served["X-Content-Type-Options"] == "nosniff"
    assert "private" in served["Cache-Control"]
    assert hashlib.sha256(body_of(served)).hexdigest() == about["sha256"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "is not a PNG"),
        (picture_bytes(width=200, height=200)[:-60], "is broken"),
        (b"x" * (20 * 2**20 + 1), "is larger than 20 MiB"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(project, manager, data, reason):
    refused = manager.upload(f"projects/{project.slug}/images", data)
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith(reason)
    assert not Image.objects.exists()


# --- comparisons ------------------------------------------------------------------------------


def test_comparisons_are_created_together(project, manager):
    image = make_image()
    records = [record(image.sha256), record(f"{image.sha256}.png", id="r2", output_1="A bird.")]
    path = f"projects/{project.slug}/comparisons"
    created = manager.post(path, {"comparisons": records})
    assert created.status_code == 201
    assert created.json() == {"created": 2, "unchanged": 0, "warnings": []}
    again = manager.post(path, {"comparisons": records})
    assert again.json() == {"created": 0, "unchanged": 2, "warnings": []}
    assert Prompt.objects.count() == 1


def test_one_bad_record_refuses_all_and_each_fault_is_named(project, manager):
    image = make_image()
    bad = record(image.sha256, id="r2")
    del bad["output_2"]
    records = [record(image.sha256), bad, {"id": "r3"}]
    refused = manager.post(f"projects/{project.slug}/comparisons", {"comparisons": records})
    assert refused.status_code == 422
    named = [(error["line"], error["field"]) for error in refused.json()["errors"]]
    assert named == [(2, "output_2"), (3, "image")]
    assert not Comparison.objects.exists()


def test_an_unknown_image_is_named(project, manager):
    refused = manager.post(
        f"projects/{project.slug}/comparisons", {"comparisons": [record("f" * 64)]}
    )
    assert refused.status_code == 422
    assert "f" * 64 in refused.json()["errors"][0]["reason"]


@pytest.mark.parametrize("body", [{}, {"comparisons": []}, {"comparisons": {}}, []])
def test_a_body_without_records_is_refused(project, manager, body):
    assert manager.post(f"projects/{project.slug}/comparisons", body).status_code == 400


def test_prompts_are_created_without_responses(project, manager):
    prompt = record(make_image().sha256, caption_type=6, length_bonus=-0.5)
    created = manager.post(f"projects/{project.slug}/prompts", {"prompts": [prompt]})
    assert created.json()["created"] == 1
    stored = Prompt.objects.get()
    assert (stored.caption_type, stored.length_bonus) == (6, -0.5)
    assert not Comparison.objects.exists()


def test_comparisons_are_listed_and_filtered(project, manager):
    judge(make_comparison(project))
    waiting = make_comparison(project)
    path = f"projects/{project.slug}/comparisons"
    assert len(manager.get(path).json()["results"]) == 2
    listed = manager.get(path, outcome="waiting").json()["results"]
    assert [entry["external_id"] for entry in listed] == [waiting.external_id]
    assert manager.get(path, outcome="open").status_code == 400


def test_listing_comparisons_takes_no_more_queries_for_more(
    project, manager, django_assert_num_queries, django_assert_max_num_queries
):
    path = f"projects/{project.slug}/comparisons"
    make_comparison(project)
    manager.get(path)
    with django_assert_max_num_queries(10) as few:
        manager.get(path)
    for _ in range(5):
        make_comparison(project)
    with django_assert_num_queries(len(few)):
        manager.get(path)


# --- idempotency ------------------------------------------------------------------------------


def test_a_repeated_key_is_answered_without_doing_it_again(project, manager):
    judge(make_comparison(project))
    path = f"projects/{project.slug}/releases"
    first = manager.post(path, {"seed": 1}, **{"Idempotency-Key": "k1"})
    second = manager.post(path, {"seed": 1}, **{"Idempotency-Key": "k1"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert Release.objects.count() == 1
    assert manager.post(path, {"seed": 1}, **{"Idempotency-Key": "k2"}).json() != first.json()


def test_a_repeated_key_with_another_body_is_refused(project, manager):
    judge(make_comparison(project))
    path = f"projects/{project.slug}/releases"
    manager.post(path, {"seed": 1}, **{"Idempotency-Key": "k1"})
    assert manager.post(path, {"seed": 2}, **{"Idempotency-Key": "k1"}).status_code == 422


def test_a_failed_request_leaves_its_key_free(project, manager):
    path = f"projects/{project.slug}/releases"
    assert manager.post(path, {}, **{"Idempotency-Key": "k1"}).status_code == 409
    assert not IdempotentAnswer.objects.exists()
    judge(make_comparison(project))
    assert manager.post(path, {}, **{"Idempotency-Key": "k1"}).status_code == 201


def test_keys_of_different_people_do_not_meet(project, manager):
    judge(make_comparison(project))
    other = Api(make_member(project, "manager"))
    path = f"projects/{project.slug}/releases"
    first = manager.post(path, {}, **{"Idempotency-Key": "k1"}).json()
    second = other.post(path, {}, **{"Idempotency-Key": "k1"}).json()
    assert first["id"] != second["id"]


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k1"}])
def test_a_body_that_is_too_large_is_refused(project, manager, settings, headers):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    path = f"projects/{project.slug}/comparisons"
    refused = manager.post(path, {"comparisons": ["x" * 1000]}, **headers)
    assert refused.status_code == 413
    assert refused["Content-Type"] == "application/problem+json"


# --- releases ---------------------------------------------------------------------------------


def test_a_release_is_made_listed_and_streamed(project, manager):
    judge(make_comparison(project), "2")
    made = manager.post(f"projects/{project.slug}/releases", {"held_out_share": 0})
    assert made.status_code == 201
    release = made.json()
    assert (release["state"], release["counts"]["train"]) == ("ready", 1)
    listed = manager.get(f"projects/{project.slug}/releases").json()["results"]
    assert listed == [manager.get(f"releases/{release['id']}").json()]
    streamed = manager.get(f"releases/{release['id']}/records")
    assert streamed.streaming
    assert "attachment" in streamed["Content-Disposition"]
    lines = body_of(streamed).splitlines()
    assert [json.loads(line)["preference"] for line in lines] == [1]
    assert body_of(manager.get(f"releases/{release['id']}/records", split="held_out")) == b""


def test_a_release_streams_as_csv(project, manager):
    judge(make_comparison(project))
    release = manager.post(f"projects/{project.slug}/releases").json()
    streamed = manager.get(f"releases/{release['id']}/records", format="csv")
    assert streamed["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(body_of(streamed).decode())))
    assert [row["preference"] for row in rows] == ["1"]


def test_a_project_without_a_decided_comparison_has_nothing_to_release(project, manager):
    make_comparison(project)
    refused = manager.post(f"projects/{project.slug}/releases")
    assert refused.status_code == 409
    assert "decided" in refused.json()["detail"]
    assert not Release.objects.exists()


@pytest.mark.parametrize(
    "parameters", [{"format": "pickle"}, {"split": "test"}, {"format": "csv", "order": "id"}]
)
def test_an_unknown_format_or_split_is_refused(project, manager, parameters):
    judge(make_comparison(project))
    release = manager.post(f"projects/{project.slug}/releases").json()
    assert manager.get(f"releases/{release['id']}/records", **parameters).status_code == 400


def test_a_release_stays_the_same_while_people_go_on(project, manager):
    judge(make_comparison(project))
    release = manager.post(f"projects/{project.slug}/releases").json()
    before = body_of(manager.get(f"releases/{release['id']}/records", format="votes"))
    judge(make_comparison(project))
    Project.objects.update(question="Which is worse?")
    assert body_of(manager.get(f"releases/{release['id']}/records", format="votes")) == before
