"""What records hold is read under the names that tools and tables have for it, or it is said."""

import json

import pytest

from annotation.image_sources import Stored
from annotation.importing import import_values
from annotation.importing.formats import format_by_content, parse_any_pair, parse_row
from annotation.importing.forms.prompts import asks, parse_any_prompt
from annotation.importing.record_files import BadField, ImportRefused
from annotation.models import Image
from tests.factories import make_project

ASKED, GOOD, BAD = "What does the card say?", "It says one.", "It shows a dog."
FLAT = {"image": "a.png", "question": ASKED}
TURN = {"role": "assistant", "content": GOOD}
WORSE = {"role": "assistant", "content": BAD}
USER = {"role": "user", "content": ASKED}

NAMED = {
    "a sheet": {"Image": "a.png", "Question": ASKED, "Response A": GOOD, "Response B": BAD},
    "numbered captions": {**FLAT, "caption_1": GOOD, "caption_2": BAD},
    "outputs": {**FLAT, "Output1": GOOD, "Output2": BAD},
    "generations": {**FLAT, "generation-1": GOOD, "generation-2": BAD},
    "options": {**FLAT, "option_a": GOOD, "option_b": BAD},
    "a list": {**FLAT, "responses": [GOOD, BAD]},
    "a list of objects": {**FLAT, "completions": [{"model": "m", "response": GOOD}, {"text": BAD}]},
    "Chatbot Arena": {
        **{"image": "a.png", "model_a": "m", "model_b": "n"},
        **{"conversation_a": [USER, TURN], "conversation_b": [USER, WORSE]},
    },
}


@pytest.mark.parametrize("form", NAMED)
@pytest.mark.parametrize("better", [1, 2])
def test_two_answers_are_read_under_the_names_that_others_have(form, better):
    pair = parse_any_pair(1, {**NAMED[form], "Winner": f"model_{'ab'[better - 1]}"})
    assert (pair.prompt.image, pair.label.preference) == ("a.png", better)
    assert (pair.response_1, pair.response_2) == (GOOD, BAD)
    assert pair.prompt.conversation[0]["value"].endswith(ASKED)
    assert not asks(NAMED[form])


