"""A participant's way from the link to the code, and what stands in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation import gold_and_repeats, leases
from annotation.crowd import sessions, studies
from annotation.crowd.views import ARRIVALS_OF_AN_ADDRESS
from annotation.models import Membership, Participant, Project, Study, User
from annotation.onboarding import guidelines, joining, quiz
from config import rate_limits
from tests import factories
from tests.annotation.crowd.conftest import address, answer, arrive, participant


def finished(project: Project) -> str:
    return reverse("annotation:study-finished", args=[project.slug])


def label(project: Project) -> str:
    return reverse("annotation:label", args=[project.slug])


def test_the_link_alone_makes_nobody(study: Study) -> None:
    """What looks at links (a mail scanner, a preview) takes no place."""
    answer = Client().get(address(study))
    assert answer.status_code == 200
    assert "2 comparisons" in answer.content.decode()
    assert not Participant.objects.exists()


@pytest.mark.parametrize(
    ("state", "said"), [("closed", "ended"), ("archived", "ended"), ("paused", "come back later")]
)
def test_a_project_that_hands_nothing_out_takes_nobody_new(
    project: Project, study: Study, state: str, said: str
) -> None:
    """Who began would be paid for a place at which no work is handed out."""
    Project.objects.filter(pk=project.pk).update(state=state)
    with pytest.raises(sessions.StudyClosed, match=said):
        sessions.begin(study, sessions.Visit(participant="p1", session="s1"))
    assert not Participant.objects.exists()


def test_beginning_makes_an_annotator_without_a_password(project: Project, study: Study) -> None:
    client = arrive(study)
    who = participant()
    assert (who.platform_study, who.session, who.study) == ("st", "s1", study)
    assert not who.user.has_usable_password()
    assert "p1" not in who.user.username
    assert Membership.objects.get(user=who.user).role == "annotator"
    page = client.get(label(project))
    assert page.status_code == 200
    assert "data-task" in page.content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "",
        "PROLIFIC_PID=p1",
        "PROLIFIC_PID=&SESSION_ID=s1",
        "PROLIFIC_PID={{%25PROLIFIC_PID%25}}&SESSION_ID=s1",
        f"PROLIFIC_PID={'p' * 201}&SESSION_ID=s1",
        "PROLIFIC_PID=p%0A1&SESSION_ID=s1",
    ],
)
def test_an_address_without_ids_is_refused_in_words(study: Any, query: str) -> None:
    path = reverse("annotation:study-begin", args=[study.raw])
    for method in ("get", "post"):
        refused = getattr(Client(), method)(f"{path}?{query}")
        assert refused.status_code == 422
        assert "open the study from its platform" in refused.content.decode()
    assert not Participant.objects.exists()


def test_parameters_have_the_names_of_the_platform_or_ones_own(project: Project) -> None:
    mturk, _ = factories.make_study(project, platform="mturk")
    who = sessions.visit(mturk, {"workerId": "w", "hitId": "h", "assignmentId": "a"})
    assert who == sessions.Visit(participant="w", study="h", session="a")
    with pytest.raises(sessions.NotByThisLink, match="accept the task"):
        sessions.visit(
            mturk, {"workerId": "w", "hitId": "h", "assignmentId": "ASSIGNMENT_ID_NOT_AVAILABLE"}
        )
    own, _ = factories.make_study(project, platform="other", participant_parameter="who")
    found = sessions.visit(own, {"who": "w", "session": "a"})
    assert found == sessions.Visit(participant="w", session="a")


def test_an_unfinished_session_is_resumed_in_any_browser(project: Project, study: Study) -> None:
    arrive(study)
    answer(project, participant().user)
    again = arrive(study)
    assert "<strong>1</strong> of 2 answered" in again.get(label(project)).content.decode()
    assert Participant.objects.count() == 1


def test_without_sessions_of_the_platform_only_ones_own_browser_leads_back(
    project: Project,
) -> None:
    """Ids of participants are known to others: in lists, in addresses, on the platform."""
    _, raw = factories.make_study(
        project, platform="other", participant_parameter="who", session_parameter=""
    )
    path = f"{reverse('annotation:study-begin', args=[raw])}?who=p1"
    mine, stranger = Client(), Client()
    assert mine.post(path).status_code == 302
    refused = stranger.post(path)
    assert refused.status_code == 409
    assert "in which you began" in " ".join(refused.content.decode().split())
    assert "_auth_user_id" not in stranger.session
    assert mine.post(path).status_code == 302
    assert mine.get(label(project)).status_code == 200


@pytest.mark.parametrize("answers", [0, 2])
def test_a_second_session_is_refused(project: Project, study: Study, answers: int) -> None:
    arrive(study)
    for _ in range(answers):
        answer(project, participant().user)
    refused = Client().post(address(study, session="s2"))
    assert refused.status_code == 409
    assert "Everybody takes part once" in refused.content.decode()
    assert Participant.objects.count() == User.objects.filter(is_participant=True).count() == 1


def test_another_study_of_the_project_takes_nobody_twice(project: Project, study: Study) -> None:
    """They would judge a comparison as two people."""
    arrive(study)
    other: Any
    other, raw = factories.make_study(project)
    other.raw = raw
    assert Client().post(address(other)).status_code == 409


def test_work_ends_with_the_number_and_the_code_follows(project: Project, study: Study) -> None:
    client, who = arrive(study), participant().user
    answer(project, who)
    page = client.get(finished(project)).content.decode()
    assert "1 of 2 answered" in page
    assert "DONE" not in page
    answer(project, who)
    assert leases.claim(project, who) is None
    assert client.get(label(project))["Location"] == finished(project)
    assert "DONE" in client.get(finished(project)).content.decode()
    ended = participant().finished_at
    assert ended is not None
    # The same session may look at its code again.
    assert client.post(address(study))["Location"] == finished(project)
    assert participant().finished_at == ended


def test_no_more_is_leased_than_may_be_answered(project: Project, study: Study) -> None:
    """A page loads ahead: leases beyond the number would be answers nobody asked for."""
    arrive(study)
    who = participant().user
    first = leases.claim(project, who)
    assert first is not None
    second = leases.claim(project, who, ahead_of=[first.token])
    assert second is not None
    assert leases.claim(project, who, ahead_of=[first.token, second.token]) is None


def test_gold_and_repeats_count_as_any_answer(project: Project, study: Study) -> None:
    project.gold_rate = 0.5
    project.save()
    gold = factories.make_comparison(project)
    gold_and_repeats.make_gold(gold, more_hallucinated="1")
    arrive(study)
    who = participant().user
    for _ in range(2):
        answer(project, who)
    assert sessions.standing(participant()).is_over


def test_where_no_work_is_left_one_may_end_and_is_paid(db: None) -> None:
    project = factories.make_project(k=1)
    factories.make_comparison(project)
    study: Any
    study, raw = factories.make_study(project, answers=5)
    study.raw = raw
    client = arrive(study)
    assert "0 of 5" in client.post(finished(project)).content.decode()
    answer(project, participant().user)
    page = client.get(label(project)).content.decode()
    assert "Finish with the 1 that I have answered" in page
    done = client.post(finished(project)).content.decode()
    assert "DONE" in done
    assert "no more are left for you" in done
    factories.make_comparison(project)
    assert leases.claim(project, participant().user) is None


def test_guidelines_come_before_work_and_the_quiz(project: Project, study: Study) -> None:
    project.change_guidelines("Count the **stars**.")
    client = arrive(study)
    who = participant().user
    page = client.get(label(project)).content.decode()
    assert "Please read this before you begin" in page
    assert "data-task" not in page
    with pytest.raises(sessions.GuidelinesFirst):
        leases.claim(project, who)
    client.post(reverse("annotation:acknowledge", args=[project.slug]), {"version": 2})
    assert "data-task" in client.get(label(project)).content.decode()


def test_who_fails_the_quiz_is_told_how_to_leave(project: Project) -> None:
    gold = factories.make_comparison(project)
    gold_and_repeats.make_gold(gold, more_hallucinated="1")
    quiz.choose(project, [gold.pk])
    project.quiz_pass_mark, project.quiz_attempts = 1, 1
    project.save()
    study: Any
    study, raw = factories.make_study(project, failed_code="OUT7")
    study.raw = raw
    client = arrive(study)
    who = participant().user
    assert "First a short quiz" in client.get(label(project)).content.decode()
    attempt = quiz.begin(project, who)
    question = quiz.next_question(attempt)
    assert question is not None
    quiz.answer(question, "2")
    page = client.get(label(project)).content.decode()
    assert "OUT7" in page
    with pytest.raises(quiz.QuizFirst):
        leases.claim(project, who)


def test_a_full_study_takes_nobody_until_a_place_is_free(project: Project, study: Study) -> None:
    for name in ("p1", "p2", "p3"):
        arrive(study, name)
    assert Client().post(address(study, "p4")).status_code == 410
    arrive(study, "p2")  # who is at it goes on
    away = timezone.now() - timedelta(hours=study.session_hours, seconds=1)
    Participant.objects.filter(external_id="p1").update(seen_at=away)
    arrive(study, "p4")
    refused = Client().post(address(study, "p1"))
    assert refused.status_code == 410
    assert "is full" in refused.content.decode()


def test_an_ended_study_takes_nobody_new_and_lets_others_go_on(
    project: Project, study: Study
) -> None:
    client = arrive(study)
    studies.end(study)
    assert Client().post(address(study, "p2")).status_code == 410
    assert "data-task" in client.get(label(project)).content.decode()
    studies.reopen(study)
    arrive(study, "p2")


def test_a_link_opens_nothing_once_replaced_or_withdrawn(study: Any) -> None:
    old = address(study)
    study.raw = studies.renew_link(study, factories.make_admin())
    assert Client().get(old).status_code == 410
    assert Client().get(address(study)).status_code == 200
    studies.withdraw_link(study)
    assert Client().post(address(study)).status_code == 410
    assert not Participant.objects.exists()


def test_a_link_is_worth_no_more_than_its_maker(project: Project) -> None:
    manager = factories.make_member(project, "manager")
    factories.make_member(project, "manager")
    study: Any
    study, raw = factories.make_study(project, maker=manager)
    study.raw = raw
    assert Client().get(address(study)).status_code == 200
    joining.change_role(project.memberships.get(user=manager), "reviewer")
    assert Client().get(address(study)).status_code == 410


def test_people_with_a_log_in_are_not_made_participants(study: Study) -> None:
    client = Client()
    person = factories.make_user()
    client.force_login(person)
    for method in ("get", "post"):
        refused = getattr(client, method)(address(study))
        assert refused.status_code == 409
        assert person.username in refused.content.decode()
    assert client.get(reverse("annotation:projects")).status_code == 200
    assert not Participant.objects.exists()


def test_another_participant_in_the_same_browser_is_another_session(
    project: Project, study: Study
) -> None:
    client = arrive(study, "p1")
    client.post(address(study, "p2"))
    assert client.session["_auth_user_id"] == str(participant("p2").user_id)


def test_arrivals_from_one_address_are_bounded(study: Study) -> None:
    Study.objects.update(places=1000)
    answers = [
        Client().post(address(study, f"p{number}")).status_code
        for number in range(ARRIVALS_OF_AN_ADDRESS + 1)
    ]
    assert (answers[-2], answers[-1]) == (302, 429)


def test_guesses_at_links_are_bounded(db: None) -> None:
    path = reverse("annotation:study-begin", args=["guess"])
    found = [Client().get(path).status_code for _ in range(rate_limits.OF_A_STRANGER + 1)]
    assert (found[0], found[-1]) == (410, 429)


def test_paused_participants_get_no_work_and_no_code(project: Project, study: Study) -> None:
    client = arrive(study)
    who = participant().user
    answer(project, who)
    leases.pause(project.memberships.get(user=who))
    assert "paused" in client.get(label(project)).content.decode()
    assert "DONE" not in client.post(finished(project)).content.decode()


def test_the_quiz_counts_as_before_for_people_with_a_log_in(project: Project) -> None:
    """The gates of participants ask nothing of others."""
    project.change_guidelines("Read me.")
    assert leases.claim(project, factories.make_member(project)) is not None
    assert guidelines.at(project) is not None
