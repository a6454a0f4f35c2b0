"""The picture from labels to score: what is in it, and that every arrow points right."""

from typing import Any

import pytest

from tests.training.factories import make_base, make_checkpoint, make_run
from tests.training.test_views import logged_in, make_release
from training.checkpoints import lineage
from training.checkpoints.lineage import Outcome
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def policy() -> Checkpoint:
    """A policy of PPO against a reward model, both from one release and one base."""
    reward = make_run(base=make_base(name="llava"))
    release = make_release(reward.project)
    judge = make_checkpoint(reward, kind="reward_model", name="the reward model")
    ppo = make_run(reward.project, base=reward.base)
    Run.objects.filter(pk=reward.pk).update(release=release)
    Run.objects.filter(pk=ppo.pk).update(release=release, reward_model=judge)
    made = make_checkpoint(Run.objects.get(pk=ppo.pk), name="the policy")
    return Checkpoint.objects.with_lineage().get(pk=made.pk)


def test_everything_from_labels_to_score_is_there_once(
    policy: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = Outcome("MMHal", "score 2.5", "/score/")
    asked: list[Any] = []
    monkeypatch.setattr(lineage, "_outcomes", [lambda *given: asked.append(given) or [score]])
    drawn = lineage.picture(policy, "somebody")
    by_column: dict[int, list[str]] = {}
    for box in drawn.boxes:
        by_column.setdefault(box.x, []).append(box.title)
    assert [sorted(titles) for _, titles in sorted(by_column.items())] == [
        ["Labels"],
        ["Release 1", "llava"],
        ["the reward model"],
        ["the policy"],
        ["MMHal"],
    ]
    assert [box.title for box in drawn.boxes if box.is_this] == ["the policy"]
    # labels-release, release-reward, base-reward, reward-policy, policy-score
    assert len(drawn.arrows) == 5
    assert asked == [(policy, "somebody")]


def test_boxes_do_not_overlap_and_lie_within_the_picture(policy: Checkpoint) -> None:
    assert policy.run is not None
    drawn = lineage.picture(policy, policy.run.requested_by)
    corners = [(box.x, box.y) for box in drawn.boxes]
    assert len(set(corners)) == len(corners)
    assert max(x for x, _ in corners) + lineage.WIDTH <= drawn.width
    assert max(y for _, y in corners) + lineage.HEIGHT <= drawn.height


def test_the_page_draws_it_and_a_base_without_scores_has_none(policy: Checkpoint) -> None:
    assert policy.run is not None
    assert policy.base is not None
    client = logged_in(policy.run.requested_by)
    page = client.get(policy.get_absolute_url()).content.decode()
    assert "From labels to score" in page
    assert "the reward model</tspan>" in page
    assert "From labels" not in client.get(policy.base.get_absolute_url()).content.decode()


def test_a_long_title_is_told_on_two_lines_and_no_more(policy: Checkpoint) -> None:
    assert policy.run is not None
    Checkpoint.objects.filter(pk=policy.pk).update(name="Fact-RLHF, the third try: PPO " * 4)
    policy.refresh_from_db()
    [box] = [box for box in lineage.picture(policy, policy.run.requested_by).boxes if box.is_this]
    assert box.lines[0] == "Fact-RLHF, the third try:"
    assert len(box.lines) == lineage.LINES
    assert box.lines[1].endswith("…")
    assert all(len(line) <= lineage.LETTERS for line in box.lines)


def test_notes_say_what_made_a_model(policy: Checkpoint) -> None:
    assert policy.run is not None
    notes = {box.title: box.note for box in lineage.picture(policy, policy.run.requested_by).boxes}
    assert notes["llava"] == "Base, imported"
    assert notes["the policy"] == f"Policy by Fake reward model, run {policy.run_id}"
    assert notes["the reward model"].startswith("Reward model by Fake reward model, run ")
