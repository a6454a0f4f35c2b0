"""Best of n: the expected value of a choice by hand, and from evaluations to the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from benchmark import evaluating
from benchmark.models import Evaluation, ReportCard, Verdict
from benchmark.report_cards import best_of_n, figures
from benchmark.report_cards.best_of_n import best_of
from tests.benchmark.factories import make_judge, make_question_set, record
from tests.benchmark.test_report_cards import PAIRS, answered
from tests.factories import make_admin, make_image, make_project
from tests.training.factories import make_base, make_checkpoint
from training.checkpoints import cards
from training.models import Checkpoint, Run


@pytest.mark.parametrize(
    ("n", "values", "rewards", "expected"),
    [
        (1, (0, 6), (1, 0), 3),
        (2, (0, 6), (1, 0), 0),
        (2, (0, 6), (0, 1), 6),
        (2, (0, 6), (1, 1), 3),
        # Of the three pairs out of 1, 2, 6 the last is picked twice, and 2 once.
        (2, (1, 2, 6), (0, 1, 2), 14 / 3),
        (3, (1, 2, 6), (0, 1, 2), 6),
        # Both with the higher reward, or one of them and the other: 4, 4 and 6 in the middle.
        (2, (4, 6, 0), (1, 1, 0), 5),
    ],
)
def test_the_value_of_a_choice_by_hand(
    n: int, values: tuple[float, ...], rewards: tuple[float, ...], expected: float
) -> None:
    assert best_of(n, values, rewards) == pytest.approx(expected)


RATINGS = {0: (1, 5, 3), 1: (6, 2, 2), 2: (0, 4, 4), 3: (5, 5, 1)}
"""What the judge made of each question's three answers."""


def sampled(project: object, checkpoint: Checkpoint) -> list[Evaluation]:
    questions = make_question_set(records=[record(n) for n in RATINGS])
    questions.questions.update(image=make_image())
    judge, made = make_judge(), []
    for seed in range(3):
        evaluation = evaluating.start(
            question_set=questions,
            judge=judge,
            model_name="policy",
            project=project,
            checkpoint=checkpoint,
            sampling={"temperature": 1.0, "seed": seed},
        )
        said = {one: evaluating.Said(f"{one.index}-{seed}") for one in questions.questions.all()}
        evaluating.store_answers(evaluation, said)
        for answer in evaluation.answers.select_related("question"):
            Verdict.objects.create(
                answer=answer,
                judge=judge,
                prompt_hash=evaluation.prompt_hash,
                text="",
                rating=RATINGS[answer.question.index][seed],
                state="parsed",
            )
        evaluating.conclude(evaluation)
        made.append(evaluation)
    return made


@pytest.mark.django_db
def test_from_evaluations_at_several_seeds_to_the_page_and_the_card(tmp_path: Path) -> None:
    project, base, admin = make_project(), make_base(), make_admin()
    assert best_of_n.sampled_in(project) is None
    sampled(project, base)
    source = best_of_n.sampled_in(project)
    assert source is not None
    assert len(best_of_n.images_of(source)) == 1
    source = best_of_n.Source.from_json(json.loads(json.dumps(source.to_json())))
    lines = list(best_of_n.records(source))
    assert len(lines) == 2 * len(RATINGS)  # Three answers are two pairs.
    by_text = {
        f"{index}-{seed}": rating
        for index, ratings in RATINGS.items()
        for seed, rating in enumerate(ratings)
    }

    def told(line: dict[str, dict[str, str]]) -> dict[str, float]:
        """A reward model that agrees with the judge."""
        return {f"reward_{n}": by_text[line[f"output_{n}"]["value"]] for n in (1, 2)}

    found = best_of_n.report(source, {line["id"]: told(line) for line in lines})
    assert found is not None
    assert found["picked"][0]["value"] == pytest.approx((3 + 10 / 3 + 8 / 3 + 11 / 3) / 4)
    assert found["picked"][2]["value"] == (5 + 6 + 4 + 5) / 4 == found["possible"][2]["value"]
    for point in found["possible"]:
        assert point["low"] <= point["value"] <= point["high"]
    assert best_of_n.finding(found).startswith("Of 3 sampled answers of policy")

    run = Run.objects.create(
        project=project, kind="reward", base=base, requested_by=admin, name="reward"
    )
    made = make_checkpoint(run, kind=Checkpoint.Kind.REWARD_MODEL, name="rm")
    whole = {**figures.report(answered(PAIRS, lambda pair: 0.9)), "best_of_n": found}
    ReportCard.objects.create(checkpoint=made, run=run, figures=json.loads(json.dumps(whole)))
    client = Client()
    client.force_login(admin)
    page = client.get(reverse("benchmark:report-card", args=[made.pk])).content.decode()
    assert "Best of n" in page and "4 questions of" in page and "3 answers each by policy" in page
    assert "picked of 3 answers" in cards.model_card(made)
    before = {**found, "possible": [point["value"] for point in found["possible"]]}
    ReportCard.objects.update(figures={**whole, "best_of_n": before})
    page = client.get(reverse("benchmark:report-card", args=[made.pk])).content.decode()
    assert "best possible" in page


@pytest.mark.parametrize(
    ("picked", "words"), [((3, 5), "picks a better one"), ((5, 3), "picks a worse one")]
)
def test_what_a_choice_gains_is_said_in_words(picked: tuple[int, int], words: str) -> None:
    first, last = ({"value": float(value)} for value in picked)
    difference = picked[1] - picked[0]
    found = {
        "answers": 2,
        "questions": 40,
        "model": "m",
        "figure": "Score",
        "picked": [first, last],
        "gain": {"shown": True, "difference": difference},
    }
    assert words in best_of_n.finding(found)
    assert "no gain" in best_of_n.finding({**found, "gain": {"shown": False, "difference": 0.1}})