LABELLED = {
    "lists of one": {**FLAT, "chosen": [GOOD], "reject": [BAD]},
    "LLaMA-Factory of 2023": {
        **{"instruction": ASKED, "input": "", "output": [GOOD, BAD], "images": ["a.png"]},
    },
    "turns in cells": {
        **{"images": '["a.png"]', "prompt": json.dumps([USER])},
        **{"chosen": json.dumps([TURN]), "rejected": json.dumps([WORSE])},
    },
    "turns in cells as Python writes them": {
        **{"images": "['a.png']", "prompt": repr([USER])},
        **{"chosen": repr([TURN]), "rejected": repr([WORSE])},
    },
    **{
        name: {name: "a.png", "prompt": ASKED, "chosen": GOOD, "rejected": BAD}
        for name in ("img_path", "image_name", "image_file", "filename")
    },
    "Multimodal RewardBench": {
        **{"ID": "x", "Text": ASKED, "Image": "a.png", "Output1": BAD, "Output2": GOOD},
        "Better": "Output2",
    },
    "columns of other forms, empty": {
        **{**FLAT, "chosen": None, "rejected": None, "response_1": BAD, "response_2": GOOD},
        "winner": "B",
    },
    **{
        f"{better} and {worse}": {**FLAT, better: GOOD, worse: BAD}
        for better, worse in (
            ("chosen_response", "rejected_response"),
            ("Chosen answer", "Rejected answer"),
            ("preferred_response", "dispreferred_response"),
            ("y_w", "y_l"),
        )
    },
    "the chosen one by its number": {**FLAT, "response_1": BAD, "response_2": GOOD, "chosen": 2},
    "both by their names": {
        **{**FLAT, "response_1": BAD, "response_2": GOOD},
        **{"chosen": "response_2", "rejected": "response_1"},
    },
    "a picture in base64": {
        **{"image_base64": "a.png", "question": ASKED, "chosen": GOOD, "rejected": BAD},
    },
    **{
        name: {**FLAT, "response_1": BAD, "response_2": GOOD, name: said}
        for name, said in {
            "Preferred": "B",
            "best": "2",
            "better_response": "response_2",
            "Human preference": 2,
        }.items()
    },
    "our own form with another's column": {
        **{"id": "x", "image": "a.png", "conversations": [{"from": "human", "value": ASKED}]},
        **{"output_1": BAD, "output_2": GOOD, "winner": "output_2"},
    },
    "Kaggle": {
        **{**FLAT, "response_a": GOOD, "response_b": BAD},
        **{"winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0},
    },
}


@pytest.mark.parametrize("form", LABELLED)
def test_the_better_answer_is_read_under_the_names_that_others_have(form):
    pair = parse_any_pair(1, LABELLED[form])
    assert pair.prompt.image == "a.png"
    assert (pair.response_1, pair.response_2)[pair.label.preference - 1] == GOOD
    assert {pair.response_1, pair.response_2} == {GOOD, BAD}


def test_an_answer_that_looks_like_json_is_a_text():
    pair = parse_any_pair(1, {**FLAT, "chosen": '[{"a": 1}]', "rejected": '["x"]'})
    assert {pair.response_1, pair.response_2} == {'[{"a": 1}]', '["x"]'}


UNREAD = {
    "several": ({**FLAT, "responses": [GOOD, BAD, "?"]}, "responses: holds 3 answers, not two"),
    "several worse ones": (
        {**FLAT, "response": GOOD, "rejected_response": [BAD, "?"]},
        "rejected_response: holds 2 answers, not one",
    ),
    "won and lost": ({**FLAT, "win": GOOD, "lose": BAD}, "holds no two answers"),
    "a third answer": (
        {**FLAT, "response_1": GOOD, "response_2": BAD, "response_3": "?", "preference": 1},
        "response_3: is an answer beside response_1 and response_2; a comparison shows two",
    ),
    "a third of letters": (
        {**FLAT, "answer_a": GOOD, "answer_b": BAD, "answer_c": "?", "winner": "a"},
        "answer_c: is an answer beside",
    ),
    "answers by names of nobody else": ({**FLAT, "positive": GOOD, "negative": BAD}, "no two"),
    "answers as what they are": ({**FLAT, "right": [TURN], "wrong": [WORSE]}, "no two answers"),
    "Stack Exchange": ({**FLAT, "response_j": GOOD, "response_k": BAD}, "holds no two answers"),
    "WebGPT": ({**FLAT, "answer_0": GOOD, "answer_1": BAD}, "holds no two answers"),
    "a member in two spellings": (
        {**FLAT, "chosen": GOOD, "rejected": BAD, "Image": "b.png"},
        "Image: says something else than image: 'b.png'",
    ),
    "our own form with a word that names no side": (
        {
            **{"id": "x", "image": "a.png", "conversations": [{"from": "human", "value": ASKED}]},
            **{"output_1": BAD, "output_2": GOOD, "winner": "the dog"},
        },
        "winner: does not say which answer is better",
    ),
    "a ranker's items": ({**FLAT, "items": [{"id": 1}]}, "holds no two answers"),
    "another picture for the worse": (
        {**FLAT, "chosen": GOOD, "rejected": BAD, "rejected_images": ["b.png"]},
        "rejected_images: names b.png, and the record a.png",
    ),
    "arena of other questions": (
        {
            **NAMED["Chatbot Arena"],
            "conversation_b": [{"role": "user", "content": "Else?"}, WORSE],
        },
        "conversation_b: answers other turns",
    ),
    "honesty in other words": (
        {**FLAT, "response_1": GOOD, "response_2": BAD, "preference": 1, "hallucination": "maybe"},
        "hallucination: is not true or false: 'maybe'",
    ),
}


@pytest.mark.parametrize("kind", UNREAD)
def test_answers_that_cannot_be_read_are_refused_and_never_dropped(kind, tmp_path):
    record, reason = UNREAD[kind]
    with pytest.raises(BadField) as refused:
        parse_any_pair(1, record)
    assert reason in str(refused.value)
    path = tmp_path / "a.json"
    path.write_text(json.dumps([record]))
    assert format_by_content([path]) == "llava_rlhf"


@pytest.mark.parametrize(
    ("word", "honest"), [("no", False), ("yes", True), (0, False), (True, True), ("", True)]
)
def test_what_decided_is_read_in_everybodys_words(word, honest):
    row = {**FLAT, "response_1": GOOD, "response_2": BAD, "preference": 1, "hallucination": word}
    assert parse_any_pair(1, row).label.hallucination is honest


NOT_TAKEN = {
    "scores": ({**FLAT, "response_1": GOOD, "response_2": BAD}, {"score_1": 4, "score_2": 1}),
    "a ranking": ({**FLAT, "responses": [GOOD, BAD]}, {"ranking": [1, 2]}),
    "a truth about either": (
        {**FLAT, "response_1": GOOD, "response_2": BAD},
        {"hallucination_1": True, "correct_b": "no"},
    ),
    "which is better as a truth": (
        {**FLAT, "response_1": GOOD, "response_2": BAD},
        {"first_is_better": True},
    ),
    "a judge's choice": (
        {**FLAT, "response_1": GOOD, "response_2": BAD},
        {"gpt4_preference": "A", "Verdict of the model": 2},
    ),
}


@pytest.mark.parametrize("kind", NOT_TAKEN)
def test_what_is_no_preference_is_said_not_to_be_taken(kind):
    record, beside = NOT_TAKEN[kind]
    assert parse_any_pair(1, {**record, **beside}).not_taken.keys() == beside.keys()
    assert not parse_any_pair(1, {**record, **beside, "preference": 1}).not_taken


def test_the_answer_beside_a_question_is_said_not_to_be_taken():
    prompt = parse_any_prompt(1, {**FLAT, "answer": "yes", "label": "yes"})
    assert [warning.field for warning in prompt.warnings()] == ["answer"]


TASK = {"image": "a.png", "prompt": ASKED, "answer1": GOOD, "answer2": BAD}
PICKED = {"from_name": "which", "type": "pairwise", "value": {"selected": "left"}}
BESIDE = {
    "marked words": {"type": "labels", "value": {"start": 0, "end": 2, "labels": ["object"]}},
    "a tree of words": {"type": "taxonomy", "value": {"taxonomy": [["object"]]}},
    "a remark": {"type": "textarea", "value": {"text": ["clear"]}},
    "a choice of another thing": {"type": "choices", "value": {"choices": ["blurred"]}},
}


@pytest.mark.parametrize("kind", BESIDE)
@pytest.mark.parametrize("picked", [[PICKED], []])
def test_what_people_said_besides_is_named_as_not_taken(kind, picked):
    result = [*picked, {"from_name": "more", "to_name": "answer1", **BESIDE[kind]}]
    record = {"id": 1, "data": TASK, "annotations": [{"result": result}]}
    if not picked and "choice" in kind:
        with pytest.raises(BadField, match="does not say which answer is better: 'blurred'"):
            parse_any_pair(1, record)
        return
    pair = parse_any_pair(1, record)
    assert [*pair.not_taken] == ["more"]
    assert (pair.label is not None) == bool(picked)


def test_what_people_answered_to_other_questions_is_named_as_not_taken():
    said = {
        "better": [{"value": "response_1", "user_id": "u", "status": "submitted"}],
        "hallucinates": [{"value": "yes", "user_id": "u", "status": "submitted"}],
        "words": [{"value": [{"start": 0, "end": 2}], "user_id": "u", "status": "submitted"}],
    }
    fields = {"image": "a.png", "prompt": ASKED, "response_1": GOOD, "response_2": BAD}
    pair = parse_any_pair(1, {"id": "x", "fields": fields, "responses": said})
    assert (pair.label.preference, [*pair.not_taken]) == (1, ["hallucinates", "words"])


def test_numbers_that_people_gave_to_each_answer_are_ratings():
    result = [
        {
            "from_name": f"score_{n}",
            "to_name": f"answer{n}",
            "type": "number",
            "value": {"number": n},
        }
        for n in (1, 2)
    ]
    pair = parse_any_pair(1, {"id": 1, "data": TASK, "annotations": [{"result": result}]})
    assert (pair.label.preference, pair.not_taken) == (2, {})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("ASSISTANT: It says one.", "begins with the name of a role: ASSISTANT"),
        ("### Assistant: It says one.", "begins with the name of a role: Assistant"),
        ("<|im_start|>assistant\nIt says one.", "begins with the name of a role: assistant"),
        ("It says one.<|END_OF_TURN_TOKEN|>", "ends with a special token: <|END_OF_TURN_TOKEN|>"),
        ("It says one.</S>", "ends with a special token: </S>"),
        ("<s> It says one.", "begins with a special token: <s>"),
        ("<|begin_of_text|>It says one.", "begins with a special token: <|begin_of_text|>"),
        ("<small>", None),
        ("Answer: it says one.", None),
        ("Humans: two.", None),
        ("The user: a child.", None),
    ],
)
def test_what_the_template_of_a_chat_left_in_an_answer_is_said(answer, said):
    pair = parse_any_pair(1, {**FLAT, "chosen": answer, "rejected": BAD})
    assert [warning.reason for warning in pair.warnings()] == ([said] if said else [])


