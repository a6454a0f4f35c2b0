"""What an annotator is told depends on nothing that they must not know (annotation.blindness)."""

from __future__ import annotations

import uuid

import pytest

from annotation import checks, queue
from annotation.models import Membership
from tests import factories
from tests.factories import make_comparison, make_member, make_project

pytestmark = pytest.mark.django_db

# --- What a pause tells -----------------------------------------------------------------------


@pytest.mark.parametrize("wrong_at", [0, 7, 19])
def test_a_pause_comes_at_one_moment_wherever_the_wrong_answer_was(
    wrong_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(k=1, gold_rate=0.5, pause_below=0.9, pause_after=1)
    person = make_member(project)
    for one in factories.make_comparisons(project, 2):
        checks.make_gold(one, more_hallucinated="1")
    factories.make_comparisons(project, 30)
    paused: list[bool] = []
    for number in range(checks.PAUSE_DECIDED_EVERY):
        draw = 0.0 if number == wrong_at else 0.999
        monkeypatch.setattr(checks.random, "random", lambda draw=draw: draw)
        lease = queue.claim(project, person)
        assert lease is not None
        assert (lease.purpose == "gold") == (number == wrong_at)
        said = queue.Answer(more_hallucinated="2")
        queue.submit(person, lease.token, said, client_uuid=uuid.uuid4())
        paused.append(Membership.objects.get(user=person).paused)
    assert paused == [False] * (checks.PAUSE_DECIDED_EVERY - 1) + [True]


def test_where_no_work_is_left_no_check_is_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be known for one."""
    project = make_project(k=1, gold_rate=0.5, repeat_rate=0.2)
    checks.make_gold(make_comparison(project), more_hallucinated="1")
    monkeypatch.setattr(checks.random, "random", lambda: 0.0)
    assert queue.claim(project, make_member(project)) is None
    make_comparison(project)
    lease = queue.claim(project, make_member(project))
    assert lease is not None
    assert lease.purpose == "gold"
