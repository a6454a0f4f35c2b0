"""Guidelines and worked examples keep their versions."""

from __future__ import annotations

from typing import Any

import pytest

from annotation import exporting, gold_and_repeats, leases
from annotation.answers import InvalidAnswer
from annotation.models import Comparison, Project, User, WorkedExample
from annotation.onboarding import guidelines, quiz
from annotation.releases import freezing
from tests import factories

pytestmark = pytest.mark.django_db
SPAN = {"response": 2, "start": 11, "end": 21, "kind": "object"}


@pytest.fixture
def project() -> Project:
    return factories.make_project(guidelines="Look.")


@pytest.fixture
def manager(project: Project) -> User:
    return factories.make_member(project, "manager")


def draft(comparison: Comparison, manager: User, **fields: Any) -> WorkedExample:
    fields = {"more_hallucinated": "2", "why": "No star is shown.", "spans": [SPAN], **fields}
    return guidelines.draft(comparison, manager, **fields)


def shown(project: Project, version: int | None = None) -> list[Comparison]:
    found = guidelines.at(project, version)
    assert found is not None
    return [one.comparison for one in found.examples]


def test_examples_are_seen_once_published(project: Project, manager: User) -> None:
    first, second = factories.make_comparisons(project, 2)
    draft(first, manager)
    draft(second, manager)
    assert shown(project) == []
    assert guidelines.publish(project) == 2
    assert shown(project) == [first, second]
    assert shown(project, 1) == []


def test_a_removed_example_stays_in_the_versions_that_had_it(
    project: Project, manager: User
) -> None:
    comparison = factories.make_comparison(project)
    example = draft(comparison, manager)
    guidelines.publish(project)
    guidelines.remove(example)
    assert shown(project) == [comparison]
    guidelines.publish(project)
    assert shown(project) == []
    assert shown(project, 2) == [comparison]


def test_a_draft_is_dropped_at_once(project: Project, manager: User) -> None:
    guidelines.remove(draft(factories.make_comparison(project), manager))
    assert not WorkedExample.objects.exists()
    with pytest.raises(guidelines.NothingToPublish):
        guidelines.publish(project)
    assert Project.objects.get().guidelines_version == 1


def test_earlier_texts_are_kept(project: Project, manager: User) -> None:
    project.change_guidelines("Look twice.")
    draft(factories.make_comparison(project), manager)
    guidelines.publish(project)
    versions = [guidelines.at(project, number) for number in (1, 2, 3)]
    assert [one.text for one in versions if one] == ["Look.", "Look twice.", "Look twice."]
    assert guidelines.at(project, 4) is None


def test_an_example_can_be_written_anew(project: Project, manager: User) -> None:
    comparison = factories.make_comparison(project)
    example = draft(comparison, manager)
    guidelines.publish(project)
    with pytest.raises(guidelines.ExampleAlready):
        draft(comparison, manager, why="Better words.")
    guidelines.remove(example)
    draft(comparison, manager, why="Better words.")
    guidelines.publish(project)
    found = guidelines.at(project)
    assert found is not None
    assert [one.why for one in found.examples] == ["Better words."]


def test_an_example_is_no_work_and_in_no_release(project: Project, manager: User) -> None:
    comparison = factories.make_comparison(project)
    project.judgments_per_comparison = 1
    draft(comparison, manager)
    comparison.refresh_from_db()
    assert comparison.is_gold
    assert leases.claim(project, factories.make_member(project)) is None
    with pytest.raises(freezing.NothingToRelease):
        exporting.make_release(project)


def test_an_example_measures_nobody(
    project: Project, manager: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.gold_rate = 0.5
    monkeypatch.setattr(gold_and_repeats.random, "random", lambda: 0.0)
    draft(factories.make_comparison(project), manager)
    factories.make_comparison(project)
    lease = leases.claim(project, factories.make_member(project))
    assert lease is not None
    assert lease.purpose == "work"


def test_an_example_stays_gold_while_it_is_shown(project: Project, manager: User) -> None:
    comparison = factories.make_comparison(project)
    draft(comparison, manager)
    with pytest.raises(gold_and_repeats.NotGold, match="guidelines"):
        gold_and_repeats.withdraw_gold(comparison)


def test_a_question_of_the_quiz_is_not_given_away(project: Project, manager: User) -> None:
    comparison = factories.make_comparison(project)
    gold_and_repeats.make_gold(comparison, more_hallucinated="2")
    quiz.choose(project, [comparison.pk])
    with pytest.raises(guidelines.ExampleAlready, match="quiz"):
        draft(comparison, manager)
    other = factories.make_comparison(project)
    draft(other, manager)
    with pytest.raises(quiz.NotAQuestion):
        quiz.choose(project, [other.pk])


def test_a_known_answer_and_its_explanation_are_kept(project: Project, manager: User) -> None:
    comparison = factories.make_comparison(project)
    gold_and_repeats.make_gold(comparison, more_hallucinated="2", explanation="Known before.")
    draft(comparison, manager)
    comparison.refresh_from_db()
    assert comparison.gold_explanation == "Known before."


@pytest.mark.parametrize("span", [{**SPAN, "end": 999}, {**SPAN, "kind": "spelling"}])
def test_marks_outside_the_text_are_refused(
    project: Project, manager: User, span: dict[str, Any]
) -> None:
    with pytest.raises(InvalidAnswer):
        draft(factories.make_comparison(project), manager, spans=[span])
    assert not WorkedExample.objects.exists()