def test_what_a_question_offers_is_said_not_to_be_taken():
    row = {**FLAT, "A": "one", "B": "two", "C": "", "hint": "x"}
    assert parse_any_prompt(1, row).not_taken.keys() == {"A", "B"}


def test_a_preference_beside_the_chosen_answer_is_said_not_to_be_taken():
    pair = parse_any_pair(1, {**FLAT, "chosen": GOOD, "rejected": BAD, "preference": "rejected"})
    assert pair.not_taken == {"preference": "is not taken: chosen is the better answer"}


@pytest.mark.parametrize("beside", [{"solution": "It says one."}, {"topic": "a card"}])
def test_what_a_question_says_besides_is_named_where_it_is_said_to_be_one(beside, tmp_path):
    row = {**FLAT, **beside, "note": "read by somebody"}
    said = [name for name, value in row.items() if name not in FLAT and len(value.split()) > 2]
    assert [*parse_any_prompt(1, row).not_taken] == said
    path = tmp_path / "a.json"
    path.write_text(json.dumps([row]))
    assert format_by_content([path]) == ("prompts" if len(said) == 1 else "llava_rlhf")


def test_answers_under_other_names_beside_a_question_are_said_not_to_be_taken():
    row = {**FLAT, "response_j": GOOD, "response_k": BAD, "answer_id": "4"}
    assert parse_any_prompt(1, row).not_taken.keys() == {"response_j", "response_k"}


