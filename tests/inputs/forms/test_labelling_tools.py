"""Exports of Label Studio and Argilla: what their people said of two answers."""

import base64

import pytest

from annotation.importing.formats import parse_any_pair
from annotation.importing.record_files import BadField, ImportRefused
from annotation.models import Comparison
from tests.factories import picture_bytes
from tests.inputs.forms.records import ASKED, BAD, FLAT, GOOD, LABELLED, imported


def test_the_votes_of_a_labelling_tool_come_along():
    label = parse_any_pair(1, LABELLED["Label Studio"]).label
    assert (label.votes, label.margin) == ({"1": 2, "2": 1, "tie": 0}, pytest.approx(1 / 3))


def result(said, name="better"):
    return {"from_name": name, "type": "choices", "value": {"choices": [said]}}


def task(*annotations):
    data = LABELLED["Label Studio"]["data"]
    return {"id": 5, "data": data, "annotations": [{"result": list(one)} for one in annotations]}


def argilla(**questions):
    responses = {
        name: [{"value": value, "status": "submitted"} for value in values]
        for name, values in questions.items()
    }
    return {**LABELLED["Argilla 2"], "responses": responses}


def json_min(**members):
    return {**LABELLED["Label Studio, JSON-MIN"], "better_one": None, **members}


COUNTED = {
    "choices in words": task([result("Response A")], [result("Response A")], [result("B")]),
    "beside another question": task([result("Blurry", "quality"), result("left")]),
    "Argilla": argilla(better=["response-1", "response-1"], quality=["poor", "fine"]),
    "JSON-MIN of a pairwise control": json_min(pw=[{"selected": "left"}]),
    "JSON-MIN of choices": json_min(best="Response 1", quality="Terrible"),
    "JSON-MIN beside names of models": json_min(best="left", model_1="A", model_2="B"),
    "JSON-MIN as CSV": json_min(best="left", lead_time="2.0", row="2", image_path="2"),
    "JSON-MIN with none beside it": json_min(best="left", mistakes="None"),
}
UNTOLD = {
    "choices of another kind": (task([result("Terrible")]), "Terrible"),
    "one of several": (task([result("left")], [result("cannot say")]), "cannot say"),
    "two questions about the answers": (
        task([result("left", "honest"), result("right", "helpful")]),
        "several questions: honest",
    ),
    "Argilla": (argilla(better=["response-1", "dunno"]), "dunno"),
    "JSON-MIN": (json_min(quality="Terrible"), "no answer of its people"),
    "JSON-MIN of numbers": (json_min(lead_time="1.0", row="1"), "no answer of its people"),
}


@pytest.mark.parametrize("export", COUNTED)
def test_the_answers_of_people_are_told_by_what_they_say(export):
    label = parse_any_pair(1, COUNTED[export]).label
    wanted = 2 if export == "Argilla 2" else 1
    assert label.preference == wanted and label.votes[str(wanted)] >= 1


def test_a_number_in_a_column_of_answers_is_an_answer():
    assert parse_any_pair(1, json_min(preference=2)).label.preference == 2


@pytest.mark.parametrize("export", UNTOLD)
def test_an_answer_that_cannot_be_told_is_never_a_tie(export):
    record, shown = UNTOLD[export]
    with pytest.raises(BadField, match="preference: does not say which") as refused:
        parse_any_pair(1, record)
    assert shown in str(refused.value)


def rows_of(*answers, **members):
    """JSON-MIN: a row for each annotation of one task."""
    return [
        {**json_min(best=answer), "id": 7, "annotation_id": 40 + number, **members}
        for number, answer in enumerate(answers)
    ]


COUNTED_TOGETHER = {
    "all alike": (["left", "left", "left"], 1, {"1": 3, "2": 0, "tie": 0}, 1.0),
    "a majority": (["right", "left", "right"], 2, {"1": 1, "2": 2, "tie": 0}, 1 / 3),
    "with a tie among them": (["right", "Tie", "right"], 2, {"1": 0, "2": 2, "tie": 1}, 2 / 3),
    "as many for each": (["left", "right"], None, {}, None),
    "most for a tie": (["same", "both", "left"], None, {}, None),
    "one alone": (["left"], 1, {"1": 1, "2": 0, "tie": 0}, 1.0),
}


@pytest.mark.django_db
@pytest.mark.parametrize("kind", COUNTED_TOGETHER)
@pytest.mark.parametrize("form", ["a row for each", "one task"])
def test_the_votes_of_several_annotators_are_kept(tmp_path, kind, form):
    answers, preference, votes, margin = COUNTED_TOGETHER[kind]
    rows = rows_of(*answers)
    if form == "one task":
        rows = [task(*([result(answer)] for answer in answers))]
        rows[0]["data"]["image"] = "a.png"
    project, done = imported(tmp_path, rows, "rlhf_v")
    [comparison] = Comparison.objects.filter(project=project)
    assert (done.created, done.left_out) == (1, 0)
    assert (comparison.preference, comparison.imported_votes) == (preference, votes)
    assert comparison.margin == (None if margin is None else pytest.approx(margin))
    told = [str(one) for one in done.warnings]
    assert any("is a tie" in one for one in told) == (preference is None)
    further = [one for one in told if "counted as its votes" in one]
    assert len(further) == (form == "a row for each" and len(answers) > 1)


@pytest.mark.django_db
def test_the_same_answer_of_one_annotator_twice_is_no_second_vote(tmp_path):
    rows = rows_of("left", "left", annotation_id=3)
    with pytest.raises(ImportRefused, match="is the id of line 1 too"):
        imported(tmp_path, rows, "rlhf_v")


