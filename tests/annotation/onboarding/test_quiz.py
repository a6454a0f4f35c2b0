"""The entry quiz: who must take it, what passing needs, and that it leaves no trace in the data."""

from __future__ import annotations

import pytest

from annotation import gold_and_repeats, queue
from annotation.leases import NotHandedOut, claim
from annotation.models import Assignment, Comparison, Judgment, Membership, Project, User
from annotation.onboarding import quiz, quiz_desk
from annotation.queue import Answer, submit
from tests import factories

pytestmark = pytest.mark.django_db


def make_questions(project: Project, count: int, answer: str = "1") -> list[Comparison]:
    made = factories.make_comparisons(project, count)
    for comparison in made:
        gold_and_repeats.make_gold(
            comparison, more_hallucinated=answer, explanation="Look at the circle."
        )
    quiz.choose(project, [one.pk for one in made])
    return made


@pytest.fixture
def project() -> Project:
    """With four questions, three of which must be right, two attempts, and work."""
    project = factories.make_project(quiz_pass_mark=0.75, quiz_attempts=2)
    make_questions(project, 4)
    factories.make_comparisons(project, 3)
    return project


@pytest.fixture
def newcomer(project: Project) -> User:
    return factories.make_member(project)


def take(project: Project, person: User, wrong: int) -> bool | None:
    """A whole attempt with so many wrong answers; whether it was passed."""
    attempt = quiz.begin(project, person)
    for number in range(attempt.answers.count()):
        question = quiz.next_question(attempt)
        assert question is not None
        quiz.answer(question, "2" if number < wrong else question.known)
    attempt.refresh_from_db()
    return attempt.passed


def test_newcomers_get_no_work_before_the_quiz(project: Project, newcomer: User) -> None:
    with pytest.raises(quiz.QuizFirst) as refused:
        claim(project, newcomer)
    assert refused.value.extra["questions"] == 4
    assert refused.value.extra["needed"] == 3
    assert refused.value.extra["attempts_left"] == 2
    assert not Assignment.objects.exists()


def test_passing_opens_the_work_and_leaves_no_judgment(project: Project, newcomer: User) -> None:
    assert take(project, newcomer, wrong=1)
    assignment = claim(project, newcomer)
    assert assignment is not None
    assert not assignment.comparison.is_gold
    assert Assignment.objects.count() == 1
    assert not Judgment.objects.exists()
    assert set(project.comparisons.values_list("judgment_count", flat=True)) == {0}


def test_failing_leaves_one_more_attempt_and_then_none(project: Project, newcomer: User) -> None:
    assert take(project, newcomer, wrong=2) is False
    standing = quiz.standing_of(project, newcomer)
    assert standing is not None
    assert standing.attempts_left == 1
    assert take(project, newcomer, wrong=4) is False
    with pytest.raises(quiz.QuizFirst, match="no attempt left"):
        claim(project, newcomer)
    with pytest.raises(quiz.NoQuiz, match="no attempt left"):
        quiz.begin(project, newcomer)


def test_a_manager_lets_somebody_in_by_hand(project: Project, newcomer: User) -> None:
    manager = factories.make_member(project, "manager")
    membership = Membership.objects.get(user=newcomer)
    quiz_desk.admit(membership, manager)
    assert claim(project, newcomer) is not None
    membership.refresh_from_db()
    assert membership.quiz_admitted_by == manager


def test_letting_in_does_not_rewrite_a_pass(project: Project, newcomer: User) -> None:
    take(project, newcomer, wrong=0)
    membership = Membership.objects.get(user=newcomer)
    quiz_desk.admit(membership, factories.make_member(project, "manager"))
    membership.refresh_from_db()
    assert membership.quiz_admitted_by is None


def test_one_more_attempt_is_granted_to_who_has_none_left(project: Project, newcomer: User) -> None:
    manager = factories.make_member(project, "manager")
    membership = Membership.objects.get(user=newcomer)
    for wrong in (4, 3):
        with pytest.raises(quiz_desk.NothingToGrant, match="has an attempt left"):
            quiz_desk.grant(membership, manager)
        take(project, newcomer, wrong=wrong)
    assert quiz_desk.result_of(membership).state == quiz_desk.State.NO_ATTEMPT_LEFT
    granted = quiz_desk.grant(membership, manager)
    assert (granted.granted_by, granted.granted_at is not None) == (manager, True)
    with pytest.raises(quiz_desk.NothingToGrant, match="has an attempt left"):
        quiz_desk.grant(membership, manager)
    quiz.begin(project, newcomer)
    with pytest.raises(quiz_desk.NothingToGrant, match="has an attempt left"):
        quiz_desk.grant(membership, manager)
    assert take(project, newcomer, wrong=1)
    assert quiz_desk.result_of(membership).state == quiz_desk.State.PASSED
    assert claim(project, newcomer) is not None
    with pytest.raises(quiz_desk.NothingToGrant, match="needs no attempt"):
        quiz_desk.grant(membership, manager)
    assert membership.quiz_grants.count() == 1


