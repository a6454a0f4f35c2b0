"""The questions of a benchmark through the page and through REST, for administrators alone."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from benchmark.models import QuestionSet
from tests.benchmark.test_amber import published
from tests.factories import make_admin, make_member, make_project, make_token, picture_bytes

pytestmark = pytest.mark.django_db
NAMES = ("query_all.json", "annotations.json", "relation.json", "safe_words.txt")


def files(folder: Path) -> list[SimpleUploadedFile]:
    published(folder)
    return [SimpleUploadedFile(name, (folder / name).read_bytes()) for name in NAMES]


def pictures() -> SimpleUploadedFile:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in (1, 2):
            archive.writestr(f"image/AMBER_{number}.jpg", picture_bytes())
    return SimpleUploadedFile("pictures.zip", packed.getvalue())


def page() -> Client:
    client = Client()
    client.force_login(make_admin())
    return client


def test_a_benchmark_of_several_files_comes_in_with_its_pictures(tmp_path: Path) -> None:
    client, address = page(), reverse("benchmark:bring-questions")
    assert client.get(address).status_code == 200
    packed = pictures()
    sent = {"protocol": "amber", "questions": files(tmp_path), "images": packed}
    answer = client.post(address, sent, follow=True)
    (made,) = QuestionSet.objects.all()
    assert "4 questions, 4 of them with an image" in answer.content.decode()
    assert (made.protocol, made.missing_images) == ("amber", [])
    packed.seek(0)
    again = {"protocol": "amber", "questions": files(tmp_path), "images": packed}
    assert client.post(address, again).status_code == 302
    assert QuestionSet.objects.count() == 1


@pytest.mark.parametrize(
    ("left_out", "changes", "reason"),
    [
        ("annotations.json", {}, "annotations.json is missing beside"),
        ("", {}, "image AMBER_1.jpg is missing"),
        ("", {"images": SimpleUploadedFile("p.zip", b"no zip")}, "p.zip is not a zip archive"),
        ("", {"protocol": "dash_b"}, "holds no dash_benchmark_neg.json"),
        ("", {"name": "n" * 101}, "at most 100 characters"),
    ],
)
def test_what_is_not_taken_is_said_on_the_form(
    tmp_path: Path, left_out: str, changes: dict[str, Any], reason: str
) -> None:
    kept = [file for file in files(tmp_path) if file.name != left_out]
    sent = {"protocol": "amber", "questions": kept, **changes}
    answer = page().post(reverse("benchmark:bring-questions"), sent)
    assert (answer.status_code, QuestionSet.objects.count()) == (422, 0)
    assert reason in answer.content.decode().replace("&#x27;", "'")


def test_over_rest_by_an_administrator_alone(tmp_path: Path) -> None:
    address = reverse("benchmark-api:question-sets")
    admin, manager = make_admin(), make_member(make_project(), "manager")
    for person, status in ((manager, 403), (admin, 201)):
        headers = {"Authorization": f"Bearer {make_token(person, 'manage', 'read')}"}
        sent = {"protocol": "amber", "questions": files(tmp_path), "allow_missing": "true"}
        answer = Client().post(address, sent, headers=headers)
        assert answer.status_code == status
    (made,) = answer.json()["question_sets"]
    assert (made["protocol"], made["question_count"]) == ("amber", 4)
    assert made["missing_images"] == ["AMBER_1.jpg", "AMBER_2.jpg"]
    one = SimpleUploadedFile("mine.json", b'{"question_id": 1}')
    refused = Client().post(address, {"protocol": "pope", "questions": one}, headers=headers)
    assert refused.status_code == 400
    assert "mine.json, line 1" in json.dumps(refused.json())


def test_others_find_no_page_and_no_link() -> None:
    client = Client()
    client.force_login(make_member(make_project(), "manager"))
    assert client.get(reverse("benchmark:bring-questions")).status_code == 403
    board = client.get(reverse("benchmark:leaderboard")).content.decode()
    assert "Import a benchmark" not in board
    assert "Import the questions" in page().get(reverse("benchmark:leaderboard")).content.decode()
