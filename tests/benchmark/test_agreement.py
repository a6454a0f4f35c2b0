"""Agreement between judges, checked against the krippendorff package."""

from __future__ import annotations

from typing import Any

import krippendorff
import numpy as np
import pytest
from django.test import Client

from benchmark.judging import agreement
from benchmark.models import Answer, Evaluation, Judge, QuestionSet
from tests.benchmark.factories import make_evaluation, make_judge, make_question_set
from tests.factories import make_member, make_project


@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_the_reference(seed: int) -> None:
    random = np.random.default_rng(seed)
    first = random.integers(0, 7, 30)
    second = np.clip(first + random.integers(-2, 3, 30), 0, 6)
    ours = agreement.interval_alpha(list(first), list(second))
    reference = krippendorff.alpha(
        reliability_data=np.array([first, second]), level_of_measurement="interval"
    )
    assert ours == pytest.approx(reference, abs=1e-12)


def test_alpha_of_a_hand_worked_case() -> None:
    """Ratings 0 0 6 / 0 6 6: D_o = 36 / 3; the six ratings have variance 10.8, D_e = 21.6."""
    assert agreement.interval_alpha([0, 0, 6], [0, 6, 6]) == pytest.approx(1 - 12 / 21.6)


def test_equal_ratings_tell_nothing() -> None:
    assert agreement.interval_alpha([3, 3], [3, 3]) is None


@pytest.mark.parametrize("pair", [([], []), ([1], [1]), ([1, 2], [1])])
def test_too_few_ratings_are_refused(pair: tuple[list[float], list[float]]) -> None:
    with pytest.raises(ValueError, match="no agreement"):
        agreement.interval_alpha(*pair)


def two_opinions(**fields: Any) -> tuple[Evaluation, Evaluation]:
    """The same answers of one model under two judges."""
    question_set = make_question_set(count=4)
    first, second = (
        make_evaluation(ratings, question_set=question_set, judge=make_judge(name), **fields)
        for name, ratings in (("one", [6, 0, 2, 5]), ("two", [6, 1, 3, 5]))
    )
    return first, second


@pytest.mark.django_db
def test_judges_are_held_against_each_other_on_equal_answers() -> None:
    first, second = two_opinions()
    Answer.objects.filter(evaluation=second, question__index=3).update(text_sha256="0" * 64)
    (found,) = agreement.with_other_judges(first, Evaluation.objects.all())
    assert (found.judge, found.evaluation, found.count) == ("two", second.pk, 3)
    # 2 and 3 lie on two sides. All three draws are this question in 1 resample of 27, more than the
    # 2.5 % that an interval leaves out on a side; all three are 6 and 6 as often, which is alpha 1.
    assert found.same_side == {
        "value": pytest.approx(2 / 3),
        "low": pytest.approx(0.208, abs=0.001),  # Wilson, 2 of 3
        "high": pytest.approx(0.939, abs=0.001),
    }
    assert found.alpha is not None
    assert found.alpha["value"] == agreement.interval_alpha([6, 0, 2], [6, 1, 3])
    assert found.alpha["low"] < found.alpha["value"] < found.alpha["high"] == 1


@pytest.mark.django_db
def test_comparisons_agree_by_how_much_the_answer_beats_the_reference() -> None:
    first, second = two_opinions()
    Judge.objects.filter(name="one").update(name="comparing")
    for evaluation, gains in ((first, (2, -1, -3, 0)), (second, (1, -1, 1, 0))):
        QuestionSet.objects.filter(pk=evaluation.question_set_id).update(protocol="llava_bench")
        for verdict, gain in zip(evaluation.verdicts().order_by("pk"), gains, strict=True):
            verdict.rating, verdict.order = None, "model_first"
            verdict.reference_score, verdict.model_score = 5, 5 + gain
            verdict.save()
    (found,) = agreement.with_other_judges(
        Evaluation.objects.get(pk=first.pk), Evaluation.objects.all()
    )
    assert (found.count, found.same_side["value"]) == (4, 3 / 4)
    assert found.alpha is not None
    assert found.alpha["value"] == agreement.interval_alpha([2, -1, -3, 0], [1, -1, 1, 0])


@pytest.mark.django_db
def test_evaluations_that_are_not_visible_do_not_count() -> None:
    first, second = two_opinions()
    visible = Evaluation.objects.exclude(pk=second.pk)
    assert agreement.with_other_judges(first, visible) == []


@pytest.mark.django_db
def test_the_page_shows_it() -> None:
    project = make_project()
    first, second = two_opinions(project=project)
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    page = client.get(first.get_absolute_url()).content.decode()
    assert "Agreement with other judges" in page
    assert '<td class="num">4</td>' in page
    assert f'<a href="{second.get_absolute_url()}">two</a>' in page
    assert '<td class="num">75 %<span class="cell-sub">30 to 95 %</span></td>' in page
