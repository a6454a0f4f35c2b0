"""What people rated in labelling tools decides which answer is better, or it is refused."""

import pytest

from annotation.importing.formats import parse_any_pair
from annotation.importing.record_files import BadField
from tests.inputs.test_field_names import ASKED, BAD, GOOD

ANSWERS = {"answer1": GOOD, "answer2": BAD}
DATA = {"image": "a.png", "prompt": ASKED, **ANSWERS}


def rated(name, value, to="answer1,answer2"):
    return {"from_name": name, "to_name": to, "type": "rating", "value": {"rating": value}}


def task(*results):
    return {"id": 5, "data": DATA, "annotations": [{"result": list(one)} for one in results]}


def argilla(**questions):
    fields = {"image": "a.png", "prompt": ASKED, "response-1": GOOD, "response-2": BAD}
    return {"id": "x", "fields": fields, "responses": questions}


def said(*values):
    return [{"value": value, "user_id": str(number)} for number, value in enumerate(values)]


def rows(**members):
    return {"image": "a.png", "prompt": ASKED, "response_1": GOOD, "response_2": BAD, **members}


RATED = {
    "Label Studio": task([rated("rating1", 5), rated("rating2", 2)]),
    "Label Studio, one control of each answer": task(
        [rated("stars", 4, "answer1"), rated("stars", 3, "answer2")]
    ),
    "Label Studio, a ranker": task(
        [{"from_name": "r", "type": "ranker", "value": {"ranker": ["answer1", "answer2"]}}]
    ),
    "JSON-MIN": {**DATA, "rating1": 4, "rating2": [{"rating": 2}], "annotation_id": 1},
    "CSV": {**DATA, "rating1": "4", "rating2": "2", "annotation_id": "1", "lead_time": "2.5"},
    "a cell with JSON": {**DATA, "pw": '{"selected": "left"}', "annotation_id": "1"},
    "Argilla": argilla(rating_1=said(5), rating_2=said(1)),
    "Argilla's data set": rows(
        **{"quality_a.responses": [3], "quality_b.responses": [1], "lead_time": 3}
    ),
    "several labels": argilla(best=said(["response-1"])),
    "of which one was withdrawn": rows(
        **{"best.responses": ["response_2", "response_2", "response_1"]},
        **{"best.responses.status": ["discarded", "draft", "submitted"]},
    ),
    "Argilla 1's data set": rows(
        best=[
            {"value": "response_2", "status": "discarded", "user_id": 1},
            {"value": "response_1", "status": "submitted", "user_id": 2},
        ]
    ),
}


@pytest.mark.parametrize("export", RATED)
def test_what_people_rated_higher_is_better(export):
    pair = parse_any_pair(1, RATED[export])
    assert (pair.response_1, pair.response_2) == (GOOD, BAD)
    assert (pair.label.preference, pair.label.votes["1"]) == (1, 1)


def test_ratings_of_people_are_votes():
    ratings = argilla(rating_1=said(5, 1, 3), rating_2=said(1, 4, 3))
    assert parse_any_pair(1, ratings).tie
    more = argilla(rating_1=said(5, 1, 3, 4), rating_2=said(1, 4, 3, 2))
    assert parse_any_pair(1, more).label.votes == {"1": 2, "2": 1, "tie": 1}


def test_who_rated_is_told_by_the_answers_and_not_by_their_place():
    ratings = argilla(rating_1=said(5, 1), rating_2=said(3, 2)[::-1])
    assert parse_any_pair(1, ratings).tie


UNTOLD = {
    "one number": argilla(preference=said(-2)),
    "of the picture": task([rated("quality", 3, "image")]),
    "of one answer": task([rated("rating1", 3)]),
    "two aspects": argilla(
        **{"honest_1": said(5), "honest_2": said(1), "useful_1": said(1), "useful_2": said(5)}
    ),
    "two choices": task([{"from_name": "b", "value": {"choices": ["left", "right"]}}]),
}


@pytest.mark.parametrize("kind", UNTOLD)
def test_ratings_that_cannot_be_told_are_refused(kind):
    with pytest.raises(BadField, match="preference: does not say which answer is better"):
        parse_any_pair(1, UNTOLD[kind])


def test_a_choice_of_side_comes_before_ratings():
    chosen = {"from_name": "pw", "type": "pairwise", "value": {"selected": "left"}}
    pair = parse_any_pair(1, task([chosen, rated("rating1", 1), rated("rating2", 5)]))
    assert pair.label.preference == 1
