"""Public links: what they show, to whom, until when; and summaries for model cards."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.models import User
from benchmark import evaluating, shared_urls
from benchmark.board import summaries
from benchmark.models import Evaluation, SharedLink, Verdict
from config import rate_limits
from tests.benchmark.factories import make_evaluation, make_judge, make_question_set
from tests.factories import make_admin, make_image, make_member, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def evaluation() -> Evaluation:
    evaluation = make_evaluation(
        [6, 1, 5, 0], project=make_project(name="Secret project"), model_name="Model <A>"
    )
    evaluation.question_set.questions.update(image=make_image())
    return evaluation


def share(*evaluations: Evaluation, days: int = 7, **fields: Any) -> tuple[SharedLink, str]:
    root = User.objects.filter(username="root").first() or make_admin("root")
    fields = {"title": "Our scores", "created_by": root, **fields}
    return SharedLink.create(evaluations, days=days, **fields)


def address(name: str, token: str, *more: Any) -> str:
    return reverse(f"shared:{name}", args=[token, *more])


def content(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return str(answer.content.decode())


def test_an_administrator_makes_a_link_that_anybody_opens(evaluation: Evaluation) -> None:
    client = Client()
    client.force_login(make_admin())
    page = client.get(f"{reverse('benchmark:links')}?evaluation={evaluation.pk}")
    assert "Share Model &lt;A&gt; on MMHal-Bench" in content(page)
    asked = {"title": "For the paper", "days": "30", "with_answers": "on"}
    made = client.post(f"{reverse('benchmark:links')}?evaluation={evaluation.pk}", asked)
    found = re.search(r"http://testserver(/shared/[\w-]{43}/)", content(made))
    assert found is not None
    anybody = Client()
    assert "Model &lt;A&gt;" in content(anybody.get(found[1]))
    assert anybody.cookies == {}
    link = SharedLink.objects.get()
    assert found[1].split("/")[2] not in str(vars(link))
    assert timedelta(days=29) < link.expires_at - timezone.now() <= timedelta(days=30)
    assert found[1] not in content(client.get(reverse("benchmark:links")))


def test_a_ranking_is_shared_as_it_is_now(evaluation: Evaluation) -> None:
    questions = evaluation.question_set
    second = make_evaluation([0, 0, 5, 0], question_set=questions, model_name="Model B")
    client = Client()
    client.force_login(make_admin())
    board = content(client.get(reverse("benchmark:leaderboard")))
    found = re.search(r"\?group=([\w-]+)", board)
    assert found is not None
    client.post(f"{reverse('benchmark:links')}?group={found[1]}", {"title": "Ranking", "days": "7"})
    link = SharedLink.objects.get()
    assert set(link.evaluations.all()) == {evaluation, second}
    _, token = share(evaluation, second)
    make_evaluation([6, 6, 6, 6], question_set=questions, model_name="Later and better")
    page = content(Client().get(address("index", token)))
    assert page.index("Model &lt;A&gt;") < page.index("Model B")
    assert "Later and better" not in page
    assert "Against the best" in page


def test_a_link_shows_one_group_only(evaluation: Evaluation) -> None:
    other = make_evaluation([6, 1, 5, 0], question_set=make_question_set(name="O", version="b"))
    for chosen in ((), (evaluation, other)):
        with pytest.raises(ValueError, match="ranked together"):
            share(*chosen)


@pytest.mark.parametrize("ended", ["expired", "revoked", "unknown", "incomplete"])
def test_a_link_that_ended_looks_like_one_that_never_was(
    evaluation: Evaluation, ended: str
) -> None:
    link, token = share(evaluation, with_photographs=True)
    question = evaluation.question_set.questions.first()
    assert question is not None
    paths = [
        address("index", token),
        address("evaluation", token, evaluation.pk),
        address("photograph", token, question.pk),
        *(address("summary", token, form) for form in ("svg", "md", "html")),
    ]
    assert len({pattern.name for pattern in shared_urls.urlpatterns}) == 4
    for path in paths:
        answer = Client().get(path)
        assert answer.status_code == 200
        assert answer["X-Robots-Tag"] == "noindex, nofollow"
        assert answer["Referrer-Policy"] == "no-referrer"
        if answer.streaming:
            list(answer.streaming_content)
        assert Client().post(path).status_code == 405
    if ended == "expired":
        SharedLink.objects.update(expires_at=timezone.now())
    elif ended == "revoked":
        client = Client()
        client.force_login(make_admin())
        client.post(reverse("benchmark:revoke-link", args=[link.pk]))
    elif ended == "unknown":
        paths = [
            path.replace(token, token[:-1] + ("A" if token[-1] != "A" else "B")) for path in paths
        ]
    else:
        Evaluation.objects.update(state="judging")
    assert [Client().get(path).status_code for path in paths] == [404] * 6


def test_a_link_opens_nothing_but_what_was_chosen(evaluation: Evaluation) -> None:
    other = make_evaluation([3, 3, 3, 3], question_set=evaluation.question_set, model_name="Other")
    elsewhere = make_evaluation(
        [3], question_set=make_question_set(count=1, name="Elsewhere", version="c" * 64)
    )
    elsewhere.question_set.questions.update(image=make_image())
    _, token = share(evaluation, with_photographs=True)
    assert Client().get(address("evaluation", token, other.pk)).status_code == 404
    foreign = elsewhere.question_set.questions.first()
    assert foreign is not None
    assert Client().get(address("photograph", token, foreign.pk)).status_code == 404
    assert Client().get(evaluation.get_absolute_url()).status_code == 302
    assert Client().get(address("summary", token, "exe")).status_code == 404


@pytest.mark.parametrize(("answers", "photographs"), [(True, True), (True, False), (False, True)])
def test_answers_and_photographs_are_shown_only_when_allowed(
    evaluation: Evaluation, answers: bool, photographs: bool
) -> None:
    _, token = share(evaluation, with_answers=answers, with_photographs=photographs)
    page = content(Client().get(address("index", token)))
    assert ("Model &lt;A&gt; answers 1." in page) is answers
    question = evaluation.question_set.questions.first()
    assert question is not None
    picture = address("photograph", token, question.pk)
    assert (picture in page) is (answers and photographs)
    got = Client().get(picture)
    assert got.status_code == (200 if answers and photographs else 404)
    if got.streaming:
        list(got.streaming_content)
        assert got["X-Content-Type-Options"] == "nosniff"


def test_no_person_project_or_inner_address_is_named(evaluation: Evaluation) -> None:
    Verdict.objects.filter(rating=1).update(rating=None, state="unparsed")
    settler = make_user("settler-by-name")
    evaluating.settle(evaluation.verdicts().get(rating=None), {"rating": "2"}, settler)
    _, token = share(evaluation, with_photographs=True)
    client = Client()
    client.force_login(make_member(evaluation.project, "manager", make_user("manager-by-name")))
    page = content(client.get(address("index", token)))
    assert "Settled by hand." in page
    for hidden in ("settler-by-name", "manager-by-name", "Secret project", "root", "csrf"):
        assert hidden not in page
    inner = re.findall(r'(?:href|src|action)="([^"]+)"', page)
    assert inner and all(
        href.startswith((f"/shared/{token}/", "/static/", "#", "?")) for href in inner
    )
    assert 'name="robots" content="noindex, nofollow"' in page


def test_the_number_of_requests_is_limited(evaluation: Evaluation, monkeypatch: Any) -> None:
    monkeypatch.setattr(rate_limits, "OF_A_LINK", 3)
    monkeypatch.setattr(rate_limits, "OF_A_STRANGER", 2)
    monkeypatch.setattr(rate_limits.time, "time", lambda: 120.0)
    _, token = share(evaluation)
    answers = [Client().get(address("index", token)) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1]["Retry-After"] == "60"
    assert [Client().get(address("index", "x" * 43)).status_code for _ in range(3)] == [404] * 2 + [
        429
    ]
    monkeypatch.setattr(rate_limits.time, "time", lambda: 180.0)
    assert Client().get(address("index", token)).status_code == 200


def test_only_administrators_share(evaluation: Evaluation) -> None:
    client = Client()
    client.force_login(make_member(evaluation.project, "manager"))
    asked = f"{reverse('benchmark:links')}?evaluation={evaluation.pk}"
    assert client.post(asked, {"title": "x", "days": "7"}).status_code == 403
    assert "Share" not in content(client.get(evaluation.get_absolute_url()))
    assert not SharedLink.objects.exists()
    client.force_login(make_admin())
    assert client.post(asked, {"title": "x", "days": "100000"}).status_code == 422
    nothing = client.post(reverse("benchmark:links"), {"title": "x", "days": "7"})
    assert nothing.status_code == 404


# --- Summaries ------------------------------------------------------------------------------


def test_markdown_names_figures_intervals_and_judge() -> None:
    judge = make_judge("GPT", model="gpt-x")
    evaluation = make_evaluation([6, 1, 5, 0], judge=judge, model_name="a|b [c](http://d) <e>")
    text = summaries.markdown(summaries.summary_of([evaluation], "https://example.org/s/"))
    head, rule, row, _, origin = text.strip().splitlines()
    assert head == "| Model | Score, 0 to 6 | Hallucination rate | Informativeness |"
    assert rule.count("|") == head.count("|")
    assert row.startswith(r"| a\|b \[c\](http://d) \<e\> | 3.00 (")
    found = evaluation.summary["score"]
    assert f"3.00 ({found['low']:.2f} to {found['high']:.2f})" in row
    assert "50 % (" in row
    assert f"judge GPT (gpt-x), wording {evaluation.prompt_hash[:8]}" in origin
    assert "4 of 4 questions, data aaaaaaaa" in origin
    assert origin.endswith("[All of it](https://example.org/s/)")


def test_svg_and_html_are_whole_and_escape_names(evaluation: Evaluation) -> None:
    found = summaries.summary_of([evaluation])
    picture = ElementTree.fromstring(summaries.svg(found))
    texts = ["".join(one.itertext()).strip() for one in picture.iter()]
    assert "Model <A>" in texts and "3.00" in texts
    assert any("wording" in text for text in texts)
    assert "style" not in summaries.svg(found) and "script" not in summaries.svg(found)
    page = summaries.html(found)
    assert "Model &lt;A&gt;" in page and "3.00 (" in page and "wording" in page


def test_a_summary_needs_a_score() -> None:
    project = make_project()
    evaluation = make_evaluation([6, None], project=project)
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    path = reverse("benchmark:summary", args=[evaluation.pk, "md"])
    assert client.get(path).status_code == 404
    evaluating.settle(evaluation.verdicts().get(rating=None), {"rating": "0"}, make_user())
    assert "3.00" in content(client.get(path))
