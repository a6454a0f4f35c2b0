import pytest

from benchmark import evaluating, scoring
from benchmark.evaluating import Said
from benchmark.protocols.mmhal.rated import VALUES as FIGURES
from tests.benchmark.factories import make_evaluation, make_judge, make_question_set

pytestmark = pytest.mark.django_db


def test_summary_by_hand() -> None:
    evaluation = make_evaluation([6, 3, 0, 2, 5, 5, 4, 1])
    summary = evaluation.summary
    assert evaluation.state == "complete"
    assert summary["score"]["value"] == 3.25  # 26 / 8
    assert summary["hallucination_rate"]["value"] == 0.375  # 0, 2 and 1 of 8
    # 3 + 0 + 0 + 2 + 2 + 2 + 1 + 1 = 11 of 8 * 3.
    assert summary["informativeness"]["value"] == pytest.approx(100 * 11 / 24)
    assert summary["by_type"]["adversarial"]["score"]["value"] == 3
    other = summary["by_type"]["other"]
    assert (other["count"], other["score"]["value"], other["hallucination_rate"]["value"]) == (
        1,
        1,
        1,
    )
    assert (summary["asked"], summary["total"], summary["unparsed"]) == (8, 8, 0)
    assert (summary["calls"], summary["tokens"]) == (8, 80)


def test_intervals_hold_the_figure_and_are_the_same_again() -> None:
    evaluation = make_evaluation([6, 3, 0, 2, 5, 5, 4, 1])
    for name in FIGURES:
        figure = evaluation.summary[name]
        assert figure["low"] < figure["value"] < figure["high"]
    assert scoring.summarise(evaluation) == evaluation.summary


def test_an_unparsed_verdict_leaves_no_headline_but_the_settled_types() -> None:
    evaluation = make_evaluation([6, None, 0, 2])
    assert evaluation.state == "incomplete"
    assert evaluation.summary["unparsed"] == 1
    assert all(evaluation.summary[name] is None for name in FIGURES)
    assert evaluation.summary["by_type"]["adversarial"]["score"] is None
    assert evaluation.summary["by_type"]["attribute"]["score"]["value"] == 6


def test_an_unparsed_verdict_leaves_bounds() -> None:
    """6, 0, 2 and something from 0 to 6."""
    bounds = make_evaluation([6, None, 0, 2]).summary["bounds"]
    assert bounds["score"] == {"low": 2, "high": 3.5}
    assert bounds["hallucination_rate"] == {"low": 0.5, "high": 0.75}
    other = make_question_set(count=2, name="other", version="b" * 64)
    nothing = make_evaluation([None, None], question_set=other)
    assert "bounds" not in nothing.summary


def test_questions_that_were_not_asked_are_counted() -> None:
    question_set = make_question_set(count=8)
    summary = make_evaluation([6, 3, 3], question_set=question_set).summary
    assert (summary["asked"], summary["total"]) == (3, 8)


def test_answers_that_hit_the_limit_are_counted() -> None:
    question_set = make_question_set(count=2)
    evaluation = evaluating.start(
        question_set=question_set, judge=make_judge(), model_name="cut short"
    )
    first, second = question_set.questions.all()
    evaluating.store_answers(evaluation, {first: Said("a", finished=False), second: Said("b")})
    assert scoring.summarise(evaluation)["unfinished_answers"] == 1


# --- Two evaluations ------------------------------------------------------------------------


def test_compare_is_paired_and_by_hand() -> None:
    question_set = make_question_set(count=4)
    first = make_evaluation([1, 1, 1, 3], question_set=question_set, model_name="first")
    second = make_evaluation([4, 4, 4, 3], question_set=question_set, model_name="second")
    result = scoring.compare(first, second)
    assert result["count"] == 4
    assert result["score"]["first"] == first.summary["score"]
    assert result["score"]["second"]["value"] == 3.75
    assert result["score"]["difference"] == 2.25
    assert result["score"]["p_value"] == 0.25  # 2 of the 8 sign patterns of three differences.
    assert result["score"]["shown"] is False
    assert result["hallucination_rate"]["difference"] == -0.75


def test_compare_leaves_out_what_one_has_no_rating_for() -> None:
    question_set = make_question_set(count=3)
    first = make_evaluation([1, None, 5], question_set=question_set, model_name="first")
    second = make_evaluation([3, 6], question_set=question_set, model_name="second")
    result = scoring.compare(first, second)
    assert result["count"] == 1
    assert result["score"]["difference"] == 2
    assert result["score"]["first"]["value"] == 1  # not of all that it has


def test_compare_gives_each_side_its_interval_over_the_shared_questions() -> None:
    question_set = make_question_set(count=4)
    first = make_evaluation([0, 6, 0, 6], question_set=question_set, model_name="first")
    second = make_evaluation([0, 6], question_set=question_set, model_name="second")
    result = scoring.compare(first, second)
    # Both shared questions drawn twice are each one resample in four.
    assert result["score"]["first"]["value"] == 3
    assert result["score"]["second"] == second.summary["score"]


def test_other_judges_wordings_and_versions_are_never_compared() -> None:
    question_set = make_question_set(count=2)
    base = make_evaluation([1, 2], question_set=question_set, judge=make_judge("one"))
    other_judge = make_evaluation([1, 2], question_set=question_set, judge=make_judge("two"))
    other_version = make_evaluation(
        [1, 2],
        question_set=make_question_set(count=2, name="newer", version="b" * 64),
        judge=base.judge,
    )
    other_wording = make_evaluation([1, 2], question_set=question_set, judge=base.judge)
    other_wording.prompt_hash = "c" * 64
    for other in (other_judge, other_version, other_wording):
        assert not scoring.comparable(base, other)
        with pytest.raises(ValueError, match="cannot be compared"):
            scoring.compare(base, other)


def test_nothing_shared_is_said() -> None:
    question_set = make_question_set(count=2)
    first = make_evaluation([None, 5], question_set=question_set, model_name="first")
    second = make_evaluation([3], question_set=question_set, model_name="second")
    with pytest.raises(ValueError, match="share no question"):
        scoring.compare(first, second)