@pytest.mark.django_db
def test_answers_to_other_texts_are_no_votes_for_these(tmp_path):
    rows = [*rows_of("left", "right"), {**rows_of("left")[0], "answer2": "Another."}]
    rows[-1]["annotation_id"] = 99
    _, done = imported(tmp_path, rows, "rlhf_v")
    assert done.created == 2


WORSE = {
    "Label Studio": task(
        [result("left", "hallucinates_more")], [result("left", "hallucinates_more")]
    ),
    "Label Studio, in words": task([result("left", "Which response is worse?")]),
    "Argilla": argilla(rejected=["response-1"]),
    "JSON-MIN": json_min(worse="left"),
    "a table": {**FLAT, "response_1": BAD, "response_2": GOOD, "worse": "1"},
}


@pytest.mark.parametrize("export", WORSE)
def test_who_names_the_worse_answer_prefers_the_other(export):
    pair = parse_any_pair(1, WORSE[export])
    assert pair.label.preference == 2
    turned = "asks which answer is worse"
    assert any(turned in one.reason for one in pair.warnings()) == (export != "a table")


FAULTS = {
    "a choice": task([result("left", "hallucination")]),
    "a number of each": task(
        [
            {"from_name": f"hallucination{n}", "type": "rating", "value": {"rating": n}}
            for n in (1, 2)
        ]
    ),
    "Argilla": argilla(mistakes=["response-1"]),
    "ranks": task(
        [{"from_name": f"rank_{n}", "type": "number", "value": {"number": n}} for n in (1, 2)]
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_question_about_faults_or_ranks_says_nothing_of_which_answer_is_better(kind):
    with pytest.raises(BadField, match="preference: does not say which"):
        parse_any_pair(1, FAULTS[kind])


@pytest.mark.parametrize("name", ["fewer_hallucinations", "less_wrong", "hallucination-free"])
def test_a_question_for_fewer_faults_is_one_for_the_better_answer(name):
    assert parse_any_pair(1, task([result("left", name)])).label.preference == 1


@pytest.mark.parametrize(
    "name", ["more_helpful_response_id", "which_hallucinates_more", "accepted", "rejected_one"]
)
def test_a_column_that_may_tell_is_never_dropped_in_silence(name):
    row = {**FLAT, "response_1": GOOD, "response_2": BAD, name: 2}
    assert any(one.field == name for one in parse_any_pair(1, row).warnings())


CHOICE = {"accept": ["B"], "answer": "accept", "_input_hash": 1}
IDS = [{"id": "A", "text": GOOD}, {"id": "B", "text": BAD}]
PRODIGY = {
    "answers as columns": {**FLAT, "response_a": GOOD, "response_b": BAD, **CHOICE},
    "answers as options": {"image": "a.png", "text": ASKED, "options": IDS, **CHOICE},
}


@pytest.mark.parametrize("form", PRODIGY)
@pytest.mark.parametrize("answer", ["accept", "reject", "ignore"])
def test_prodigys_choice_counts_where_the_task_was_accepted(form, answer):
    pair = parse_any_pair(1, {**PRODIGY[form], "answer": answer})
    assert {pair.response_1, pair.response_2} == {GOOD, BAD}
    assert (pair.label and pair.label.preference) == (2 if answer == "accept" else None)


def assignment(worker, **said):
    shown = {"image": "a.png", "question": ASKED, "response_1": GOOD, "response_2": BAD}
    row = {"HITId": "h", "AssignmentId": worker, **{f"Input.{n}": v for n, v in shown.items()}}
    return {**row, **{f"Answer.{name}": value for name, value in said.items()}}


SAID = {
    "a text": {"preference": "2"},
    "a label of crowd elements": {"taskAnswers": '[{"best": {"label": "Response 2"}}]'},
    "buttons of crowd elements": {"taskAnswers": '[{"best": {"A": false, "B": true}}]'},
}


@pytest.mark.django_db
@pytest.mark.parametrize("said", SAID)
def test_assignments_of_one_task_are_votes(tmp_path, said):
    rows = [assignment(worker, **SAID[said]) for worker in ("w1", "w2")]
    rows += [{**assignment("w3", preference="1"), "AssignmentStatus": "Approved"}]
    project, done = imported(tmp_path, rows, "rlhf_v")
    [comparison] = Comparison.objects.filter(project=project)
    assert (done.created, comparison.preference) == (1, 2)
    assert comparison.imported_votes == {"1": 1, "2": 2, "tie": 0}


def test_an_assignment_whose_work_was_rejected_says_nothing():
    row = {**assignment("w", preference="2"), "AssignmentStatus": "Rejected"}
    assert parse_any_pair(1, row).label is None


def test_a_choice_that_is_a_list_of_one_is_that_one():
    """As Doccano has its labels."""
    row = {**FLAT, "response_a": GOOD, "response_b": BAD, "label": ["B"]}
    assert parse_any_pair(1, row).label.preference == 2


def test_options_of_one_id_say_nothing():
    record = {**PRODIGY["answers as options"], "options": [{**one, "id": "B"} for one in IDS]}
    with pytest.raises(BadField, match="both options have this id"):
        parse_any_pair(1, record)


@pytest.mark.django_db
def test_a_picture_inside_an_assignment_is_taken(tmp_path):
    encoded = base64.b64encode(picture_bytes(width=40, height=40)).decode()
    row = {**assignment("w", preference="2"), "Input.image": f"data:image/png;base64,{encoded}"}
    _, done = imported(tmp_path, [row], "rlhf_v")
    assert done.created == 1