@pytest.mark.parametrize("role", ["reviewer", "manager"])
def test_the_quiz_is_for_annotators(project: Project, role: str) -> None:
    assert claim(project, factories.make_member(project, role)) is not None


def test_whoever_worked_before_the_quiz_is_no_newcomer() -> None:
    project = factories.make_project()
    factories.make_comparisons(project, 2)
    old = factories.make_member(project)
    assignment = claim(project, old)
    assert assignment is not None
    submit(old, assignment.token, Answer(more_hallucinated="1"), client_uuid=assignment.token)
    make_questions(project, 2)
    Project.objects.update(quiz_pass_mark=0.5)
    assert claim(project, old) is not None
    with pytest.raises(quiz.QuizFirst):
        claim(project, factories.make_member(project))


@pytest.mark.parametrize("change", ["no pass mark", "no questions", "gold withdrawn"])
def test_without_questions_or_pass_mark_there_is_no_quiz(
    project: Project, newcomer: User, change: str
) -> None:
    if change == "no pass mark":
        Project.objects.update(quiz_pass_mark=0)
    elif change == "no questions":
        quiz.choose(project, [])
    else:
        for comparison in quiz.questions(project):
            gold_and_repeats.withdraw_gold(comparison)
    assert claim(project, newcomer) is not None


def test_an_attempt_asks_each_question_once_in_its_own_order(
    project: Project, newcomer: User
) -> None:
    attempt = quiz.begin(project, newcomer)
    assert quiz.begin(project, newcomer) == attempt
    asked = list(attempt.answers.values_list("comparison", flat=True))
    assert sorted(asked) == [one.pk for one in quiz.questions(project)]
    orders = set()
    for _ in range(12):
        other = quiz.begin(project, factories.make_member(project))
        orders.add(tuple(other.answers.values_list("comparison", "shown_first")))
    assert len(orders) > 1


def test_an_answer_is_given_once(project: Project, newcomer: User) -> None:
    question = quiz.next_question(quiz.begin(project, newcomer))
    assert question is not None
    first = quiz.answer(question, "2")
    again = quiz.answer(question, "2")
    assert (again.answered_at, again.right) == (first.answered_at, False)
    with pytest.raises(quiz.AnsweredAlready):
        quiz.answer(question, "1")


def test_questions_are_gold_and_answerable(project: Project) -> None:
    plain = factories.make_comparison(project)
    with pytest.raises(quiz.NotAQuestion):
        quiz.choose(project, [plain.pk])
    foreign = make_questions(factories.make_project(), 1)
    with pytest.raises(quiz.NotAQuestion):
        quiz.choose(project, [foreign[0].pk])
    project.allow_tie = False
    gold_and_repeats.make_gold(plain, more_hallucinated="tie")
    with pytest.raises(quiz.NotAQuestion):
        quiz.choose(project, [plain.pk])
    assert quiz.questions(project).count() == 4


def test_questions_are_not_mixed_into_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    project = factories.make_project(gold_rate=0.5, quiz_pass_mark=0.5)
    make_questions(project, 3)
    [hidden] = factories.make_comparisons(project, 1)
    gold_and_repeats.make_gold(hidden, more_hallucinated="1")
    monkeypatch.setattr(gold_and_repeats.random, "random", lambda: 0.0)
    factories.make_comparisons(project, 2)
    reviewer = factories.make_member(project, "reviewer")
    first = queue.claim(project, reviewer)
    second = queue.claim(project, reviewer, ahead_of=[first.token] if first else [])
    assert first and second
    assert (first.comparison, first.purpose, second.purpose) == (hidden, "gold", "work")


@pytest.mark.parametrize(
    ("number", "mark", "enough"),
    [(10, 0.7, 7), (10, 0.75, 8), (3, 1.0, 3), (3, 0.34, 2), (5, 0.2, 1)],
)
def test_needed_answers_round_up(number: int, mark: float, enough: int) -> None:
    assert quiz.needed(number, mark) == enough


def test_results_tell_attempts_and_difficulty(project: Project, newcomer: User) -> None:
    take(project, newcomer, wrong=2)
    quiz.begin(project, newcomer)
    [result] = quiz_desk.results(project)
    assert result.attempts == [(2, 4, False), (0, 4, None)]
    assert (result.worked_before, result.attempts_left) == (False, 0)
    assert (result.state, result.waits) == (quiz_desk.State.UNDER_WAY, True)
    assert sum(right for right, _ in quiz_desk.difficulty(project).values()) == 2
    assert {number for _, number in quiz_desk.difficulty(project).values()} == {1}


def test_a_paused_newcomer_is_told_of_the_pause(project: Project, newcomer: User) -> None:
    Membership.objects.update(paused=True)
    with pytest.raises(NotHandedOut, match="paused"):
        claim(project, newcomer)
