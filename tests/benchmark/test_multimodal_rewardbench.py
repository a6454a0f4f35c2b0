"""Multimodal RewardBench: its pairs, its script's predictions, and no coin for unclear ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from annotation.image_sources import Folder
from benchmark.importing import NotTaken, import_answers, import_questions
from benchmark.judging import work
from benchmark.models import Evaluation, Judge, QuestionSet
from benchmark.protocols import multimodal_rewardbench as mm
from benchmark.protocols import vl_rewardbench
from tests.benchmark.factories import make_judge
from tests.factories import make_admin

pytestmark = pytest.mark.django_db
CATEGORIES = ("open_generation/correctness_task", "knowledge", "safety", "vqa")


def rows() -> list[dict[str, str]]:
    return [
        {
            "ID": f"nocaps_{n}",
            "Category": category,
            "Text": f"What is in picture {n}?",
            "Image": f"images/nocaps/{n}.jpg",
            "Output1": f"A cup {n}.",
            "Output2": f"A dog {n}.",
            "Better": "Output2" if n == 1 else "Output1",
        }
        for n, category in enumerate(CATEGORIES)
    ]


@pytest.fixture
def question_set(tmp_path: Path) -> QuestionSet:
    path = tmp_path / "all_data.json"
    path.write_text(json.dumps(rows()))
    return import_questions(
        "multimodal_rewardbench", path, images_from=Folder(tmp_path), allow_missing=True
    )


def judged(question_set: QuestionSet, path: Path, told: list[dict[str, Any]]) -> Evaluation:
    path.write_text("\n".join(map(json.dumps, told)))
    known = Judge.objects.filter(kind="exact").first()
    judge = known or make_judge("rule", kind="exact", base_url="", model="")
    evaluation = import_answers(question_set, path, judge=judge, model_name="m")
    work.judge(evaluation.pk)
    return Evaluation.objects.get(pk=evaluation.pk)


def test_predictions_of_its_own_script(question_set: QuestionSet, tmp_path: Path) -> None:
    """Right, right, a tie that was said, and one that says nothing: its own script throws a coin
    for the last."""
    said = ("It is clear: [[A]]", "[[B]]", "[[C]]", "Both are good.")
    told = [
        {"ID": row["ID"], "Label": "AB"[row["Better"] == "Output2"], "output": output, "Meta": row}
        for row, output in zip(rows(), said, strict=True)
    ]
    evaluation = judged(question_set, tmp_path / "outputs.jsonl", told)
    assert (evaluation.state, evaluation.summary["overall"]) == ("incomplete", None)
    values = {name: (evaluation.summary[name] or {}).get("value") for name in mm.GROUPS}
    assert values == {
        "correctness": 100,
        "preference": None,
        "knowledge": 100,
        "reasoning": None,
        "safety": 50,
        "vqa": None,
    }
    assert evaluation.summary["bounds"]["overall"] == {"low": 62.5, "high": 87.5}
    client = Client()
    client.force_login(make_admin())
    page = client.get(evaluation.get_absolute_url()).content.decode()
    assert "General correctness" in page and "Both are good." in page


def test_rewards_by_id_alone(question_set: QuestionSet, tmp_path: Path) -> None:
    told = [{"ID": f"nocaps_{n}", "rewards": [0.7, 0.2]} for n in range(4)]
    evaluation = judged(question_set, tmp_path / "rewards.jsonl", told)
    assert evaluation.summary["overall"]["value"] == 75
    assert evaluation.summary["macro"]["value"] == 75
    told[0]["Label"] = "B"
    with pytest.raises(NotTaken, match="line 1: Label is 'B'"):
        judged(question_set, tmp_path / "rewards.jsonl", told)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"Better": "A"}, r"record 1: Better is 'A'"),
        ({"Category": "poems"}, r"record 1: Category is 'poems'"),
        ({"Text": ""}, r"record 1: Text is missing; the authors'"),
        ({"Text": None}, r"record 1: Text is missing; the authors'"),
    ],
)
def test_a_broken_pair_is_named(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    path = tmp_path / "all_data.json"
    path.write_text(json.dumps([{**rows()[0], **changed}]))
    with pytest.raises(NotTaken, match=reason):
        import_questions("multimodal_rewardbench", path, images_from=Folder(tmp_path))


def test_what_vl_rewardbenchs_own_script_writes(tmp_path: Path) -> None:
    """ "agree" and "reject" are of the human ranking; what it could not match stays unclear."""
    asked = [
        vl_rewardbench.record(
            vl_rewardbench.Pair(
                key=vl_rewardbench.pairs.key_of(f"mmmu_{n}", "Q", ("a", "b")),
                id=f"mmmu_{n}",
                group="reasoning",
                query="Q",
                responses=("a", "b"),
                better=1,
            )
        )
        for n in range(3)
    ]
    told = [
        {
            "id": f"mmmu_{n}",
            "query": "Q",
            "response": ["a", "b"],
            "meta": {"flag_status": status, "filter_choice": "Hard to say."},
        }
        for n, status in enumerate(("agree", "reject", "doesntMatch"))
    ]
    path = tmp_path / "told.jsonl"
    path.write_text("\n".join(json.dumps({"0": row}) for row in told))
    joined = vl_rewardbench.PROTOCOL.read_answers(path, asked)
    assert joined.answers == {
        0: '{"rewards": [0.0, 1.0]}',
        1: '{"rewards": [1.0, 0.0]}',
        2: "Hard to say.",
    }
