"""Benchmark files and replies as others write them: read right, or refused by line and member."""

import json

import pytest

from benchmark.protocols import files, llava_bench, mmhal
from benchmark.protocols.by_id import read_lines
from benchmark.protocols.protocol import Refused

NAMED = [
    "Scores of Assistant 1 and 2: 8 and 9",
    "The scores of Assistant 1 and Assistant 2 are 8 and 9.",
    "Scores for assistants 1 & 2: 8, 9",
    "Score of Assistant 1, 2:\n8 9",
]


@pytest.mark.parametrize("reply", NAMED)
def test_the_names_of_the_assistants_are_no_scores(reply):
    assert llava_bench.parse_scores(reply) == (8.0, 9.0)


def test_names_without_scores_are_unclear():
    assert llava_bench.parse_scores("I give the scores of Assistant 1 and 2 below.") is None


@pytest.mark.parametrize("number", [3, 3.0, "3"])
def test_a_number_of_a_question_is_the_same_however_a_table_writes_it(number):
    assert files.number({"question_id": number}, "question_id", "a") == 3


@pytest.mark.parametrize("number", [3.5, True, None, "x", float("nan"), [3]])
def test_what_is_no_number_of_a_question_is_refused(number):
    with pytest.raises(Refused, match="question_id is"):
        files.number({"question_id": number}, "question_id", "a")


OTHERS = {
    "answers by id": {"1": "Yes", "2": "No"},
    "a log of lm-eval": {"doc_id": 0, "target": "yes", "filtered_resps": ["Yes"]},
}


@pytest.mark.parametrize("form", OTHERS)
def test_a_line_without_an_answer_says_what_it_has_instead(form, tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(OTHERS[form]))
    with pytest.raises(Refused, match=f"text is missing; there are: {next(iter(OTHERS[form]))}"):
        read_lines(path)


def parts(folder, shown):
    def lines(name, *records):
        (folder / name).write_text("\n".join(map(json.dumps, records)))
        return folder / name

    asked = {"question_id": 0, "image": "000000441147.jpg", "text": "What?", "category": "conv"}
    return (
        lines("q.jsonl", asked),
        lines("a.jsonl", {"question_id": 0, "text": "A case."}),
        lines("c.jsonl", *({"image": name, "captions": [name]} for name in shown)),
    )


def test_captions_are_joined_under_either_spelling_of_coco(tmp_path):
    both = parts(tmp_path, ["COCO_val2014_000000441147.jpg"])
    [question] = llava_bench.load_questions(*both)
    assert question.captions == ("COCO_val2014_000000441147.jpg",)
    twice = parts(tmp_path, ["COCO_val2014_000000441147.jpg", "x/000000441147.jpg"])
    with pytest.raises(llava_bench.QuestionError, match="fits several captions"):
        llava_bench.load_questions(*twice)
    other = parts(tmp_path, ["COCO_val2014_000000441148.jpg"])
    with pytest.raises(llava_bench.QuestionError, match="has no captions"):
        llava_bench.load_questions(*other)


@pytest.mark.parametrize(
    ("text", "kind"),
    [('{"question": "?"}\n', "is JSON lines"), ("question,gt_answer\n?,a\n", "is a table")],
)
def test_a_file_that_is_no_list_is_called_what_it_is(text, kind, tmp_path):
    (tmp_path / "q.json").write_text(text)
    with pytest.raises(mmhal.QuestionError, match=f"q.json: {kind}; one JSON list is expected"):
        mmhal.load_questions(tmp_path / "q.json")
