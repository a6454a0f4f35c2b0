"""Sessions end, and other people log in, while a page is open: nothing is lost or given as theirs.

Each way in which a page sends something has its scenario. The ways are found in the templates and
scripts: one that has no scenario fails the first test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import BrowserContext, Page, expect

from annotation import gold_and_repeats
from annotation.models import (
    Adjudication,
    Assignment,
    Comparison,
    Judgment,
    Project,
    QuizAnswer,
    User,
)
from annotation.onboarding import quiz
from benchmark import evaluating
from benchmark.models import Verdict
from tests import factories
from tests.benchmark.factories import make_judge, make_question_set
from tests.browser.conftest import Visitor
from tests.browser.labelling import READY, Eventually, kept, on_screen, press_and_leave

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
SENDS = re.compile(
    r"hx-(?:post|put|patch|delete|boost)|\bfetch\(|sendBeacon|XMLHttpRequest|WebSocket"
)
LOGIN = "/login/"
RENEW = """async () => {
  const label = document.querySelector('script[src*="js/label"]');
  const { postFragment } = await import(label.src.replace("label", "outbox"));
  const { renewUrl } = document.querySelector("[data-renew-url]").dataset;
  return postFragment(renewUrl, {}).catch((error) => error.constructor.name);
}"""


@dataclass(frozen=True)
class World:
    project: Project
    ana: User
    ben: User


@pytest.fixture
def world() -> World:
    project = factories.make_project(k=1, guidelines="")
    ana = factories.make_member(project, user=factories.make_user("ana"))
    ben = factories.make_member(project, user=factories.make_user("ben"))
    return World(project, ana, ben)


def log_in(context: BrowserContext, visit: Visitor, user: User) -> None:
    """In this browser, as another tab would do it: with another session and form token."""
    context.clear_cookies()
    client = Client()
    client.force_login(user)
    session = client.cookies[settings.SESSION_COOKIE_NAME]
    context.add_cookies([{"name": session.key, "value": session.value, "url": visit.address}])
    page = context.new_page()
    page.goto("/projects/")
    page.wait_for_load_state("networkidle")  # It sends what waits; closed meanwhile, others wait.
    page.close()


def log_out(context: BrowserContext, visit: Visitor, user: User | None = None) -> None:
    context.clear_cookies()


def expect_refusals(visit: Visitor) -> None:
    """401 while the session is over; 403 when another tab has a new one and no form token yet."""
    visit.expect_problem("401")
    visit.expect_problem("403")


Away = Callable[[BrowserContext, Visitor, User], None]
ENDS = pytest.mark.parametrize("away", [log_out, log_in], ids=["logged out", "another person"])


# --- The scenarios ----------------------------------------------------------------------------


@ENDS
def test_labelling(visit: Visitor, world: World, away: Away, eventually: Eventually) -> None:
    """An answer with a note, and a skip, wait through the session of somebody else."""
    expect_refusals(visit)
    factories.make_comparisons(world.project, 6)
    page = visit.page(world.ana, f"/projects/{world.project.slug}/label/")
    page.evaluate(READY, 2)
    away(page.context, visit, world.ben)
    page.get_by_text("Note", exact=False).first.click()
    page.get_by_role("textbox", name="Note to the reviewers").fill("Read me.")
    page.keyboard.press("Escape")
    answered = press_and_leave(page, "1")
    skipped = press_and_leave(page, "s", "4")
    expect(page.get_by_text("2 answers are waiting to be sent")).to_be_visible()
    expect(page.get_by_text("Log in again in another tab")).to_be_visible()
    press_and_leave(page, "2")
    expect(page.get_by_text("ana is logged out")).to_be_visible()
    assert [one["owner"] for one in kept(page)] == [str(world.ana.pseudonym)] * 3
    page.close()  # and with it what it held in memory
    other = visit_in(page.context, f"{LOGIN}?next=/projects/" if away is log_out else "/projects/")
    expect(other.get_by_text("3 answers of ana: kept in this browser")).to_be_visible()
    work = visit_in(page.context, f"/projects/{world.project.slug}/label/")
    expect(work.get_by_text("3 answers of ana: kept in this browser")).to_be_visible()
    assert len(kept(other)) == 3
    assert not Judgment.objects.exists()
    log_in(page.context, visit, world.ana)
    visit_in(page.context, "/projects/")
    eventually(lambda: page_turn(other) or Judgment.objects.count() == 2)
    judgment = Judgment.objects.get(assignment=answered)
    assert judgment.note == "Read me."
    assert judgment.more_hallucinated == str(answered.order[0])
    eventually(lambda: Assignment.objects.get(pk=skipped.pk).state == "skipped")
    eventually(lambda: page_turn(other) or kept(other) == [])


@ENDS
def test_the_labelling_page_goes_on_after_a_log_in(
    visit: Visitor, world: World, away: Away, eventually: Eventually
) -> None:
    """The next comparison and the lease are asked for in the name of whose page it is."""
    expect_refusals(visit)
    factories.make_comparisons(world.project, 3)
    page = visit.page(world.ana, f"/projects/{world.project.slug}/label/")
    page.evaluate(READY, 2)
    mine = on_screen(page)
    away(page.context, visit, world.ben)
    before = set(Assignment.objects.values_list("pk", "expires_at"))
    renewed = page.evaluate(RENEW)
    assert renewed == "LoggedOut"
    assert set(Assignment.objects.values_list("pk", "expires_at")) == before
    for key in ("1", "1", "1"):
        press_and_leave(page, key) if page.locator("[data-task]").count() else None
    expect(page.get_by_text("ana is logged out")).to_be_visible()
    assert not Assignment.objects.filter(annotator=world.ben).exists()
    log_in(page.context, visit, world.ana)  # and the page goes on by itself
    eventually(lambda: page_turn(page) or Judgment.objects.count() == 3)
    expect(page.get_by_text("There is no work for you right now")).to_be_visible()
    assert Judgment.objects.filter(assignment=mine).exists()


@ENDS
def test_the_quiz(visit: Visitor, world: World, away: Away, eventually: Eventually) -> None:
    expect_refusals(visit)
    Project.objects.update(quiz_pass_mark=0.5)
    made = factories.make_comparisons(world.project, 2)
    for comparison in made:
        gold_and_repeats.make_gold(comparison, more_hallucinated="1", explanation="Look.")
    quiz.choose(world.project, [one.pk for one in made])
    page = visit.page(world.ana, f"/projects/{world.project.slug}/label/")
    page.get_by_role("button", name="Begin the quiz").click()
    expect(page.get_by_text("question 1 of 2")).to_be_visible()
    away(page.context, visit, world.ben)
    page.keyboard.press("1")
    expect(page.get_by_text("1 answer is waiting to be sent")).to_be_visible()
    assert len(kept(page)) == 1
    assert not QuizAnswer.objects.exclude(given="").exists()
    log_in(page.context, visit, world.ana)
    expect(page.get_by_text("Look.")).to_be_visible()
    assert QuizAnswer.objects.exclude(given="").count() == 1
    eventually(lambda: kept(page) == [])


@ENDS
def test_rating(visit: Visitor, away: Away) -> None:
    expect_refusals(visit)
    project = factories.make_project()
    ana, ben = (
        factories.make_member(project, "reviewer", factories.make_user(name))
        for name in ("ana", "ben")
    )
    question_set = make_question_set(count=2)
    question_set.questions.update(image=factories.make_image())
    judge = make_judge("people", kind="person", base_url="", model="")
    evaluation = evaluating.start(
        question_set=question_set, judge=judge, model_name="A model", project=project
    )
    said = {q: evaluating.Said(f"text {q.number}") for q in question_set.questions.all()}
    evaluating.store_answers(evaluation, said)
    page = visit.page(ana, f"/benchmarks/rate/{judge.pk}/")
    away(page.context, visit, ben)
    for _ in range(2):
        page.keyboard.press("5")
        expect(
            page.get_by_text("You are logged out. Nothing on this page is lost").first
        ).to_be_visible()
    expect(page.get_by_text("0 of 2 rated").first).to_be_visible()
    expect(page.get_by_role("button", name="Log in")).to_have_count(0)
    assert not Verdict.objects.exclude(rating=None).exists()
    log_in(page.context, visit, ana)
    page.keyboard.press("5")
    expect(page.get_by_text("1 of 2 rated").first).to_be_visible()
    away(page.context, visit, ben)
    page.keyboard.press("u")
    expect(page.get_by_text("1 of 2 rated").first).to_be_visible()
    assert Verdict.objects.exclude(rating=None).count() == 1


@ENDS
def test_written_forms_stay_as_they_are(visit: Visitor, world: World, away: Away) -> None:
    """Adjudication, as one form in which somebody writes: kept, and sent in one's own name."""
    Project.objects.update(judgments_per_comparison=2, max_judgments=2)
    world.project.refresh_from_db()
    expect_refusals(visit)
    comparison = factories.make_comparison(world.project)
    for vote in ("1", "2"):
        factories.judge(comparison, vote)
    assert Comparison.objects.get().outcome == Comparison.Outcome.DISPUTED
    world.project.memberships.update(role="reviewer")
    page = visit.page(world.ana, f"/projects/{world.project.slug}/disputes/")
    page.get_by_role("textbox").fill("Because of the hat.")
    page.get_by_role("radio").first.check()
    away(page.context, visit, world.ben)
    page.get_by_role("button", name="Decide").click()
    expect(page.get_by_text("You are logged out. Nothing on this page is lost")).to_be_visible()
    expect(page.get_by_role("textbox")).to_have_value("Because of the hat.")
    log_in(page.context, visit, world.ana)
    page.get_by_role("button", name="Decide").click()
    expect(page.get_by_text("Ruled.")).to_be_visible()
    ruling = Adjudication.objects.get()
    assert (ruling.adjudicator, ruling.note) == (world.ana, "Because of the hat.")


