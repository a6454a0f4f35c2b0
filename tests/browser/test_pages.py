"""Every page of annotation in a real browser: no error, no refused script, no sideways scroll."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotation import exporting
from annotation.models import Invitation, Judgment, Membership, Project, User
from tests import factories
from tests.browser.conftest import PAINTED, Visitor

pytestmark = pytest.mark.django_db(transaction=True)

LONG_WORD = "Donaudampfschifffahrtsgesellschaft" * 8


def people(project: Project) -> list[str]:
    """The page of somebody who has answered, or of a member, where there is one."""
    judgment = Judgment.objects.filter(assignment__project=project).first()
    member = project.memberships.first()
    if judgment is None and member is None:
        return []
    who = judgment.assignment.annotator_id if judgment else member.user_id
    return [f"people/{who}/"]


def paths(project: Project) -> list[str]:
    inside = f"/projects/{project.slug}/"
    comparison = project.comparisons.first()
    assert comparison is not None
    return [
        "/",
        "/projects/",
        "/new-project/",
        "/account/password/",
        "/account/tokens/",
        "/notices/",
        "/notices/choices/",
        "/notices/webhooks/",
        "/api/docs/",
        "/training/",
        "/training/checkpoints/",
        "/benchmarks/",
        "/benchmarks/evaluations/",
        *(
            inside + part
            for part in ("", "label/", "my-answers/", "members/", "settings/", "imports/")
        ),
        *(
            inside + part
            for part in (
                "disputes/",
                "quality/",
                "quality/corrupted/",
                "studies/",
                "machine-labels/",
                *people(project),
            )
        ),
        *(inside + part for part in ("comparisons/", f"comparisons/{comparison.pk}/", "releases/")),
    ]


@pytest.fixture
def admin() -> User:
    return factories.make_admin("admin")


@pytest.fixture
def project(admin: User) -> Project:
    return factories.make_project(k=1, maximum=1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_360_pixels(visit: Visitor, admin: User, project: Project, scheme: str) -> None:
    factories.make_comparison(project, response_1=LONG_WORD, external_id=LONG_WORD[:200])
    factories.judge(factories.make_comparison(project, response_2="word " * 900, priority=1))
    Invitation.create(project, role="annotator", note="somebody", created_by=admin)
    page = visit.page(admin, "/projects/", width=360, color_scheme=scheme)
    for path in paths(project):
        response = page.goto(path)
        assert response is not None
        assert response.status == 200, path
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_logging_in_and_out_by_form(visit: Visitor, project: Project) -> None:
    visit.expect_problem("autocomplete")
    member = factories.make_member(project)
    page = visit.page(None, f"/projects/{project.slug}/")
    page.get_by_label("Username").fill(member.username)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("correct username and password")
    page.get_by_label("Username").fill(member.username)
    page.get_by_label("Password").fill(factories.PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name=project.name)).to_be_visible()
    page.get_by_label("Account menu").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_an_invitation_makes_an_account_and_a_member(
    visit: Visitor, admin: User, project: Project
) -> None:
    page = visit.page(admin, f"/projects/{project.slug}/members/")
    page.get_by_role("button", name="Make a link").click()
    link = page.locator("#invitation-link").inner_text()
    newcomer = visit.page(None, link)
    newcomer.get_by_label("Username").fill("newcomer")
    for label in ("Password", "Password confirmation"):
        newcomer.get_by_label(label, exact=True).fill("a long enough phrase")
    newcomer.get_by_role("button", name="Make my account").click()
    expect(newcomer.get_by_role("heading", name=project.name)).to_be_visible()
    membership = Membership.objects.get(user__username="newcomer")
    assert (membership.project, membership.role) == (project, "annotator")


def test_the_api_opened_in_a_browser_is_json(visit: Visitor, admin: User, project: Project) -> None:
    visit.expect_problem("404")  # a page without a head asks for favicon.ico
    page = visit.page(admin, "/api/v1/projects")
    assert project.slug in page.locator("body").inner_text()
    assert page.evaluate("document.contentType") == "application/json"


def test_the_theme_is_kept(visit: Visitor, admin: User) -> None:
    page = visit.page(admin, "/projects/", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Switch between light and dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark


def test_a_project_is_made_and_labelled_from_its_first_page(visit: Visitor, admin: User) -> None:
    page = visit.page(admin, "/projects/")
    page.get_by_role("link", name="New project").first.click()
    page.get_by_label("Name").fill("Street photographs")
    page.get_by_role("button", name="Make the project").click()
    page.wait_for_url("**/imports/")
    made = Project.objects.get()
    assert page.url.endswith(f"/projects/{made.slug}/imports/")
    assert Membership.objects.get().role == "manager"
    factories.make_comparison(made)
    page.goto("/projects/")
    page.get_by_role("link", name="Label Street photographs").click()
    page.wait_for_url("**/label/")
    page.evaluate(PAINTED)
    page.get_by_role("button", name="Response A").click()
    expect(page.locator("#label-progress")).to_contain_text("1 by you")
    assert Judgment.objects.count() == 1


def test_pages_fit_a_project_with_a_name_of_one_long_word(
    visit: Visitor, admin: User, project: Project
) -> None:
    Project.objects.filter(pk=project.pk).update(name=LONG_WORD[:120])
    factories.judge(factories.make_comparison(project))
    exporting.make_release(project)
    page = visit.page(admin, "/projects/", width=360)
    for path in (
        f"/projects/{project.slug}/releases/1/",
        *(f"/projects/{project.slug}/{one}" for one in people(project)),
        "/",
        "/training/new/",
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_a_double_click_makes_one_of_everything(visit: Visitor, admin: User) -> None:
    page = visit.page(admin, "/new-project/")
    page.get_by_label("Name").fill("Twice")
    page.get_by_role("button", name="Make the project").dblclick()
    page.wait_for_url("**/imports/")
    assert Project.objects.count() == 1
    page.goto(f"/projects/{Project.objects.get().slug}/members/")
    page.get_by_role("button", name="Make a link").dblclick()
    expect(page.locator("#invitation-link")).to_be_visible()
    assert Invitation.objects.count() == 1
