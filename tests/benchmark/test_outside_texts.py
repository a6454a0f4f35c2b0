"""Whatever stands at whatever place of a benchmark's files, they are taken or refused in words."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from annotation.errors import DomainError
from annotation.image_sources import Folder
from benchmark.importing import import_answers, import_questions
from tests.annotation.importing.test_outside_texts import BAD, places, with_bad
from tests.benchmark.factories import make_judge, record

pytestmark = pytest.mark.django_db

POPE = {"question_id": 1, "image": "a.jpg", "text": "Is there a cup?", "label": "no"}
FILES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "mmhal": ("mmhal.json", [record(0), record(1, "other")]),
    "pope": ("coco_pope_random.json", [POPE, {**POPE, "question_id": 2, "label": "yes"}]),
}
ANSWERS: dict[str, list[dict[str, Any]]] = {
    "mmhal": [record(0, model_answer="Two."), record(1, "other", model_answer="Red.")],
    "pope": [
        {"question_id": 1, "text": "Is there a cup?", "answer": "No."},
        {"question_id": 2, "text": "Is there a cup?", "answer": "Yes."},
    ],
}


def written(path: Path, protocol: str, records: list[dict[str, Any]]) -> Path:
    lines = [json.dumps(one) for one in records]
    path.write_text("\n".join(lines) if protocol == "pope" else f"[{','.join(lines)}]")
    return path


@pytest.mark.parametrize("protocol", FILES)
def test_questions_and_answers_with_a_bad_value_are_taken_or_refused_in_words(
    protocol: str, tmp_path: Path
) -> None:
    name, good = FILES[protocol]
    nowhere = tmp_path / "pictures"
    nowhere.mkdir()
    taken = refused = 0

    def questions(records: list[dict[str, Any]]) -> Any:
        path = written(tmp_path / name, protocol, records)
        return import_questions(protocol, path, images_from=Folder(nowhere), allow_missing=True)

    for place in places(good[0]):
        for bad in BAD:
            with suppress(DomainError), transaction.atomic():
                taken += 1
                refused += 1
                questions([with_bad(good[0], place, bad), good[1]])
                refused -= 1
    assert 0 < refused < taken
    judge, known = make_judge(), questions(good)
    answers = ANSWERS[protocol]
    for place in places(answers[0]):
        for bad in BAD:
            path = written(
                tmp_path / "answers.json", protocol, [with_bad(answers[0], place, bad), answers[1]]
            )
            with suppress(DomainError), transaction.atomic():
                import_answers(known, path, judge=judge, model_name="theirs")
