"""REST of imports: files in, and every fault told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.base import ContentFile

from annotation import jobs
from annotation.models import (
    Comparison,
    ImportJob,
    Project,
)
from tests.annotation.api import Api
from tests.annotation.importing.test_one_import import record
from tests.annotation.test_jobs import uploads
from tests.factories import (
    picture_bytes,
)

pytestmark = pytest.mark.django_db


def send_files(api: Api, project: Project, key: str, *records: Any, **fields: Any) -> Any:
    files = uploads(*records, images={"a.png": picture_bytes(colour=(1, 2, 3))})
    form = {"format": "llava_rlhf", "records": files["records"], "images": files["images"]}
    headers = {"Idempotency-Key": key}
    path = f"/api/v1/projects/{project.slug}/imports"
    return api.client.post(path, {**form, **fields}, headers=headers)


def test_files_are_imported_and_every_fault_is_told(api: Api, project: Project) -> None:
    made = send_files(api, project, "one", record(1))
    assert (made.status_code, made.json()["state"]) == (201, "queued")
    assert send_files(api, project, "one", record(1)).json() == made.json()
    assert send_files(api, project, "one", record(2)).status_code == 422
    jobs.run_import(ImportJob.objects.get().pk)
    done = api.get(f"projects/{project.slug}/imports/{made.json()['id']}").json()
    assert (done["state"], done["created_count"], done["problems"]) == ("succeeded", 1, [])
    bad = send_files(api, project, "two", {"id": "x"})
    jobs.run_import(bad.json()["id"])
    told = api.get(f"projects/{project.slug}/imports").json()["results"][1]
    assert (told["state"], told["problems"][0]["line"]) == ("failed", 1)


def test_a_form_that_does_not_fit_its_format_is_refused(api: Api, project: Project) -> None:
    refused = send_files(api, project, "one", record(1), format="mmhal")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "second_records"
    unknown = send_files(api, project, "two", record(1), format="pickle")
    assert unknown.json()["errors"][0]["field"] == "format"
    assert not ImportJob.objects.exists()


def test_captions_come_with_a_rest_import(api: Api, project: Project) -> None:
    captions = ContentFile(json.dumps({"a.png": "a dog"}).encode(), name="captions.json")
    bare = record(1)
    del bare["captions"]
    made = send_files(api, project, "one", bare, captions=captions)
    jobs.run_import(made.json()["id"])
    assert Comparison.objects.get().prompt.captions == ["a dog"]
