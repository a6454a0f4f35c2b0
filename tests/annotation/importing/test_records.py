"""Records as text: what is read, and how each fault is named."""

import io
import json

import pytest

from annotation.importing.formats import read
from annotation.importing.forms.ours import parse_pair, parse_prompt
from annotation.importing.record_files import BadField, ImportRefused, parse_all
from annotation.importing.records import Label

PAIR = {
    "id": "r1",
    "image": "a.png",
    "conversations": [
        {"from": "human", "value": "<image>\nWhat is it?"},
        {"from": "gpt", "value": ""},
    ],
    "output_1": {"from": "llava", "value": "A cat."},
    "output_2": {"from": "llava", "value": "A dog."},
}


def lines(*records):
    return io.BytesIO("\n".join(json.dumps(record) for record in records).encode())


def without(name):
    return {key: value for key, value in PAIR.items() if key != name}


def test_a_pair_is_read_without_its_empty_last_turn():
    pair = parse_pair(1, PAIR)
    assert pair.prompt.conversation == [{"from": "human", "value": "<image>\nWhat is it?"}]
    assert (pair.response_1, pair.response_2, pair.model_1) == ("A cat.", "A dog.", "llava")
    assert pair.label is None


def test_a_label_is_read_with_its_votes():
    labelled = {
        **PAIR,
        "preference": 2,
        "hallucination": False,
        "margin": 0.5,
        "votes": {"1": 1, "2": 3},
    }
    assert parse_pair(1, labelled).label == Label(
        preference=2, hallucination=False, margin=0.5, votes={"1": 1, "2": 3}
    )


def test_outputs_may_be_bare_texts_and_ids_numbers():
    pair = parse_pair(1, {**PAIR, "id": 7, "output_1": "yes", "output_2": "no"})
    assert (pair.id, pair.response_1, pair.model_1) == ("7", "yes", "")


FAULTS = [
    ([], ""),
    ("text", ""),
    (without("id"), "id"),
    ({**PAIR, "id": ""}, "id"),
    ({**PAIR, "id": True}, "id"),
    ({**PAIR, "id": "x" * 201}, "id"),
    (without("image"), "image"),
    ({**PAIR, "image": 3}, "image"),
    (without("conversations"), "conversations"),
    ({**PAIR, "conversations": []}, "conversations"),
    ({**PAIR, "conversations": "hello"}, "conversations"),
    ({**PAIR, "conversations": ["hello"]}, "conversations[0]"),
    ({**PAIR, "conversations": [{"from": "system", "value": "x"}]}, "conversations[0].from"),
    ({**PAIR, "conversations": [{"from": "human"}]}, "conversations[0].value"),
    ({**PAIR, "conversations": [{"from": "gpt", "value": "x"}]}, "conversations[0].from"),
    ({**PAIR, "conversations": [{"from": "human", "value": "<image>\n "}]}, "conversations"),
    (without("output_2"), "output_2"),
    ({**PAIR, "output_2": {"from": "x"}}, "output_2.value"),
    ({**PAIR, "output_2": {"from": "x", "value": " "}}, "output_2.value"),
    ({**PAIR, "output_2": {"from": 3, "value": "x"}}, "output_2.from"),
    ({**PAIR, "output_1": {"value": "a\0b"}}, "output_1.value"),
    ({**PAIR, "output_1": {"value": "\ud800"}}, "output_1.value"),
    ({**PAIR, "output_1": {"value": "x" * 100_001}}, "output_1.value"),
    ({**PAIR, "captions": {"a": "cat"}}, "captions"),
    ({**PAIR, "captions": ["a", 3]}, "captions[1]"),
    ({**PAIR, "captions": ["a", " \u200b"]}, "captions[1]"),
    ({**PAIR, "preference": 0}, "preference"),
    ({**PAIR, "preference": True}, "preference"),
    ({**PAIR, "preference": 1, "margin": 2}, "margin"),
    ({**PAIR, "preference": 1, "votes": {"1": -1}}, "votes"),
    ({**PAIR, "preference": 1, "hallucination": "yes"}, "hallucination"),
    ({**PAIR, "caption_type": 8}, "caption_type"),
    ({**PAIR, "caption_type": "1"}, "caption_type"),
    ({**PAIR, "length_bonus": "long"}, "length_bonus"),
]


@pytest.mark.parametrize(("record", "named"), FAULTS)
def test_a_fault_names_its_field(record, named):
    with pytest.raises(BadField) as fault:
        parse_pair(1, record)
    assert fault.value.field == named


