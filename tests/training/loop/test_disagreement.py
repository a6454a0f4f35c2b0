"""How often people and the reward model disagree: the figures, the examples, the pages."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.models import Comparison, Project
from tests.factories import judge, make_comparison, make_member, make_project
from tests.training.factories import make_checkpoint, make_run
from tests.training.loop.test_score_comparisons import make_decided, make_reward_model, make_scoring
from tests.training.test_views import logged_in
from training.loop import disagreement
from training.models import RewardScore, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(k=3)


@pytest.fixture
def scoring(project: Project) -> Run:
    return make_scoring(make_reward_model(project))


def score(run: Run, comparison: Comparison, probability_1: float, **fields: Any) -> RewardScore:
    return RewardScore.objects.create(
        run=run,
        comparison=comparison,
        probability_1=probability_1,
        reward_1=probability_1,
        reward_2=1 - probability_1,
        **fields,
    )


def test_the_share_is_of_decided_pairs_that_are_new_to_the_reward_model(
    project: Project, scoring: Run
) -> None:
    score(scoring, make_decided(project), 0.9)
    score(scoring, make_decided(project), 0.2)
    score(scoring, make_decided(project, preference=2), 0.1)
    score(scoring, make_decided(project), 0.1, trained_on=True)
    score(scoring, make_decided(project, gold_more_hallucinated="2"), 0.1)
    score(scoring, make_comparison(project), 0.5, priority_points=100)
    found = disagreement.headline(project)
    assert (found.fresh.part, found.fresh.whole) == (1, 3)
    assert (found.trained.part, found.trained.whole) == (1, 1)
    assert (found.waiting, found.moved, found.scored) == (1, 1, 5)


def test_buckets_hold_what_the_confidence_announces(project: Project, scoring: Run) -> None:
    for probability, margin in ((0.95, 1.0), (0.05, 0.4), (0.55, 0.6)):
        score(scoring, make_decided(project, margin=margin), probability)
    report = disagreement.report(project)
    first, last = report.by_confidence
    assert (first.name, first.disagree.part, first.disagree.whole) == ("50 to 60 %", 0, 1)
    assert first.expected == pytest.approx(0.45)
    assert (last.name, last.disagree.part, last.disagree.whole) == ("90 to 100 %", 1, 2)
    assert last.expected == pytest.approx(0.05)
    by_margin = {bucket.name: bucket.disagree.part for bucket in report.by_margin}
    assert by_margin == {"unanimous": 0, "clear majority": 0, "narrow majority": 1}
    assert report.newest == scoring


def test_thirds_of_the_spread_show_where_people_disagree(project: Project, scoring: Run) -> None:
    for spread, probability in ((0.1, 0.9), (0.2, 0.8), (0.3, 0.9), (0.5, 0.3), (1.5, 0.2)):
        score(scoring, make_decided(project), probability, spread=spread)
    score(scoring, make_decided(project), 0.1)  # of a reward model with one head
    buckets = disagreement.report(project).by_spread
    assert [(b.name, b.disagree.part, b.disagree.whole) for b in buckets] == [
        ("closest, 0.1 to 0.1", 0, 1),
        ("between, 0.2 to 0.3", 0, 2),
        ("widest, 0.5 to 1.5", 2, 2),
    ]


def test_the_page_shows_how_far_the_heads_are_apart(project: Project, scoring: Run) -> None:
    client = logged_in(make_member(project, "reviewer"))
    address = reverse("training:disagreement", args=[project.slug])
    score(scoring, make_decided(project), 0.1)
    assert "apart" not in client.get(address).content.decode()
    spreads = {"spread_1": 0.25, "spread_2": 0.5, "spread": 0.75}
    score(scoring, make_decided(project), 0.2, **spreads)
    page = client.get(address).content.decode()
    assert "its heads 0.75 apart" in page
    assert "±" in page
    assert "how far the reward model's heads are apart" in page


def test_examples_begin_with_the_surest_and_can_be_narrowed(project: Project, scoring: Run) -> None:
    mild = score(scoring, make_decided(project), 0.4)
    strong = score(scoring, make_decided(project, hallucination=False), 0.02)
    right = score(scoring, make_decided(project), 0.8)
    trained = score(scoring, make_decided(project), 0.1, trained_on=True)
    assert list(disagreement.examples(project)) == [strong, mild]
    assert list(disagreement.examples(project, decided_by="honesty")) == [mild]
    assert list(disagreement.examples(project, show="agree")) == [right]
    assert list(disagreement.examples(project, seen="trained")) == [trained]


def test_waiting_examples_show_their_votes(project: Project, scoring: Run) -> None:
    comparison = make_comparison(project)
    judge(comparison, "1")
    judge(comparison, "tie", "2")
    sure = score(scoring, comparison, 0.9, priority_points=100)
    other = score(scoring, make_comparison(project), 0.6, priority_points=80)
    assert list(disagreement.examples(project, show="waiting")) == [sure, other]
    [found] = disagreement.examples(project, show="contradicted")
    assert (found.votes_1, found.votes_2, found.votes_tie) == (0, 2, 0)


def test_the_page_shows_votes_rewards_and_facts(project: Project, scoring: Run) -> None:
    score(scoring, make_decided(project, response_1="A <b>red</b> mug."), 0.1)
    score(scoring, make_decided(project), 0.9)
    client = logged_in(make_member(project, "reviewer"))
    page = client.get(reverse("training:disagreement", args=[project.slug])).content.decode()
    for part in ("0.50", "A &lt;b&gt;red&lt;/b&gt; mug.", "people: better", "a red circle"):
        assert part in page
    assert "Facts shown to the reward model" in page
    assert "Score again" not in page


def test_a_reward_model_without_facts_is_not_said_to_have_seen_any(project: Project) -> None:
    reward_model = make_reward_model(project, settings={"with_facts": False})
    score(make_scoring(reward_model), make_decided(project), 0.1)
    client = logged_in(make_member(project, "reviewer"))
    page = client.get(reverse("training:disagreement", args=[project.slug])).content.decode()
    assert "is shown no facts" in page
    assert "Facts shown" not in page


def test_the_page_filters_by_what_it_offers_and_nothing_else(
    project: Project, scoring: Run
) -> None:
    score(scoring, make_decided(project, external_id="wrong-one"), 0.1)
    client = logged_in(make_member(project, "manager"))
    address = reverse("training:disagreement", args=[project.slug])
    assert "wrong-one" in client.get(address).content.decode()
    assert "No such comparison" in client.get(address, {"show": "agree"}).content.decode()
    odd = {"show": "nonsense", "run__requested_by__password__startswith": "a", "page": "x"}
    assert "wrong-one" in client.get(address, odd).content.decode()


def test_queries_of_the_page_do_not_grow_with_its_rows(
    project: Project, scoring: Run, django_assert_num_queries: Any
) -> None:
    client = logged_in(make_member(project, "manager"))
    address = reverse("training:disagreement", args=[project.slug])
    for probability in (0.1, 0.3):
        score(scoring, make_decided(project), probability)
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    for _ in range(5):
        score(scoring, make_decided(project), 0.1)
    with django_assert_num_queries(len(few)):
        client.get(address)


def test_nothing_scored_says_what_to_do_next(project: Project) -> None:
    client = logged_in(make_member(project, "manager"))
    address = reverse("training:disagreement", args=[project.slug])
    assert "Train a reward model" in client.get(address).content.decode()
    make_reward_model(project)
    assert "Score comparisons" in client.get(address).content.decode()


def test_one_click_on_the_project_asks_the_newest_models(project: Project) -> None:
    manager = make_member(project, "manager")
    older = make_checkpoint(make_run(project))
    newest = make_checkpoint(make_run(project, base=older.base))
    reward_model = make_reward_model(project)
    make_checkpoint(make_run(make_project()))
    client = logged_in(manager)
    for name, field, expected in (
        ("project-sample", "policy", newest),
        ("project-score", "reward_model", reward_model),
    ):
        client.post(reverse(f"training:{name}", args=[project.slug]))
        run = Run.objects.order_by("pk").last()
        assert run is not None
        assert (getattr(run, field), run.project) == (expected, project)
    card = client.get(reverse("training:loop", args=[project.slug])).content.decode()
    assert newest.name in card
    assert f"Pairs from {newest.name}" in card
    assert older.name not in card


def test_one_click_without_a_model_says_so(project: Project) -> None:
    client = logged_in(make_member(project, "manager"))
    address = reverse("training:project-sample", args=[project.slug])
    answer = client.post(address, follow=True)
    assert "has no policy yet" in answer.content.decode()
    assert not Run.objects.exists()


def test_reviewers_see_the_card_without_buttons(project: Project, scoring: Run) -> None:
    client = logged_in(make_member(project, "reviewer"))
    card = client.get(reverse("training:loop", args=[project.slug])).content.decode()
    assert scoring.reward_model is not None
    assert scoring.reward_model.name in card
    assert "<button" not in card