def test_charts_ask_and_send_nothing() -> None:
    """A chart only reads: its page is asked for again after a log-in."""
    script = (ROOT / "static/js/charts.js").read_text()
    assert re.findall(r"fetch\((.*)\)", script) == [
        'source, { headers: { Accept: "application/json" } }'
    ]


SCENARIOS: dict[str, Callable[..., None]] = {
    "static/js/base.js": test_written_forms_stay_as_they_are,
    "static/js/charts.js": test_charts_ask_and_send_nothing,
    "static/js/label.js": test_the_labelling_page_goes_on_after_a_log_in,
    "static/js/outbox.js": test_labelling,
    "templates/benchmark/_rate.html": test_rating,
}


def test_every_way_of_sending_has_a_scenario() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder, kind in (("templates", "*.html"), ("static/js", "*.js"))
        for path in (ROOT / folder).rglob(kind)
        if SENDS.search(path.read_text())
    }
    assert found == set(SCENARIOS)


def test_every_user_of_the_outbox_has_a_scenario() -> None:
    """Who imports it sends by it; the quiz and the labelling are the two that do."""
    users = {
        path.name
        for path in (ROOT / "static/js").glob("*.js")
        if re.search(r"\.add\([^)]*(?:action|[uU]rl)", path.read_text())
    }
    assert users == {"label.js"}
    assert len(re.findall(r"outbox\.add\(", (ROOT / "static/js/label.js").read_text())) == 3


