"""Points for what a reward model says, and how they come and go in the queue's priority."""

import pytest

from annotation import gold_and_repeats, priorities, queue
from annotation.models import Comparison
from annotation.priorities import Opinion
from tests.factories import judge, make_comparison, make_comparisons, make_member, make_project


@pytest.mark.parametrize(
    ("probability", "for_1", "for_2", "expected"),
    [
        (0.5, 0, 0, 100),  # knows nothing
        (0.5, 3, 0, 100),
        (1.0, 0, 0, 0),  # sure, and nobody contradicts
        (0.0, 0, 0, 0),
        (0.75, 0, 0, 50),  # certainty 0.5
        (0.25, 0, 0, 50),
        (1.0, 0, 2, 100),  # sure, and everybody contradicts
        (1.0, 2, 0, 0),
        (0.0, 1, 0, 100),
        (1.0, 1, 1, 50),
        (0.75, 1, 1, 75),  # 1 - 0.5 * 0.5
    ],
)
def test_points_grow_with_doubt_and_contradiction(
    probability: float, for_1: int, for_2: int, expected: int
) -> None:
    assert priorities.points(probability, for_1, for_2) == expected


@pytest.mark.parametrize(
    ("spread", "for_1", "for_2", "expected"),
    [
        (0.0, 0, 0, 0),  # the heads agree, and nobody contradicts
        (1.0, 0, 0, 50),
        (3.0, 0, 0, 75),
        (0.0, 0, 2, 100),
        (1.0, 1, 1, 75),  # 1 - 0.5 * 0.5
    ],
)
def test_with_a_spread_points_grow_with_it_instead_of_doubt(
    spread: float, for_1: int, for_2: int, expected: int
) -> None:
    for probability in (0.5, 0.9):
        assert priorities.points(probability, for_1, for_2, spread=spread) == expected


@pytest.mark.parametrize("spread", [-0.1, float("nan"), float("inf")])
def test_points_want_a_spread(spread: float) -> None:
    with pytest.raises(ValueError, match="no spread"):
        priorities.points(0.5, spread=spread)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_points_want_a_probability(probability: float) -> None:
    with pytest.raises(ValueError, match="no probability"):
        priorities.points(probability)


@pytest.mark.django_db
def test_the_unsure_ones_are_handed_out_first() -> None:
    project = make_project(k=1)
    sure, unsure, other = make_comparisons(project, 3)
    changes = priorities.reprioritise(
        project,
        [
            Opinion(comparison=sure.pk, probability_1=0.99),
            Opinion(comparison=unsure.pk, probability_1=0.52),
            Opinion(comparison=other.pk, probability_1=0.7),
        ],
    )
    assert changes.points == {sure.pk: 2, unsure.pk: 96, other.pk: 60}
    assert (changes.raised, changes.lowered, changes.unchanged) == (3, 0, 0)
    claimed = [queue.claim(project, make_member(project)) for _ in range(3)]
    assert [one and one.comparison_id for one in claimed] == [unsure.pk, other.pk, sure.pk]


@pytest.mark.django_db
def test_what_the_heads_differ_about_is_handed_out_first() -> None:
    project = make_project(k=1)
    alike, apart, between = make_comparisons(project, 3)
    opinions = [
        Opinion(comparison=one.pk, probability_1=chance, spread=spread)
        for one, chance, spread in ((alike, 0.5, 0.0), (apart, 0.99, 4.0), (between, 0.9, 0.25))
    ]
    changes = priorities.reprioritise(project, opinions)
    assert changes.points == {alike.pk: 0, apart.pk: 80, between.pk: 20}
    claimed = [queue.claim(project, make_member(project)) for _ in range(3)]
    assert [one and one.comparison_id for one in claimed] == [apart.pk, between.pk, alike.pk]


@pytest.mark.django_db
def test_a_newer_opinion_replaces_the_older_and_leaves_what_others_have_set() -> None:
    project = make_project()
    comparison = make_comparison(project, priority=7)
    first = priorities.reprioritise(project, [Opinion(comparison=comparison.pk, probability_1=0.5)])
    comparison.refresh_from_db()
    assert comparison.priority == 107
    before = first.points[comparison.pk]
    again = Opinion(comparison=comparison.pk, probability_1=0.5, points_before=before)
    assert priorities.reprioritise(project, [again]).unchanged == 1
    newer = Opinion(comparison=comparison.pk, probability_1=0.9, points_before=before)
    assert priorities.reprioritise(project, [newer]).lowered == 1
    comparison.refresh_from_db()
    assert comparison.priority == 7 + 20


@pytest.mark.django_db
def test_votes_that_contradict_a_sure_reward_model_bring_a_comparison_forward() -> None:
    project = make_project(k=3)
    comparison = make_comparison(project)
    judge(comparison, "1")  # response 2 is the better one
    changes = priorities.reprioritise(
        project, [Opinion(comparison=comparison.pk, probability_1=1.0)]
    )
    assert changes.points == {comparison.pk: 100}


@pytest.mark.django_db
def test_helpfulness_votes_count_after_ties() -> None:
    project = make_project(k=3)
    comparison = make_comparison(project)
    judge(comparison, "tie", "2")
    opinion = Opinion(comparison=comparison.pk, probability_1=1.0)
    assert priorities.reprioritise(project, [opinion]).points == {comparison.pk: 100}


@pytest.mark.django_db
def test_decided_gold_and_foreign_comparisons_get_no_points() -> None:
    project = make_project(k=1)
    decided = make_comparison(project)
    judge(decided, "2")
    gold = make_comparison(project)
    gold_and_repeats.make_gold(gold, more_hallucinated="1")
    foreign = make_comparison(make_project())
    asked = [decided, gold, foreign]
    changes = priorities.reprioritise(
        project, [Opinion(comparison=one.pk, probability_1=0.5) for one in asked]
    )
    assert set(changes.points.values()) == {0}
    assert set(Comparison.objects.values_list("priority", flat=True)) == {0}


@pytest.mark.django_db
def test_a_comparison_that_was_decided_gives_its_points_back() -> None:
    project = make_project(k=1)
    comparison = make_comparison(project)
    opinion = Opinion(comparison=comparison.pk, probability_1=0.5)
    assert priorities.reprioritise(project, [opinion]).points[comparison.pk] == 100
    judge(comparison, "2")
    later = Opinion(comparison=comparison.pk, probability_1=0.5, points_before=100)
    assert priorities.reprioritise(project, [later]).lowered == 1
    comparison.refresh_from_db()
    assert comparison.priority == 0


@pytest.mark.django_db
@pytest.mark.parametrize(("priority", "moved"), [(2**31 - 5, 10_000), (-(2**31) + 5, -10_000)])
def test_a_priority_at_the_end_of_its_column_stays_in_it(priority: int, moved: int) -> None:
    comparison = make_comparison(make_project(), priority=priority)
    priorities.raise_all(comparison.project, [comparison.pk], moved)
    comparison.refresh_from_db()
    assert comparison.priority == (priorities.HIGHEST if moved > 0 else priorities.LOWEST)
