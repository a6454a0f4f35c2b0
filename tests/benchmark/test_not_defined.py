"""A figure that has nothing to divide by is no 0: not defined, with the reason, wherever it stands.

One case for each way in which a benchmark's figure can lack what it is divided by.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from benchmark import evaluating, protocols, scoring
from benchmark.board import leaderboard, significance
from benchmark.evaluating import Said
from benchmark.judging import work
from benchmark.models import Evaluation, Judge, QuestionSet
from benchmark.protocols.amber import scores as amber_scores
from benchmark.protocols.dash_b import scores as dash_b_scores
from benchmark.protocols.pope import scores as pope_scores
from tests.benchmark.factories import make_judge, make_question_set, record
from tests.factories import make_admin
from tests.training.factories import make_base

pytestmark = pytest.mark.django_db


def asked(truth: str, kind: str = "") -> dict[str, Any]:
    return record(1, kind, question="Is there a dog in the image?", gt_answer=truth)


def described(lures: Sequence[str] = ("cat",)) -> dict[str, Any]:
    known = {"truth": ["dog"], "lures": list(lures), "associations": {}, "safe_words": []}
    return {**record(1, "generative"), **known, "vocabulary": ["dog", "cat"], "gt_answer": "dog"}


def pair(group: str) -> dict[str, Any]:
    return {**record(1, group), "responses": ["a", "b"], "better": 0, "key": group}


REWARDS = json.dumps({"rewards": [2.0, 1.0]})
CASES = {
    "pope, nobody says yes": (
        "pope",
        [asked("yes"), asked("no")],
        ["No", "No"],
        {"precision": "no answer is yes"},
    ),
    "repope, nothing is there": (
        "repope",
        [asked("no"), asked("no")],
        ["No", "No"],
        {
            "precision": "no answer is yes",
            "recall": "no question's truth is yes",
            "f1": "no question's truth is yes, and no answer is yes",
        },
    ),
    "dash_b, one side only": (
        "dash_b",
        [asked("no", "absent"), asked("no", "absent")],
        ["No", "Yes"],
        {
            "tpr": "no picture with its object was asked about",
            "accuracy": "TNR or TPR is not defined",
            "harmonic_mean": "TNR or TPR is not defined",
        },
    ),
    "amber, silence": (
        "amber",
        [described(), asked("yes", "state")],
        ["Nothing to say.", "Yes"],
        {
            "chair": "no description names a noun that is counted",
            "amber_score": "CHAIR or F1 is not defined",
            "precision": "no answer is no",
            "recall": "no question's truth is no",
            "f1": "no question's truth is no, and no answer is no",
        },
    ),
    "amber, no lures": (
        "amber_generative",
        [described(()), described(())],
        ["A dog.", "A dog and a cat."],
        {"cog": "the pictures described have no lures"},
    ),
    "amber, one part answered": (
        "amber",
        [described(), asked("no", "existence")],
        ["A dog.", None],
        {
            **dict.fromkeys(("accuracy",), "no question by yes or no was answered"),
            "f1": "no question's truth is no, and no answer is no",
            "precision": "no answer is no",
            "recall": "no question's truth is no",
            "amber_score": "CHAIR or F1 is not defined",
        },
    ),
    "vl_rewardbench, a group not asked": (
        "vl_rewardbench",
        [pair("general"), pair("hallucination")],
        [REWARDS, REWARDS],
        {"reasoning": "no pair of this group was asked"},
    ),
    "multimodal_rewardbench, one group": (
        "multimodal_rewardbench",
        [pair("vqa")],
        [REWARDS],
        dict.fromkeys(
            ("correctness", "preference", "knowledge", "reasoning", "safety"),
            "no pair of this group was asked",
        ),
    ),
}


def evaluated(
    questions: QuestionSet, judge: Judge, said: Sequence[str | None], **fields: Any
) -> Evaluation:
    evaluation = evaluating.start(question_set=questions, judge=judge, **fields)
    rows = zip(questions.questions.order_by("index"), said, strict=True)
    answers = {question: Said(text) for question, text in rows if text is not None}
    evaluating.store_answers(evaluation, answers)
    work.judge(evaluation.pk)
    return Evaluation.objects.get(pk=evaluation.pk)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_it_is_said_wherever_a_figure_stands(
    case: tuple[str, list[dict[str, Any]], list[str | None], dict[str, str]],
) -> None:
    protocol, records, said, expected = case
    questions = make_question_set(protocol=protocol, records=records)
    judge = make_judge("rule", kind="exact", base_url="", model="")
    base = make_base(name="the base")
    one = evaluated(questions, judge, said, model_name="the base", checkpoint=base)
    two = evaluated(questions, judge, said, model_name="another")
    assert one.state == "complete"
    shown = {shown.name: shown for shown in protocols.named(protocol).figures}
    reasons = {
        name: one.summary[name]["undefined"]
        for name in shown
        if one.summary[name] and one.summary[name]["value"] is None
    }
    assert reasons == expected

    client = Client()
    client.force_login(make_admin())

    def got(name: str, *args: Any) -> str:
        answer = client.get(reverse(f"benchmark:{name}", args=args))
        assert answer.status_code == 200
        return answer.content.decode()

    told = [f"not defined: {why.replace(chr(39), '&#x27;')}" for why in expected.values()]
    for page in (got("evaluation", one.pk), got("leaderboard")):
        assert [words for words in told if words not in page] == []
    (group,) = leaderboard.groups(Evaluation.objects.all())
    got("explorer", group.id)
    got("evaluations")
    got("model", base.pk)
    written = [f"– (not defined: {why})" for why in expected.values()]  # noqa: RUF001
    for text in (got("summary", one.pk, "md"), got("model-summary", base.pk, "md")):
        assert [words for words in written if words not in text] == []
    assert "nan" not in got("summary", one.pk, "svg").lower()
    assert all(words in got("model-summary", base.pk, "tex") for words in written)
    got("summary", one.pk, "html")

    lines = list(csv.DictReader(io.StringIO(got("leaderboard-csv"))))
    lines += list(csv.DictReader(io.StringIO(got("model-summary", base.pk, "csv"))))
    names = {**{name: name for name in shown}, **{row.title: row.name for row in shown.values()}}
    for line in lines:
        why = expected.get(names[line["figure"]], "")
        assert (line["not_defined"], not line["value"]) == (why, bool(why))
    for document in (
        json.loads(got("evaluation-json", one.pk)),
        client.get(reverse("benchmark-api:evaluation", args=[one.pk])).json(),
    ):
        assert document["summary"] == one.summary
    for figure in json.loads(got("model-summary", base.pk, "json"))["figures"]:
        assert (figure["value"] is None) == (names[figure["figure"]] in expected)

    # What is not defined is not tested, and says so instead of a p value.
    tested = questions.rules.tested
    if tested in expected:
        assert significance.standings([group]) == {}
        with pytest.raises(ValueError, match="that is defined"):
            scoring.compare(one, two)
    else:
        assert set(scoring.compare(one, two)) & set(expected) == set()


def test_a_figure_of_a_part_says_of_how_many_questions_it_is() -> None:
    """Wherever it stands, its n is that of the part and not of all."""
    records = [pair("general"), *[{**pair("reasoning"), "key": f"{n}"} for n in range(3)]]
    questions = make_question_set(protocol="vl_rewardbench", records=records)
    judge = make_judge("rule", kind="exact", base_url="", model="")
    base = make_base(name="the base")
    one = evaluated(questions, judge, [REWARDS] * 4, model_name="the base", checkpoint=base)
    assert [one.summary[name].get("count") for name in ("overall", "general", "reasoning")] == [
        None,
        1,
        3,
    ]
    client = Client()
    client.force_login(make_admin())
    for address in (one.get_absolute_url(), reverse("benchmark:leaderboard")):
        assert "n = 3" in client.get(address).content.decode()
    board = client.get(reverse("benchmark:leaderboard-csv")).content.decode()
    model = client.get(reverse("benchmark:model-summary", args=[base.pk, "csv"])).content.decode()
    for text in (board, model):
        asked = {
            row["figure"].lower(): row["questions"] for row in csv.DictReader(io.StringIO(text))
        }
        assert (asked["overall"], asked["general"], asked["reasoning"]) == ("4", "1", "3")
    paper = client.get(reverse("benchmark:model-summary", args=[base.pk, "md"])).content.decode()
    assert "3 of the 4 asked" in paper
    card = client.get(reverse("benchmark:summary", args=[one.pk, "md"])).content.decode()
    assert "4 of 4" in card and "3 of 3" in card


def test_a_model_without_the_figure_is_ranked_last_and_not_tested() -> None:
    """Silence named no noun that is not there; it must not win by that."""
    questions = make_question_set(
        protocol="amber_generative", records=[described(), described(), described()]
    )
    judge = make_judge("rule", kind="exact", base_url="", model="")
    silent = evaluated(questions, judge, [".", ".", "."], model_name="silent")
    wrong = evaluated(questions, judge, ["A cat.", "A dog.", "A cat."], model_name="wrong")
    right = evaluated(questions, judge, ["A dog.", "A dog.", "A cat."], model_name="right")
    (group,) = leaderboard.groups(Evaluation.objects.all())
    assert group.rows == [right, wrong, silent]
    (found,) = significance.standings([group]).values()
    assert (found.compared, set(found.against_best)) == (2, {wrong.pk})


@pytest.mark.parametrize(
    "figures",
    [amber_scores.FIGURES, dash_b_scores.FIGURES, pope_scores.FIGURES],
    ids=["amber", "dash_b", "pope"],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_no_figure_of_nothing_is_a_number(figures: dict[str, Any]) -> None:
    width = {id(amber_scores.FIGURES): len(amber_scores.COLUMNS)}.get(id(figures), 4)
    for name, figure in figures.items():
        assert np.isnan(figure(np.zeros((1, width)))).all(), name


def test_figures_stored_before_are_computed_anew() -> None:
    """A 0 that was stored where nothing could be divided becomes "not defined"; others stay."""
    told = io.StringIO()
    question_set = make_question_set(protocol="pope", records=[asked("yes"), asked("no")])
    judge = make_judge("rule", kind="exact", base_url="", model="")
    evaluation = evaluated(question_set, judge, ["No", "No"], model_name="one")
    whole = evaluation.summary
    old = {**whole, "precision": {"value": 0.0, "low": 0.0, "high": 0.0}, "wordings": "kept"}
    Evaluation.objects.filter(pk=evaluation.pk).update(summary=old)
    call_command("recompute_scores", stdout=told)
    evaluation.refresh_from_db()
    assert evaluation.summary == {**whole, "wordings": "kept"}
    assert evaluation.summary["precision"]["undefined"] == "no answer is yes"
    assert told.getvalue().splitlines() == [
        f"evaluation {evaluation.pk}: precision",
        "1 computed anew, 1 changed",
    ]
