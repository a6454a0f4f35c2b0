import json

import pytest

from benchmark import protocols
from benchmark.board import leaderboard
from benchmark.models import Evaluation
from benchmark.protocols import mmhal
from benchmark.protocols.figure_display import Table
from benchmark.protocols.llava_bench.published import PAPER as LLAVA_BENCH
from benchmark.protocols.mmhal.published import PAPER
from benchmark.protocols.pope.published import PAPER as POPE
from tests.benchmark.factories import make_evaluation, make_judge, make_question_set
from tests.shared import shared_data

TABLES = [table for one in protocols.TABLE.values() for table in one.published]


def groups() -> list[leaderboard.Group]:
    return leaderboard.groups(Evaluation.objects.all())


@pytest.mark.django_db
def test_the_best_score_comes_first() -> None:
    question_set = make_question_set(count=2)
    for name, ratings in (("middle", [3, 3]), ("best", [6, 5]), ("worst", [0, 1])):
        make_evaluation(ratings, question_set=question_set, model_name=name)
    (group,) = groups()
    assert [row.model_name for row in group.rows] == ["best", "middle", "worst"]
    assert (group.asked, group.total) == (2, 2)


@pytest.mark.django_db
def test_of_each_model_only_the_newest_counts() -> None:
    question_set = make_question_set(count=2)
    make_evaluation([6, 6], question_set=question_set)
    newest = make_evaluation([1, 1], question_set=question_set)
    (group,) = groups()
    assert group.rows == [newest]


@pytest.mark.django_db
def test_greedy_and_sampled_answers_are_two_rows() -> None:
    question_set = make_question_set(count=2)
    for temperature in (0, 1):
        make_evaluation([1, 1], question_set=question_set, sampling={"temperature": temperature})
    (group,) = groups()
    assert len(group.rows) == 2


@pytest.mark.django_db
def test_nothing_without_a_score_is_ranked() -> None:
    make_evaluation([6, None])
    assert groups() == []


@pytest.mark.django_db
@pytest.mark.parametrize("what", ["judge", "version", "wording", "questions"])
def test_what_differs_is_never_ranked_together(what: str) -> None:
    question_set = make_question_set(count=3)
    one = make_evaluation([3, 3], question_set=question_set, judge=make_judge("one"))
    judge = make_judge("two") if what == "judge" else one.judge
    if what == "version":
        question_set = make_question_set(count=3, name="newer", version="b" * 64)
    ratings = [3, 3, 3] if what == "questions" else [3, 3]
    two = make_evaluation(ratings, question_set=question_set, judge=judge, model_name="other")
    if what == "wording":
        Evaluation.objects.filter(pk=two.pk).update(prompt_hash="c" * 64)
    assert [len(group.rows) for group in groups()] == [1, 1]
    assert len({group.id for group in groups()}) == 2


@pytest.mark.django_db
def test_the_chart_shows_at_most_six_models_over_the_eight_types() -> None:
    question_set = make_question_set(count=8)
    for number in range(7):
        make_evaluation(
            [min(number, 6)] * 8, question_set=question_set, model_name=f"model {number}"
        )
    (group,) = groups()
    assert group.chart["categories"] == list(mmhal.TYPES)
    assert [series["name"] for series in group.chart["series"]] == [
        *("model 6", "model 5", "model 4"),
        *("model 3", "model 2", "model 1"),
    ]
    assert [row.model_name for row in group.undrawn] == ["model 0"]
    first = group.chart["series"][0]
    assert first["values"] == first["high"] == [6.0] * 8
    assert max(first["low"]) < 6, "one answer of a kind says little"


@pytest.mark.django_db
def test_a_chart_of_an_evaluation_without_figures_is_empty() -> None:
    evaluation = make_evaluation([1, 1])
    evaluation.summary = {}
    assert leaderboard.chart_of([evaluation])["categories"] == []


def test_published_rows_are_those_of_the_paper() -> None:
    table = json.loads(shared_data("published_scores.json").read_text())["mmhal_bench"]
    assert table["columns"][2:] == list(mmhal.TYPES)
    ours = {model: [score, rate / 100, *types] for model, (score, rate, *types) in PAPER.rows}
    assert ours == table["rows"]


@pytest.mark.parametrize(
    ("table", "name"), [(LLAVA_BENCH, "llava_bench_coco"), (POPE, "pope")], ids=["llava", "pope"]
)
def test_further_published_tables_are_those_of_the_paper(table: Table, name: str) -> None:
    printed = json.loads(shared_data("published_scores.json").read_text())[name]
    assert len(table.columns) == len(printed["columns"])
    assert {model: list(figures) for model, figures in table.rows} == printed["rows"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.id)
def test_published_tables_say_where_they_were_printed(table: Table) -> None:
    assert table.terms
    assert all(address.startswith("https://") for _, address in table.sources)
    assert table.sources
    assert {len(figures) for _, figures in table.rows} == {len(table.columns)}


def test_published_means_of_pope_are_those_of_its_splits() -> None:
    """Up to rounding, and one row that is printed 0.17 off."""
    for model, figures in POPE.rows:
        random, popular, adversarial, overall = figures[1], figures[4], figures[7], figures[9]
        assert (random + popular + adversarial) / 3 == pytest.approx(overall, abs=0.2), model


def test_published_types_add_up_to_the_published_scores() -> None:
    """The eight types have twelve questions each, so their mean is the score, up to rounding."""
    for model, (score, _, *types) in PAPER.rows:
        assert sum(types) / 8 == pytest.approx(score, abs=0.011), model
