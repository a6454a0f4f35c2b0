"""axe-core on every page, light and dark: no serious and no critical finding."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from annotation import exporting, queue
from annotation.models import Assignment, ImportJob, Invitation, Project, User
from tests import factories
from tests.browser.conftest import Visitor
from tests.browser.test_pages import paths

pytestmark = pytest.mark.django_db(transaction=True)

AXE = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text()
FINDINGS = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target} ${node.html}`));
}"""
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


def findings(page: Page) -> list[str]:
    """What axe-core calls serious or critical on the page as it stands."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found: list[str] = page.evaluate(FINDINGS)
    return found


@pytest.fixture
def admin() -> User:
    return factories.make_admin("admin")


@pytest.fixture
def project(admin: User) -> Project:
    """A project with something on each of its pages."""
    project = factories.make_project(
        k=1, mark_spans=True, ask_confidence=True, guidelines="# Rules\n\nSee [here](https://a.b)."
    )
    factories.judge(factories.make_comparison(project), note="A note", confidence=3)
    factories.make_comparisons(project, 3)
    factories.make_member(project, "manager", admin)
    ImportJob.objects.create(
        project=project,
        name="pairs.jsonl",
        state="failed",
        problems=[{"line": 3, "field": "image", "reason": "is missing"}],
    )
    Invitation.create(project, role="annotator", created_by=admin, note="Noor")
    exporting.make_release(project, seed=1, created_by=admin)
    factories.make_token(admin, "read")
    return project


def test_axe_finds_what_is_wrong(visit: Visitor, admin: User) -> None:
    page = visit.page(admin, "/projects/")
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('img'), {src: '/favicon.svg'}))"
    )
    visit.expect_problem("404")
    assert any(one.startswith("image-alt") for one in findings(page))


@SCHEMES
def test_pages_have_no_serious_finding(
    visit: Visitor, admin: User, project: Project, scheme: str
) -> None:
    page = visit.page(admin, "/projects/", color_scheme=scheme)
    visit.expect_problem("404")
    inside = f"/projects/{project.slug}/"
    job, release = project.import_jobs.get(), project.releases.get()
    more = [release.get_absolute_url(), f"{inside}imports/{job.pk}/", "/nowhere/"]
    problems = {}
    for path in [*paths(project), *more]:
        page.goto(path)
        problems[path] = findings(page)
    assert {path: found for path, found in problems.items() if found} == {}


@SCHEMES
def test_pages_before_logging_in_have_no_serious_finding(visit: Visitor, scheme: str) -> None:
    page = visit.page(None, "/login/", color_scheme=scheme)
    assert findings(page) == []
    page.get_by_label("Username").fill("somebody")
    page.get_by_label("Password").fill("wrong")
    visit.expect_problem("autocomplete")
    page.get_by_role("button", name="Log in").click()
    assert findings(page) == []
    visit.expect_problem("429")
    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        page.get_by_label("Username").fill("somebody")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Too many attempts")).to_be_visible()
    assert findings(page) == []


@SCHEMES
@pytest.mark.parametrize("width", [1280, 360])
def test_labelling_has_no_serious_finding_at_any_moment(
    visit: Visitor, project: Project, scheme: str, width: int
) -> None:
    annotator = factories.make_member(project)
    project.memberships.update(guidelines_acknowledged=1)
    address = f"/projects/{project.slug}/label/"
    page = visit.page(annotator, address, color_scheme=scheme, width=width)
    moments = {"first": findings(page)}
    for name, keys in {
        "marking": "m 1 m",
        "after marks": "Escape",
        "helpful": "0",
        "confidence": "1",
        "keys": "u ?",
        "guidelines": "Escape g",
        "skip": "Escape s",
        "note": "Escape n",
    }.items():
        for key in keys.split():
            page.keyboard.press(key)
        moments[name] = findings(page)
    assert {name: found for name, found in moments.items() if found} == {}


@SCHEMES
def test_changing_an_answer_has_no_serious_finding(
    visit: Visitor, project: Project, scheme: str
) -> None:
    annotator = factories.make_member(project)
    project.memberships.update(guidelines_acknowledged=1)
    assignment = queue.claim(project, annotator)
    assert isinstance(assignment, Assignment)
    answer = queue.Answer(
        more_hallucinated="1",
        spans=[{"response": 1, "start": 0, "end": 5, "kind": "object"}],
        note="A note",
    )
    queue.submit(annotator, assignment.token, answer, client_uuid=uuid.uuid4())
    page = visit.page(annotator, f"/projects/{project.slug}/label/", color_scheme=scheme)
    page.keyboard.press("u")
    page.wait_for_selector("[data-editing] mark")
    assert findings(page) == []