def test_every_bad_line_is_listed_and_the_good_ones_are_read():
    file = io.BytesIO(
        b"\xef\xbb\xbf"
        + json.dumps(PAIR).encode()
        + b"\r\n\r\n{not json}\n\xff\xfe\n"
        + json.dumps({**PAIR, "id": "r2"}).encode()
        + b'\n{"id": NaN}\n'
    )
    problems = []
    records = parse_all(file, parse_pair, problems)
    assert [record.id for record in records] == ["r1", "r2"]
    assert [record.line for record in records] == [1, 5]
    assert [(problem.line, problem.reason.split(" (")[0]) for problem in problems] == [
        (3, "is not JSON"),
        (4, "is not UTF-8 text: save the file as UTF-8"),
        (6, "is neither a text nor a whole number"),
    ]


def test_an_array_is_read_as_its_records():
    file = io.BytesIO(json.dumps([PAIR, {**PAIR, "id": "r2"}], indent=2).encode())
    problems = []
    assert [record.line for record in parse_all(file, parse_pair, problems)] == [1, 2]
    assert not problems


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "holds no records"),
        (b"\n \n", "holds no records"),
        (b"[]", "holds no records"),
        (b"[1, 2", "is not JSON"),
        (b"[" * 100_000, "is nested more than"),
        (b'{"a":' * 100_000, "is nested more than"),
        (b'{"id": 1e999}', "holds a number that is too large"),
        (b'{"id": ' + b"9" * 300 + b"}", "holds a number that is too large"),
    ],
)
def test_a_file_without_records_is_refused(data, reason):
    with pytest.raises(ImportRefused, match=reason):
        read("llava_rlhf", io.BytesIO(data), names=("a", ""))


def test_a_prompt_needs_no_outputs():
    prompt = parse_prompt(1, {**without("output_1"), "caption_type": 6, "length_bonus": -0.5})
    assert (prompt.caption_type, prompt.length_bonus) == (6, -0.5)


# --- warnings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("As LLaVA, I see a cat.", "LLaVA"),
        ("I am GPT-4V and I see it.", "GPT-4V"),
        ("My-Own-Model says so", "my-own-model"),
        ("A llama on a meadow", "llama"),
        ("A bard sings in the palace", "bard"),
    ],
)
def test_a_text_that_names_a_model_is_flagged(text, named):
    pair = parse_pair(1, {**PAIR, "output_1": {"from": "my-own-model", "value": text}})
    warning = next(pair.warnings())
    assert (warning.field, warning.reason) == ("output_1", f"names a model: {named}")


def test_an_ordinary_text_is_not_flagged():
    assert not list(parse_pair(1, PAIR).warnings())


def test_equal_responses_are_flagged():
    pair = parse_pair(1, {**PAIR, "output_2": {"from": "x", "value": "A cat. "}})
    assert [warning.field for warning in pair.warnings()] == ["output_2"]


# --- two answer files -------------------------------------------------------------------------

ANSWER = {
    "question_type": "attribute",
    "image_src": "https://example.org/8/7211/photo_o.jpg?x=1",
    "image_content": ["Fire hydrant", "Street"],
    "question": "What colour is it?",
    "gt_answer": "It is yellow.",
    "model_answer": "Red.",
}


def side_by_side(first, second):
    return read("mmhal", lines(*first), lines(*second), names=("model-a", "model-b"))


def test_two_answer_files_become_pairs_with_facts():
    (pair,) = side_by_side([ANSWER], [{**ANSWER, "model_answer": "Yellow."}])
    assert (pair.response_1, pair.response_2) == ("Red.", "Yellow.")
    assert (pair.model_1, pair.model_2) == ("model-a", "model-b")
    assert pair.prompt.image == "https://example.org/8/7211/photo_o.jpg?x=1"
    assert pair.prompt.captions == ["The image shows: Fire hydrant, Street.", "It is yellow."]
    assert pair.prompt.conversation[0]["value"] == "<image>\nWhat colour is it?"


def test_answers_to_different_questions_are_not_compared():
    with pytest.raises(ImportRefused, match="line 1, question: differs"):
        side_by_side([ANSWER], [{**ANSWER, "question": "How many?"}])


def test_files_of_different_length_are_not_compared():
    with pytest.raises(ImportRefused, match="different numbers of answers: 2 and 1"):
        side_by_side([ANSWER, ANSWER], [ANSWER])


def test_a_fault_in_an_answer_file_names_the_file():
    unanswered = {key: value for key, value in ANSWER.items() if key != "model_answer"}
    with pytest.raises(ImportRefused, match="model-b, line 1, model_answer: is missing"):
        side_by_side([ANSWER], [unanswered])


def test_one_answer_file_alone_is_refused():
    with pytest.raises(ImportRefused, match="second answer file"):
        read("mmhal", lines(ANSWER), names=("a", ""))
