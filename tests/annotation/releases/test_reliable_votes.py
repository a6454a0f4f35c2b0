"""Releases that leave out the votes of unreliable annotators."""

import json
import uuid

import pytest

from annotation import exporting, queue
from annotation.releases.freezing import NotAboveChance
from annotation.releases.reliable_votes import reliable_votes
from tests.factories import make_comparisons, make_member, make_project


def vote(who, choice, *, surplus=False):
    return {
        "annotator": who,
        "more_hallucinated": choice,
        "more_helpful": "tie" if choice == "tie" else "",
        "surplus": surplus,
    }


def row(*votes, **fields):
    plain = {"outcome": "decided", "preference": 1, "hallucination": True, "margin": 1.0}
    return {**plain, "adjudication": None, "votes": {}, "judgments": list(votes), **fields}


def crowd():
    """Forty rows: three who agree, and one who always says the opposite."""
    for number in range(40):
        right, wrong = ("1", "2") if number % 2 else ("2", "1")
        yield row(*(vote(who, right) for who in "abc"), vote("x", wrong))


def test_who_contradicts_everybody_is_left_out_and_the_rest_decides():
    found = list(reliable_votes(crowd(), 0.6))
    assert [one["margin"] for one in found] == [1.0] * 40
    assert found[0]["votes"]["1"] == 3
    assert found[0]["votes"]["2"] == 0
    assert {v["annotator"] for one in found for v in one["judgments"] if not v["reliable"]} == {"x"}


def test_a_ruling_stands_and_nobody_left_is_no_preference():
    extra = [
        row(vote("x", "1"), preference=2, adjudication={"more_hallucinated": "1"}),
        row(vote("x", "1"), preference=2),
        row(vote("a", "1"), vote("b", "2"), vote("x", "1"), preference=2),
        row(vote("new", "1"), preference=2),
    ]
    ruled, nobody, split, unknown = list(reliable_votes(iter([*crowd(), *extra]), 0.6))[40:]
    assert (ruled["outcome"], ruled["preference"]) == ("decided", 2)
    assert (nobody["outcome"], nobody["preference"], nobody["margin"]) == ("disputed", None, None)
    assert (split["outcome"], split["preference"]) == ("disputed", None)
    assert (unknown["outcome"], unknown["preference"]) == ("decided", 2)


@pytest.mark.django_db
def test_a_release_takes_the_policy():
    project = make_project(k=4)
    make_comparisons(project, 12)
    people = [make_member(project) for _ in range(4)]
    for place, person in enumerate(people):
        while (lease := queue.claim(project, person)) is not None:
            choice = 1 + (lease.comparison_id + (place == 3)) % 2
            answer = queue.Answer(more_hallucinated=str(choice))
            queue.submit(person, lease.token, answer, client_uuid=uuid.uuid4())

    def margins(**policy):
        release = exporting.make_release(project, policy=policy)
        lines = b"".join(exporting.stream(release, "llava_rlhf")).splitlines()
        return {json.loads(line)["margin"] for line in lines}

    with pytest.raises(NotAboveChance, match="not shown to be above chance"):
        margins()
    assert margins(accept_chance_agreement=True) == {0.5}
    assert margins(minimum_reliability=0.5) == {1.0}
    with pytest.raises(exporting.BadPolicy, match="minimum_reliability"):
        margins(minimum_reliability=2)
