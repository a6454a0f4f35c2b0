"""Models of one group against its best: corrected for all pairs, with what could be shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmark import scoring
from benchmark.board import leaderboard, significance
from benchmark.models import Evaluation
from benchmark.statistics import detectable_difference, holm, paired_p_value, paired_test
from tests.benchmark.factories import make_evaluation, make_question_set

BEST = [6, 5, 6, 5, 6, 6, 5, 4]
NEAR = [6, 5, 5, 5, 6, 6, 5, 4]
WORST = [0, 1, 0, 1, 2, 0, 1, 0]


def test_the_detectable_difference_of_a_hand_worked_case() -> None:
    """Differences 1, -1, 1, -1: s = sqrt(4/3), n = 4; 1.959964 + 0.841621 = 2.801585."""
    assert detectable_difference([1, -1, 1, -1]) == pytest.approx(2.801585 * (4 / 3) ** 0.5 / 2)


@pytest.mark.parametrize("differences", [[], [2.0], [1.0, 1.0, 1.0]])
def test_without_spread_nothing_is_said(differences: list[float]) -> None:
    assert detectable_difference(differences) is None


def test_a_difference_of_that_size_is_shown_four_times_in_five() -> None:
    random = np.random.default_rng(1)
    spread, count = 1.4, 96
    true = detectable_difference(random.normal(0, 1, 10_000) * spread)
    assert true is not None
    true *= (10_000 / count) ** 0.5
    shown = [
        paired_p_value([0.0] * count, list(random.normal(true, spread, count)), resamples=500)
        < 0.05
        for _ in range(300)
    ]
    assert 0.73 < np.mean(shown) < 0.87


def test_the_p_value_alone_is_that_of_the_whole_test() -> None:
    assert paired_p_value(BEST, WORST) == paired_test(BEST, WORST).p_value
    long_first, long_second = BEST * 5, NEAR * 4 + WORST
    assert paired_p_value(long_first, long_second) == paired_test(long_first, long_second).p_value


def groups() -> list[leaderboard.Group]:
    return leaderboard.groups(Evaluation.objects.all())


@pytest.mark.django_db
def test_every_pair_is_corrected_for() -> None:
    question_set = make_question_set(count=8)
    made = [
        make_evaluation(ratings, question_set=question_set, model_name=name)
        for name, ratings in (("worst", WORST), ("near", NEAR), ("best", BEST))
    ]
    worst, near, best = made
    (found,) = significance.standings(groups()).values()
    corrected = holm(
        [paired_p_value(*pair) for pair in ((BEST, NEAR), (BEST, WORST), (NEAR, WORST))]
    )
    assert found.best == best.pk
    assert found.against_best[near.pk].corrected == corrected[0]
    assert found.against_best[worst.pk].corrected == corrected[1]
    assert found.against_best[worst.pk].p_value == 2 / 256
    # Eight questions all in one direction: 2 / 2^8, times three pairs.
    assert corrected[1] == pytest.approx(3 * 2 / 256)
    assert found.against_best[worst.pk].verdict == "shown"
    assert found.against_best[worst.pk].told == (
        "p = 0.008; 0.023 corrected for the 3 pairs of the 3 models ranked here"
    )
    assert found.against_best[near.pk].verdict == "not shown"
    assert (found.count, found.compared, found.pairs) == (8, 3, 3)


@pytest.mark.django_db
def test_the_note_follows_from_the_ratings_not_from_a_constant() -> None:
    question_set = make_question_set(count=8)
    first = make_evaluation(BEST, question_set=question_set, model_name="a")
    second = make_evaluation(WORST, question_set=question_set, model_name="b")
    (found,) = significance.standings(groups()).values()
    differences = np.array(WORST) - np.array(BEST)
    assert found.detectable == pytest.approx(2.801585 * differences.std(ddof=1) / 8**0.5, rel=1e-6)
    assert scoring.compare(first, second)["score"]["detectable"] == found.detectable


@pytest.mark.django_db
def test_one_model_alone_stands_to_nobody() -> None:
    make_evaluation(BEST)
    assert significance.standings(groups()) == {}


@pytest.mark.django_db
def test_one_query_for_all_groups(django_assert_num_queries: Any) -> None:
    for version in "ab":
        question_set = make_question_set(count=2, name=version, version=version * 64)
        for name in ("x", "y"):
            make_evaluation([6, 1], question_set=question_set, model_name=name)
    shown = groups()
    with django_assert_num_queries(1):
        assert len(significance.standings(shown)) == 2


@pytest.mark.django_db
def test_only_the_best_dozen_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(significance, "MOST_COMPARED", 2)
    question_set = make_question_set(count=8)
    for name, ratings in (("worst", WORST), ("near", NEAR), ("best", BEST)):
        make_evaluation(ratings, question_set=question_set, model_name=name)
    (found,) = significance.standings(groups()).values()
    assert (found.compared, found.pairs, len(found.against_best)) == (2, 1, 1)
