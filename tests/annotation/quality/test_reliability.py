"""Dawid-Skene: who is right is found without being told."""

import random

import pytest

from annotation.quality.reliability import CHOICES, dawid_skene

ACCURACIES = {1: 0.95, 2: 0.9, 3: 0.75, 4: 0.55, 5: 0.9}


def simulated(accuracies, comparisons, seed=0):
    rng = random.Random(seed)
    for comparison in range(comparisons):
        truth = rng.choice(CHOICES)
        for person, accuracy in accuracies.items():
            wrong = rng.choice([choice for choice in CHOICES if choice != truth])
            yield comparison, person, truth if rng.random() < accuracy else wrong


def test_known_accuracies_are_found():
    found = dawid_skene(simulated(ACCURACIES, 1500))
    assert {person: one.answers for person, one in found.items()} == dict.fromkeys(ACCURACIES, 1500)
    for person, accuracy in ACCURACIES.items():
        assert found[person].accuracy == pytest.approx(accuracy, abs=0.04)


def test_somebody_who_always_says_the_opposite_is_below_chance():
    found = dawid_skene(simulated({1: 0.9, 2: 0.9, 3: 0.9, 4: 0.05}, 300))
    assert found[4].accuracy < 0.2
    assert min(found[person].accuracy for person in (1, 2, 3)) > 0.8


def test_a_few_answers_say_little():
    votes = [*simulated({1: 0.9, 2: 0.9, 3: 0.9}, 200), (0, 9, "1")]
    sure = dawid_skene(votes)
    assert 0.3 < sure[9].accuracy < 0.95


@pytest.mark.parametrize("votes", [[], [(1, 1, "1")], [(1, 1, "1"), (2, 1, "2")]])
def test_comparisons_with_one_vote_say_nothing(votes):
    assert dawid_skene(votes) == {}


def test_the_order_of_the_votes_does_not_matter():
    votes = list(simulated(ACCURACIES, 60))
    shuffled = random.Random(1).sample(votes, len(votes))
    one, other = dawid_skene(votes), dawid_skene(shuffled)
    assert {p: r.accuracy for p, r in one.items()} == pytest.approx(
        {p: r.accuracy for p, r in other.items()}, abs=1e-6
    )
