"""Every page of benchmark in a real browser, full of scores: no error, no refused script, no
sideways scroll, no serious finding of axe, no figure without its interval; and what anybody sees
who has a link."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.cache import cache
from playwright.sync_api import expect

from annotation.models import Project, User
from benchmark import evaluating
from benchmark.models import Answer, Evaluation, Judge, QuestionSet, SharedLink, Verdict
from tests.benchmark.factories import make_evaluation
from tests.browser import benchmark_world
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import findings
from tests.browser.test_injected_text import MARKUP
from tests.factories import judge, make_admin, make_comparison, make_member, make_project

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = {"compare-refused"}
FIGURES_WITHOUT_INTERVAL = """
    [...document.querySelectorAll("td.num:has(> .cell-sub), .stat:has(> .stat-interval)")]
      .filter((figure) => !figure.querySelector(".cell-sub, .stat-interval").textContent.trim())
      .map((figure) => figure.textContent.trim())
      .filter((text) => !text.includes("–"))
"""  # noqa: RUF001


@pytest.fixture
def admin() -> User:
    return make_admin("admin")


@pytest.fixture
def project() -> Project:
    project = make_project(k=1)
    judge(make_comparison(project))
    return project


@pytest.fixture
def dashboard(project: Project, admin: User, tmp_path: Path) -> dict[str, str]:
    cache.clear()
    return benchmark_world.fill(project, admin, tmp_path, count=8)


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_pages_fit_and_have_no_serious_finding(
    visit: Visitor, admin: User, dashboard: dict[str, str], scheme: str, width: int
) -> None:
    page = visit.page(admin, "/projects/", width=width, color_scheme=scheme)
    visit.expect_problem("422")
    problems = {}
    for name, path in dashboard.items():
        response = page.goto(path)
        assert response is not None and response.status == (422 if name in REFUSED else 200), name
        page.wait_for_function("!document.querySelector('figure.chart:not(:has(.chart-body > *))')")
        problems[name] = findings(page) + page.evaluate(FIGURES_WITHOUT_INTERVAL)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            problems[name].append(f"{wide} pixels wide")
    assert {name: found for name, found in problems.items() if found} == {}


def test_text_of_models_and_judges_is_only_text(
    visit: Visitor, admin: User, dashboard: dict[str, str]
) -> None:
    Answer.objects.update(text=MARKUP)
    Verdict.objects.update(text=MARKUP)
    Evaluation.objects.update(model_name=MARKUP)
    Judge.objects.filter(name="gpt-judge").update(name=MARKUP[:120])
    SharedLink.objects.update(title=MARKUP[:120])
    QuestionSet.objects.filter(protocol="mmhal").update(name=MARKUP[:120])
    page = visit.page(admin, "/projects/")
    visit.expect_problem("422")
    for path in dashboard.values():
        page.goto(path)
        assert page.evaluate("window.attacked") is None, path
        assert page.locator("[data-canary]").count() == 0, path
    visit.expect_problem("summary.")  # Opened alone, they have no icon of their own.
    for form in ("svg", "html"):
        page.goto(f"{dashboard['shared-ranking']}summary.{form}")
        assert page.evaluate("window.attacked") is None


def test_a_link_is_made_opened_by_anybody_and_closed(
    visit: Visitor, admin: User, dashboard: dict[str, str]
) -> None:
    page = visit.page(admin, dashboard["link-new"])
    page.get_by_label("Title").fill("For reviewers")
    page.get_by_label("photographs").check()
    page.get_by_role("button", name="Make the link").click()
    address = page.locator("#new-link").text_content()
    assert address is not None
    anybody = visit.page(None, address)
    expect(anybody.get_by_role("heading", name="For a model card")).to_be_visible()
    drawn = anybody.locator("img.summary-picture").evaluate("image => image.naturalWidth > 300")
    assert drawn
    shown = anybody.locator("article img.answer-image").first
    shown.scroll_into_view_if_needed()
    expect(shown).to_have_js_property("complete", True)
    assert shown.evaluate("image => image.naturalWidth") > 0
    anybody.get_by_role("link", name="Counting").click()
    expect(anybody).to_have_url(re.compile(r"\?type=counting#answers$"))
    assert anybody.context.cookies() == []

    row = page.get_by_role("row", name="For reviewers")
    row.get_by_role("button", name="Revoke").click()
    page.keyboard.press("Escape")  # nothing is done
    expect(page.locator("#confirm-dialog")).to_have_count(0)
    expect(row.get_by_text("revoked")).to_have_count(0)
    row.get_by_role("button", name="Revoke").click()
    page.locator("#confirm-dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("row", name="For reviewers").get_by_text("revoked")).to_be_visible()
    visit.expect_problem("404")
    anybody.reload()
    expect(anybody.get_by_role("heading", name="For a model card")).to_have_count(0)


def test_an_open_leaderboard_shows_a_score_that_comes(visit: Visitor, project: Project) -> None:
    waiting = make_evaluation([6, 5, None], project=project, model_name="Just trained")
    page = visit.page(make_member(project, "reviewer"), "/benchmarks/")
    expect(page.get_by_text("1 evaluation without a score yet")).to_be_visible()
    evaluating.settle(waiting.verdicts().get(rating=None), {"rating": "4"}, make_admin())
    expect(page.get_by_role("link", name="Just trained")).to_be_visible()


def test_unclear_verdicts_are_settled_on_the_page(
    visit: Visitor, admin: User, dashboard: dict[str, str]
) -> None:
    page = visit.page(admin, dashboard["evaluation-open"])
    expect(page.get_by_text("No headline score yet")).to_be_visible()
    for left in (1, 0):
        page.get_by_label("Settle the rating").first.get_by_role("button", name="4").click()
        expect(page.get_by_label("Settle the rating")).to_have_count(left)
    expect(page.get_by_text("No headline score yet")).to_have_count(0)