# --- What is refused --------------------------------------------------------------------------


def test_a_refused_answer_is_kept_until_its_owner_says_otherwise(
    visit: Visitor, world: World, eventually: Eventually
) -> None:
    visit.expect_problem("404")
    visit.expect_problem("409")
    factories.make_comparisons(world.project, 4)
    page = visit.page(world.ana, f"/projects/{world.project.slug}/label/")
    page.evaluate(READY, 2)
    world.project.memberships.filter(user=world.ana).delete()
    first = press_and_leave(page, "1")
    expect(page.get_by_role("button", name="1 answer not accepted")).to_be_visible()
    page.reload()
    again = visit_in(page.context, "/projects/")
    expect(again.get_by_role("button", name="1 answer not accepted")).to_be_visible()
    factories.make_member(world.project, user=world.ana)
    again.get_by_role("button", name="1 answer not accepted").click()
    expect(again.get_by_text("You may no longer answer in this project.")).to_be_visible()
    again.get_by_role("button", name="Send again").click()
    eventually(lambda: page_turn(again) or Judgment.objects.filter(assignment=first).exists())
    eventually(lambda: page_turn(again) or kept(again) == [])


def test_its_owner_may_throw_a_refused_answer_away(visit: Visitor, world: World) -> None:
    visit.expect_problem("404")
    factories.make_comparisons(world.project, 4)
    page = visit.page(world.ana, f"/projects/{world.project.slug}/label/")
    page.evaluate(READY, 2)
    world.project.memberships.filter(user=world.ana).delete()
    press_and_leave(page, "1")
    page.get_by_role("button", name="1 answer not accepted").click()
    page.get_by_role("button", name="Throw away").click()
    expect(page.get_by_role("button", name="1 answer not accepted")).to_have_count(0)
    expect(page.locator("dialog[open]")).to_have_count(0)
    assert kept(page) == []


def visit_in(context: BrowserContext, path: str) -> Page:
    page = context.new_page()
    page.goto(path)
    return page


def page_turn(page: Page) -> None:
    page.wait_for_timeout(20)
