"""Scores of a reward model taken in: which comparisons, what is kept, what moves in the queue."""

import json
from pathlib import Path
from typing import Any

import pytest

from annotation import exporting
from annotation.models import Comparison, Project
from tests.factories import make_comparison, make_comparisons, make_project
from tests.training.factories import make_base, make_checkpoint, make_common, make_run
from training.loop import score_comparisons
from training.models import Checkpoint, RewardScore, Run
from training.rlhf.contract import ResponsePair
from training.runs import requests
from training.runs.requests import Step

pytestmark = pytest.mark.django_db


def make_reward_model(project: Project, **fields: Any) -> Checkpoint:
    run = make_run(project, base=make_base())
    Run.objects.filter(pk=run.pk).update(**fields)
    run.refresh_from_db()
    return make_checkpoint(run, kind=Checkpoint.Kind.REWARD_MODEL)


def make_scoring(reward_model: Checkpoint, **options: Any) -> Run:
    common = make_common(
        reward_model.run.project,  # type: ignore[union-attr]
        base=reward_model.base,
        reward_model=reward_model,
    )
    asked = {"comparisons": 100, "decided": True, **options}
    return requests.request_run(common, Step("score_comparisons", options=asked))


def make_decided(project: Project, **fields: Any) -> Comparison:
    fields = {"preference": 1, "hallucination": True, "margin": 1.0, "open_slots": 0, **fields}
    return make_comparison(project, outcome=Comparison.Outcome.DECIDED, **fields)


def said(comparison: Comparison, probability_1: float) -> dict[str, Any]:
    return {
        "id": str(comparison.pk),
        "reward_1": 0.5,
        "reward_2": -0.25,
        "probability_1": probability_1,
    }


def test_the_run_asks_about_waiting_and_decided_pairs_without_telling_labels(
    tmp_path: Path,
) -> None:
    project = make_project()
    waiting = make_comparisons(project, 2)
    decided = make_decided(project)
    make_comparison(project, outcome=Comparison.Outcome.UNDECIDED, open_slots=0)
    make_comparison(make_project())
    run = make_scoring(make_reward_model(project))
    score_comparisons.ScoreComparisons().write_data(run, tmp_path)
    text = (tmp_path / "data" / "train.jsonl").read_text()
    assert "preference" not in text
    records = [ResponsePair.from_json(json.loads(line)) for line in text.splitlines()]
    assert {record.id for record in records} == {str(one.pk) for one in [*waiting, decided]}
    by_id = {record.id: record for record in records}
    assert by_id[str(decided.pk)].output_2 == decided.response_2
    assert by_id[str(decided.pk)].captions == tuple(decided.prompt.captions)
    assert {path.name for path in (tmp_path / "images").iterdir()} == {r.image for r in records}
    assert run.settings["labelled"] is False


def test_those_without_a_score_of_this_reward_model_come_first() -> None:
    project = make_project()
    comparisons = make_comparisons(project, 4)
    reward_model = make_reward_model(project)
    run = make_scoring(reward_model, comparisons=2, decided=False)
    first = score_comparisons.to_score(run)
    assert first == [comparisons[3].pk, comparisons[2].pk]
    score_comparisons.take_in(run, [said(one, 0.5) for one in comparisons[2:]])
    assert score_comparisons.to_score(run) == [comparisons[1].pk, comparisons[0].pk]
    newer = make_scoring(make_reward_model(project), comparisons=2, decided=False)
    assert score_comparisons.to_score(newer) == first


def test_decided_ones_that_are_new_to_the_reward_model_come_first(tmp_path: Path) -> None:
    project = make_project()
    decided = [make_decided(project) for _ in range(4)]
    release = exporting.make_release(project, held_out_share=0.25)
    trained = exporting.training_ids(release)
    assert 0 < len(trained) < len(decided)
    run = make_scoring(make_reward_model(project, release=release))
    asked = score_comparisons.to_score(run)
    seen = [Comparison.objects.get(pk=pk).external_id in trained for pk in asked]
    assert seen == sorted(seen)
    score_comparisons.take_in(run, [said(one, 0.9) for one in decided])
    marked = RewardScore.objects.filter(trained_on=True)
    assert {one.comparison.external_id for one in marked} == trained


