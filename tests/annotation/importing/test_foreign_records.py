"""Files of other projects: RLHF-V rows, LLaVA conversations, captions; every fault named."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from annotation import exporting
from annotation.image_sources import Folder
from annotation.importing import import_files
from annotation.importing.captions import read_captions
from annotation.importing.formats import read
from annotation.importing.record_files import ImportRefused, Problem
from annotation.models import Comparison, Prompt
from tests.factories import judge, make_comparison, make_project, picture_bytes

ROW = {
    "ds_name": "RLHF-V",
    "idx": 7,
    "image_path": "data/a.png",
    "question": "What is shown?",
    "chosen": "A red circle.",
    "rejected": "A blue square.",
    "origin_dataset": "coco",
    "origin_split": '{"model": "muffin-13b", "type": "detail"}',
}


def lines(*records: Any) -> io.BytesIO:
    return io.BytesIO("\n".join(json.dumps(record) for record in records).encode())


def read_one(row: Any) -> Any:
    (pair,) = read("rlhf_v", lines(row), names=("", ""))
    return pair


def faults(format: str, *files: Any) -> list[tuple[str, int, str]]:
    with pytest.raises(ImportRefused) as refused:
        read(format, *(lines(*file) for file in files), names=("one", "two"))
    return [(problem.file, problem.line, problem.field) for problem in refused.value.problems]


# --- RLHF-V and RLAIF-V -----------------------------------------------------------------------


def test_a_row_becomes_a_labelled_pair() -> None:
    pair = read_one(ROW)
    texts = {1: pair.response_1, 2: pair.response_2}
    assert texts.pop(pair.label.preference) == "A red circle."
    assert list(texts.values()) == ["A blue square."]
    assert (pair.id, pair.prompt.image) == ("RLHF-V-7", "data/a.png")
    assert pair.prompt.conversation == [{"from": "human", "value": "<image>\nWhat is shown?"}]
    assert (pair.model_1, pair.model_2) == ("muffin-13b", "muffin-13b")
    assert (pair.label.hallucination, pair.label.margin) == (True, 1.0)


def test_the_published_form_has_its_texts_inside_one() -> None:
    inner = {name: ROW[name] for name in ("question", "chosen", "rejected")}
    outer = {name: ROW[name] for name in ("ds_name", "idx", "image_path")}
    assert read_one({**outer, "text": json.dumps(inner)}).label == read_one(ROW).label
    assert read_one({**outer, "text": inner}).id == "RLHF-V-7"


def test_the_better_response_has_no_place_of_its_own() -> None:
    sides = [read_one({**ROW, "question": f"Question {n}?"}).label.preference for n in range(40)]
    assert 8 <= sides.count(1) <= 32


def test_the_name_of_an_image_is_taken_from_where_it_stands() -> None:
    assert read_one({**ROW, "image": "a.png"}).prompt.image == "a.png"
    assert faults("rlhf_v", [ROW, {**ROW, "idx": 8, "image": "b.png"}]) == [("", 2, "image_path")]
    assert read_one({**ROW, "image": {"path": "c.png", "bytes": "…"}}).prompt.image == "c.png"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"chosen": None}, "chosen"),
        ({"rejected": "  "}, "rejected"),
        ({"question": 3}, "question"),
        ({"image_path": None}, "image"),
        ({"image": {"bytes": "…"}, "image_path": ""}, "image"),
        ({"text": "{"}, "text"),
        ({"text": "[]"}, "text"),
    ],
)
def test_a_fault_of_a_row_names_its_field(change: dict[str, Any], field: str) -> None:
    assert faults("rlhf_v", [ROW, {**ROW, "idx": 8, **change}]) == [("", 2, field)]


@pytest.mark.django_db
def test_rlhf_v_that_is_imported_exports_the_same(tmp_path) -> None:
    project = make_project(k=1)
    for number in range(4):
        comparison = make_comparison(project, model_1="a", model_2="b")
        judge(comparison, "12"[number % 2])
    release = exporting.make_release(project)
    exporting.write_folder(release, tmp_path, "rlhf_v")
    whole = tmp_path / "all.jsonl"
    parts = [(tmp_path / f"{split}.jsonl").read_bytes() for split in ("train", "held_out")]
    whole.write_bytes(b"".join(parts))
    copy = make_project()
    done = import_files(copy, [whole], Folder(tmp_path / "images"), format="rlhf_v")
    assert (done.created, done.warnings) == (4, [])

    def said(found: Any) -> list[Any]:
        rows = map(json.loads, b"".join(exporting.stream(found, "rlhf_v")).splitlines())
        names = ("image", "question", "chosen", "rejected")
        origins = ("id", "models")
        return [
            (
                [row[name] for name in names],
                [json.loads(row["origin_split"])[name] for name in origins],
            )
            for row in rows
        ]

    assert said(exporting.make_release(copy)) == said(release)
    assert import_files(copy, [whole], Folder(tmp_path / "images"), format="rlhf_v").created == 0


# --- LLaVA conversations ----------------------------------------------------------------------


def conversation(number: int, answer: str = "A cat.", **fields: Any) -> dict[str, Any]:
    return {
        "id": f"c{number}",
        "image": "a.png",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat is it?"},
            {"from": "gpt", "value": "An animal."},
            {"from": "human", "value": f"Which one? ({number})"},
            {"from": "gpt", "value": answer},
        ],
        **fields,
    }


def test_two_files_of_conversations_become_pairs_by_id() -> None:
    first = [conversation(1), conversation(2)]
    second = [conversation(2, "A dog."), conversation(1, "A cow.")]
    pairs = read("llava", lines(*first), lines(*second), names=("one", "two"))
    assert [(p.prompt.id, p.response_1, p.response_2) for p in pairs] == [
        ("c1", "A cat.", "A cow."),
        ("c2", "A cat.", "A dog."),
    ]
    assert pairs[0].id == "c1 one two"
    assert (pairs[0].model_1, pairs[0].model_2) == ("one", "two")
    assert [turn["from"] for turn in pairs[0].prompt.conversation] == ["human", "gpt", "human"]


def test_one_file_of_conversations_is_its_prompts() -> None:
    (prompt,) = read("llava", lines(conversation(1)), names=("one", ""))
    assert prompt.conversation[-1]["value"] == "Which one? (1)"


def test_conversations_that_do_not_fit_are_named() -> None:
    asked = conversation(1)["conversations"][:-1]
    assert faults("llava", [{**conversation(1), "conversations": asked}], [conversation(1)]) == [
        ("one", 1, "conversations"),
        ("two", 1, "id"),
    ]
    assert faults("llava", [conversation(1), conversation(2)], [conversation(1)]) == [
        ("one", 2, "id")
    ]
    assert faults("llava", [conversation(1)], [conversation(1), conversation(2)]) == [
        ("two", 2, "id")
    ]
    other = conversation(1, image="b.png")
    assert faults("llava", [conversation(1)], [other]) == [("one", 1, "conversations")]
    assert faults("llava", [conversation(1, "")], [conversation(1)]) == [
        ("one", 1, "conversations[3].value"),
        ("two", 1, "id"),
    ]


# --- Captions ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_captions_are_facts_of_the_records_that_have_none(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(picture_bytes())
    records = tmp_path / "pairs.jsonl"
    with_facts = conversation(2, captions=["own"])
    records.write_bytes(lines(conversation(1), with_facts).getvalue())
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps({"train/a.png": ["a red circle", "a blue one"]}, indent=2))
    project = make_project()
    import_files(project, [records], Folder(tmp_path), format="llava", captions=captions)
    found = dict(Prompt.objects.values_list("external_id", "captions"))
    assert found == {"c1": ["a red circle", "a blue one"], "c2": ["own"]}
    assert not Comparison.objects.exists()


@pytest.mark.parametrize(
    ("data", "field"),
    [(b"{", ""), (b"[]", ""), (b'{"a.png": 3}', "a.png"), (b'{"a.png": [""]}', "a.png")],
)
def test_a_fault_of_a_captions_file_is_named(data: bytes, field: str) -> None:
    problems: list[Problem] = []
    assert read_captions(io.BytesIO(data), problems) == {}
    assert [(one.file, one.field) for one in problems] == [("captions", field)]


def test_a_caption_may_be_one_text() -> None:
    assert read_captions(io.BytesIO(b'{"a.png": "a cat"}'), []) == {"a.png": ["a cat"]}