def test_the_models_of_a_list_of_answers_are_kept_and_what_else_it_says_is_named():
    answers = [{"model": "m", "response": GOOD, "annotations": {"Rating": 1}}, {"response": BAD}]
    pair = parse_any_pair(1, {**FLAT, "completions": answers})
    assert (pair.model_1, pair.model_2) == ("m", "")
    assert pair.not_taken.keys() == {"completions.annotations"}


def test_a_question_that_is_missing_says_what_is_there():
    with pytest.raises(BadField, match=r"is missing \(there are: image, contents, chosen"):
        parse_any_pair(1, {"image": "a.png", "contents": [], "chosen": GOOD, "rejected": BAD})


def test_one_caption_is_a_fact_of_every_record():
    pair = parse_any_pair(1, {**FLAT, "chosen": GOOD, "rejected": BAD, "caption": "a card"})
    assert pair.prompt.captions == ["a card"]


@pytest.mark.django_db
def test_records_without_ids_that_say_the_same_are_told_why():
    row = {**FLAT, "chosen": GOOD, "rejected": BAD}
    with pytest.raises(ImportRefused) as refused:
        import_values(make_project(), [row] * 2, parse_row, Stored(Image.objects.all()))
    assert any("line 1 too (made of what both" in str(one) for one in refused.value.problems)
