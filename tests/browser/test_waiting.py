"""Answers that cannot be sent wait in the browser: none is lost, none is stored twice."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models import F
from django.test import Client
from playwright.sync_api import BrowserContext, Page, Route, expect

from annotation import queue
from annotation.models import Assignment, Judgment, JudgmentVersion, Project, User
from tests import factories
from tests.browser import chromium
from tests.browser.conftest import Visitor
from tests.browser.labelling import READY, Eventually, kept, on_screen, press_and_leave

pytestmark = pytest.mark.django_db(transaction=True)
NO_DATABASE = "IDBFactory.prototype.open = () => { throw new Error('not here'); };"
NO_ROOM = """
IDBObjectStore.prototype.put = function () {
  this.transaction.abort();
  throw new DOMException("no room", "QuotaExceededError");
};"""

ADDED_AT_THE_END = """async (address) => {
  const { Outbox } = await import(address);
  const sent = [];
  const headers = { "X-Stored": "yes" };
  window.fetch = async (url) => (sent.push(url), new Response("", { headers }));
  const outbox = new Outbox("nobody else");
  const look = outbox.look.bind(outbox);
  let looks = 0;
  outbox.look = async () => {
    // The flush has found nothing to send and is on its way to its end.
    if (++looks === 1) await outbox.add("/late/", { client_uuid: "one" }, "task");
    return look();
  };
  await outbox.flush();
  await outbox.flushing;
  return [sent, (await look()).length];
}"""
TELLS_NOBODY = """async (address) => {
  const { Outbox } = await import(address);
  const heard = [];
  const other = new BroadcastChannel("factloop-waiting-nobody else");
  const ended = new Promise((resolve) => {
    other.addEventListener("message", ({ data }) => heard.push(data) && data && resolve());
  });
  const outbox = new Outbox("nobody else");
  await outbox.flush();
  outbox.tabs.postMessage("the end");
  await ended;
  return heard;
}"""
HEARS = """() => {
  const { owner } = document.querySelector("[data-owner]").dataset;
  window.heard = new Promise((resolve) => {
    const tabs = new BroadcastChannel(`factloop-waiting-${owner}`);
    tabs.addEventListener("message", ({ data }) => data && requestAnimationFrame(resolve));
  });
}"""
OUTBOX = "document.querySelector('script[src*=\"js/label\"]').src.replace('label', 'outbox')"


@pytest.fixture
def project() -> Project:
    project = factories.make_project(k=1, guidelines="")
    factories.make_comparisons(project, 6)
    return project


@pytest.fixture
def annotator(project: Project) -> User:
    return factories.make_member(project)


@pytest.fixture
def open_page(
    visit: Visitor, project: Project, annotator: User
) -> Callable[[BrowserContext | None], Page]:
    """Opens the labelling page and waits until the next two comparisons are ready."""

    def open_it(context: BrowserContext | None = None) -> Page:
        context = context or visit.context(annotator, viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(f"/projects/{project.slug}/label/")
        page.evaluate(READY, 2)
        return page

    return open_it


def judged() -> dict[int, str]:
    return dict(Judgment.objects.values_list("assignment", "more_hallucinated"))


def test_several_answers_survive_a_reload_and_arrive_once(
    open_page: Callable[..., Page], visit: Visitor, eventually: Eventually
) -> None:
    visit.expect_problem("ERR_INTERNET_DISCONNECTED")
    page = open_page()
    page.context.set_offline(True)
    given = [press_and_leave(page, key) for key in ("1", "2", "1")]
    expect(page.get_by_text("The server cannot be reached")).to_be_visible()
    expect(page.get_by_text("3 answers are waiting to be sent")).to_be_visible()
    assert len(kept(page)) == 3
    address = page.url
    with pytest.raises(Exception, match="ERR_INTERNET_DISCONNECTED"):
        page.reload()  # A request that outlives its page may get through, and comes again.
    page.context.set_offline(False)
    page.goto(address)
    eventually(lambda: Judgment.objects.count() == 3)
    sides = (0, 1, 0)
    expected = {one.pk: str(one.order[side]) for one, side in zip(given, sides, strict=True)}
    assert judged() == expected
    eventually(lambda: kept(page) == [])
    assert JudgmentVersion.objects.count() == 3


@pytest.mark.parametrize("status", [503, 200])
def test_what_waits_to_be_sent_is_not_asked_again(
    open_page: Callable[..., Page], visit: Visitor, eventually: Eventually, status: int
) -> None:
    """The server is away, or something before it answers in its place."""
    visit.expect_problem("503")
    page = open_page()
    page.context.route("**/answer/", lambda route: route.fulfill(status=status, body="Welcome!"))
    answered = press_and_leave(page, "1")
    expect(page.get_by_text("1 answer is waiting to be sent")).to_be_visible()
    page.reload()
    expect(page.get_by_text("1 answer is waiting to be sent")).to_be_visible()
    expect(page.locator(f'[data-task="{answered.token}"]')).to_have_count(0)
    page.context.unroute("**/answer/")
    eventually(lambda: Judgment.objects.filter(assignment=answered).exists())
    page.wait_for_selector("[data-task]")
    assert on_screen(page) != answered


def test_an_answer_that_the_server_fails_at_holds_up_no_other(
    open_page: Callable[..., Page], visit: Visitor, eventually: Eventually
) -> None:
    visit.expect_problem("500")
    page = open_page()
    failing = on_screen(page)

    def fail(route: Route) -> None:
        route.fulfill(status=500)

    page.context.route(f"**/{failing.token}/answer/", fail)
    press_and_leave(page, "1")
    second = press_and_leave(page, "2")
    # The browser's routes are answered only while Playwright runs, not while we sleep.
    stored = Judgment.objects.filter(assignment=second)
    eventually(lambda: page.wait_for_timeout(20) or stored.exists())
    expect(page.get_by_text("1 answer is waiting to be sent")).to_be_visible()
    page.context.unroute(f"**/{failing.token}/answer/")
    eventually(lambda: Judgment.objects.filter(assignment=failing).exists())
    expect(page.get_by_text("waiting to be sent")).to_be_hidden()


def test_an_answer_after_eight_hours_is_kept_as_surplus(
    open_page: Callable[..., Page], visit: Visitor, project: Project, eventually: Eventually
) -> None:
    visit.expect_problem("ERR_INTERNET_DISCONNECTED")
    page = open_page()
    page.context.set_offline(True)
    answered = press_and_leave(page, "2")
    Assignment.objects.update(expires_at=F("expires_at") - timedelta(hours=8))
    queue.return_expired_leases(project)
    other = factories.make_member(project)
    project.comparisons.filter(pk=answered.comparison_id).update(priority=1)
    lease = queue.claim(project, other)
    assert lease is not None
    assert lease.comparison_id == answered.comparison_id
    answer = queue.Answer(more_hallucinated=str(answered.order[0]))
    queue.submit(other, lease.token, answer, client_uuid=uuid.uuid4())
    page.context.set_offline(False)
    eventually(lambda: Judgment.objects.filter(assignment=answered).exists())
    late = Judgment.objects.get(assignment=answered)
    assert late.surplus
    assert late.more_hallucinated == str(answered.order[1])
    assert not Judgment.objects.get(assignment=lease).surplus


def test_two_tabs_send_an_answer_once(
    open_page: Callable[..., Page], eventually: Eventually
) -> None:
    page = open_page()
    sent: list[str] = []
    held: list[Route] = []

    def hold(route: Route) -> None:
        sent.append(route.request.post_data or "")
        held.append(route)

    page.context.route("**/answer/", hold)
    press_and_leave(page, "1")
    eventually(lambda: page.wait_for_timeout(20) or held)
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.get_by_text("1 answer is waiting to be sent")).to_be_visible()
    other.evaluate("dispatchEvent(new Event('online'))")
    other.wait_for_timeout(500)
    assert len(sent) == 1
    # That another tab is sending is no trouble: nothing is said of the server.
    expect(other.locator("#task-holder[aria-busy]")).to_have_count(1)
    assert other.locator("#task-holder [data-waiting]").count() == 0
    held[0].continue_()
    expect(other.get_by_text("waiting to be sent")).to_be_hidden()
    expect(other.locator("[data-task]")).to_have_count(1)
    assert len(sent) == 1
    eventually(lambda: JudgmentVersion.objects.count() == 1)


@pytest.mark.parametrize("trouble", [NO_DATABASE, NO_ROOM], ids=["no database", "no room"])
def test_a_browser_without_room_says_so_and_sends_from_memory(
    trouble: str,
    open_page: Callable[..., Page],
    visit: Visitor,
    annotator: User,
    eventually: Eventually,
) -> None:
    visit.expect_problem("ERR_INTERNET_DISCONNECTED")
    context = visit.context(annotator)
    context.add_init_script(trouble)
    page = open_page(context)
    context.set_offline(True)
    answers = [press_and_leave(page, "1") for _ in range(2)]
    expect(page.get_by_text("2 answers are waiting to be sent")).to_be_visible()
    expect(page.get_by_text("This browser has no room to keep answers")).to_be_visible()
    context.set_offline(False)
    eventually(lambda: Judgment.objects.count() == 2)
    assert set(judged()) == {one.pk for one in answers}
    expect(page.get_by_text("waiting to be sent")).to_be_hidden()


def test_an_answer_outlives_the_browser(
    visit: Visitor, project: Project, annotator: User, tmp_path: Path, eventually: Eventually
) -> None:
    def start() -> BrowserContext:
        return visit.browser.browser_type.launch_persistent_context(
            tmp_path,
            executable_path=chromium.find(),
            args=["--no-sandbox"],
            base_url=visit.address,
        )

    client = Client()
    client.force_login(annotator)
    session = client.cookies[settings.SESSION_COOKIE_NAME]
    cookie = {"name": session.key, "value": session.value, "url": visit.address}
    context = start()
    context.add_cookies([cookie])
    page = context.new_page()
    page.goto(f"/projects/{project.slug}/label/")
    page.evaluate(READY, 2)
    context.set_offline(True)
    answered = press_and_leave(page, "2")
    eventually(lambda: len(kept(page)) == 1)
    context.clear_cookies()  # what a page sends as it goes may reach the site, but as nobody's
    context.close()
    assert not Judgment.objects.exists()
    context = start()
    context.add_cookies([cookie])
    page = context.new_page()
    page.goto(f"/projects/{project.slug}/label/")
    eventually(lambda: Judgment.objects.filter(assignment=answered).exists())
    page.wait_for_load_state("networkidle")
    context.close()


def test_an_answer_with_an_old_form_token_is_sent_again(
    open_page: Callable[..., Page], visit: Visitor, eventually: Eventually
) -> None:
    visit.expect_problem("403")
    page = open_page()
    cookies = page.context.cookies()
    page.context.clear_cookies(name="csrftoken")
    answered = press_and_leave(page, "1")
    expect(page.get_by_text("Log in again in another tab")).to_be_visible()
    assert len(kept(page)) == 1
    page.context.add_cookies(cookies)
    eventually(lambda: Judgment.objects.filter(assignment=answered).exists())


def test_an_answer_added_while_a_flush_ends_is_sent_by_another_round(
    open_page: Callable[..., Page],
) -> None:
    page = open_page()
    assert page.evaluate(ADDED_AT_THE_END, page.evaluate(OUTBOX)) == [["/late/"], 0]


def test_a_flush_without_news_wakes_no_other_tab(open_page: Callable[..., Page]) -> None:
    """Two tabs at the end of the work would otherwise ask for more in turns without end."""
    page = open_page()
    assert page.evaluate(TELLS_NOBODY, page.evaluate(OUTBOX)) == ["the end"]


def test_an_answer_in_another_project_leaves_the_progress_of_this_one_alone(
    open_page: Callable[[BrowserContext | None], Page], annotator: User
) -> None:
    other = factories.make_project(k=1, guidelines="")
    factories.make_comparisons(other, 1)
    factories.make_member(other, user=annotator)
    page = open_page(None)
    beside = page.context.new_page()
    beside.goto(f"/projects/{other.slug}/label/")
    beside.evaluate(HEARS)
    press_and_leave(page, "1")
    expect(page.locator("#label-progress")).to_contain_text("1 by you")
    beside.evaluate("window.heard")
    expect(beside.locator("#label-progress")).to_contain_text("0 by you")