def test_taking_in_tells_what_changed_and_twice_changes_nothing() -> None:
    project = make_project()
    unsure, sure = make_comparisons(project, 2)
    decided = make_decided(project)
    run = make_scoring(make_reward_model(project))
    lines = [said(unsure, 0.5), said(sure, 1.0), said(decided, 0.2)]
    told = score_comparisons.take_in(run, lines)
    assert told == {
        "scored/comparisons": 3,
        "scored/raised": 1,
        "scored/lowered": 0,
        "scored/unchanged": 2,
    }
    unsure.refresh_from_db()
    assert unsure.priority == unsure.reward_score.priority_points == 100
    assert score_comparisons.take_in(run, lines)["scored/unchanged"] == 3
    unsure.refresh_from_db()
    assert unsure.priority == 100
    assert RewardScore.objects.count() == 3


def test_spread_is_kept_and_ranks_where_asked() -> None:
    project = make_project()
    alike, apart = make_comparisons(project, 2)
    lines = [
        said(alike, 0.5) | {"spread_1": 0.1, "spread_2": 0.2, "spread": 0.0},
        said(apart, 1.0) | {"spread_1": 0.3, "spread_2": 0.4, "spread": 1.0},
    ]
    reward_model = make_reward_model(project, settings={"ensemble": 4})
    by_doubt = make_scoring(reward_model)
    score_comparisons.take_in(by_doubt, lines)
    rows = RewardScore.objects.order_by("comparison")
    assert [row.priority_points for row in rows] == [100, 0]
    score_comparisons.take_in(make_scoring(reward_model, rank_by="spread"), lines)
    kept = [(r.spread_1, r.spread_2, r.spread, r.priority_points) for r in rows.all()]
    assert kept == [(0.1, 0.2, 0.0, 0), (0.3, 0.4, 1.0, 50)]
    score_comparisons.take_in(make_scoring(make_reward_model(project)), [said(alike, 0.5)])
    assert [row.spread for row in rows.all()] == [None, 1.0]  # one head has none


def test_one_head_has_no_spread_to_rank_by(tmp_path: Path) -> None:
    project = make_project()
    [comparison] = make_comparisons(project, 1)
    run = make_scoring(make_reward_model(project), rank_by="spread")
    with pytest.raises(ValueError, match="one head"):
        score_comparisons.ScoreComparisons().write_data(run, tmp_path)
    with pytest.raises(ValueError, match="one head"):
        score_comparisons.take_in(run, [said(comparison, 0.5)])
    assert not RewardScore.objects.exists()


def test_a_newer_run_replaces_an_older_one_and_never_the_other_way_round() -> None:
    project = make_project()
    [comparison] = make_comparisons(project, 1)
    older = make_scoring(make_reward_model(project))
    newer = make_scoring(make_reward_model(project))
    score_comparisons.take_in(older, [said(comparison, 0.5)])
    score_comparisons.take_in(newer, [said(comparison, 0.9)])
    comparison.refresh_from_db()
    assert (comparison.priority, comparison.reward_score.run) == (20, newer)
    assert score_comparisons.take_in(older, [said(comparison, 0.5)])["scored/comparisons"] == 0
    comparison.refresh_from_db()
    assert comparison.priority == 20


def test_a_project_without_comparisons_is_a_clear_failure(tmp_path: Path) -> None:
    run = make_scoring(make_reward_model(make_project()))
    with pytest.raises(ValueError, match="no comparisons to score"):
        score_comparisons.ScoreComparisons().write_data(run, tmp_path)


def test_one_click_scores_with_the_reward_model_as_it_was_trained() -> None:
    reward_model = make_reward_model(make_project(), preset="small-world", gpus=2)
    assert reward_model.run is not None
    run = requests.request_scoring(reward_model, reward_model.run.requested_by)
    assert (run.reward_model, run.preset, run.gpus) == (reward_model, "small-world", 2)
    assert run.options == {"comparisons": 2000, "decided": True}


def test_one_click_refuses_what_is_no_reward_model() -> None:
    policy = make_checkpoint(make_run())
    assert policy.run is not None
    with pytest.raises(requests.Refused, match="no reward model"):
        requests.request_scoring(policy, policy.run.requested_by)
