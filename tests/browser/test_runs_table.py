"""A person among many runs: finds, chooses, orders, groups and compares them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.models import User
from tests import factories
from tests.browser import training_pages
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import findings
from tests.training.factories import make_base
from tests.training.test_views import make_release
from training.models import Run
from training.runs.requests import Common

pytestmark = pytest.mark.browser


@pytest.fixture
def admin(live_server: Any) -> User:
    return factories.make_admin("maria")


@pytest.fixture
def runs(admin: User) -> list[Run]:
    """Two groups of three seeds, and one run that failed."""
    project = factories.make_project(slug="tables", name="Tables")
    factories.make_comparisons(project, 3)
    common = Common(
        project=project,
        requested_by=admin,
        base=make_base(),
        release=make_release(project),
        preset="small-world",
    )
    return training_pages.many_runs(common, groups=3, seeds=3, steps=20)


def names(page: Page) -> list[str]:
    return page.locator("#runs tbody tr .wide a").all_inner_texts()


def test_runs_are_found_chosen_and_compared(visit: Visitor, admin: User, runs: list[Run]) -> None:
    page = visit.page(admin, "/training/")
    page.get_by_role("searchbox").fill("rate 1e-05")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#runs tbody tr")).to_have_count(3)
    page.get_by_label(re.compile(rf"Choose .*, run {runs[0].pk}$")).check()
    # What polling brings in place of the rows has the tick again.
    with page.expect_response(lambda one: "/training/?q=" in one.url):
        page.evaluate(
            "htmx.ajax('GET', document.querySelector('#runs').getAttribute('hx-get'),"
            " {target: '#runs', swap: 'outerHTML'})"
        )
    expect(page.get_by_label(re.compile(rf"Choose .*, run {runs[0].pk}$"))).to_be_checked()
    # And so has another page of the table.
    page.goto("/training/")
    page.get_by_label(re.compile(rf"Choose .*, run {runs[3].pk}$")).check()
    compare = page.get_by_role("button", name="Compare 2")
    compare.click()
    expect(page.get_by_role("heading", name="2 compared")).to_be_visible()
    differing = page.get_by_role("region", name="Settings that differ")
    expect(differing).to_contain_text("optimizer.learning rate")
    expect(differing).not_to_contain_text("lora")
    charts = page.locator("figure.chart")
    expect(charts.locator("canvas")).to_have_count(3)
    first, second = charts.nth(0), charts.nth(1)
    expect(first.locator(".u-legend")).to_contain_text(runs[0].name)
    # The pointer over one chart reads all of them.
    readings = second.locator(".u-legend .u-value")
    expect(readings.nth(0)).to_have_text("–")  # noqa: RUF001
    first.locator(".u-over").hover(position={"x": 150, "y": 60})
    expect(readings.nth(0)).to_have_text(re.compile(r"^\d+$"))
    step = readings.nth(0).inner_text()
    assert first.locator(".u-legend .u-value").nth(0).inner_text() == step
    page.get_by_label("Smoothing").fill("0.9")
    expect(page.locator("output")).to_have_text("0.9")
    expect(first.locator("table").first).to_contain_text(runs[3].name)
    scores = page.get_by_role("region", name="Scores")
    expect(scores).to_contain_text("MMHal-Bench, a part")
    expect(page.locator(".compared-prompt")).to_have_count(2)
    page.get_by_role("link", name=f"make baseline of {runs[3].name}").click()
    expect(page.get_by_text("baseline", exact=True)).to_be_visible()
    for chart in charts.all():
        expect(chart.locator(".u-legend")).to_contain_text(f"{runs[3].name} (baseline)")
    assert findings(page) == []
    # Six colours: the seventh curve is dashed, and so is its mark in the legend.
    page.goto("/training/compare/?" + "&".join(f"run={run.pk}" for run in runs))
    markers = page.locator("figure.chart").first.locator(".u-legend .u-marker")
    expect(markers.nth(6)).to_have_css("border-top-style", "solid")
    expect(markers.nth(7)).to_have_css("border-top-style", "dashed")


def test_columns_pins_tags_and_the_archive_are_kept(
    visit: Visitor, admin: User, runs: list[Run]
) -> None:
    page = visit.page(admin, "/training/")
    page.get_by_role("link", name="Columns").click()
    page.get_by_label("Find a column").fill("held out")
    expect(page.get_by_label("Progress")).to_be_hidden()
    page.get_by_label("Held out accuracy").check()
    page.get_by_label("Find a column").fill("")
    page.get_by_label("Progress").uncheck()
    assert findings(page) == []
    page.get_by_role("button", name="Show these").click()
    page.get_by_role("link", name="Held out accuracy").click()
    expect(page.locator("[aria-sort=descending]")).to_contain_text("Held out accuracy")
    page.get_by_label(f"Pin {runs[-1].name}, run {runs[-1].pk}").click()
    expect(page.locator("#runs tbody tr").first).to_contain_text(runs[-1].name)
    expect(page.locator("[aria-pressed=true]")).to_have_count(1)
    for run in runs[:2]:
        page.get_by_label(re.compile(rf"Choose .*, run {run.pk}$")).check()
    page.get_by_text("Change 2").click()
    page.get_by_label("Tag of the chosen runs").fill("to write up")
    assert findings(page) == []
    page.get_by_role("button", name="Add tag").click()
    expect(page.get_by_text("Tagged “to write up”: 2 runs.")).to_be_visible()
    page.get_by_role("link", name="to write up").first.click()
    expect(page.locator("#runs tbody tr")).to_have_count(2)
    page.locator("#runs input[type=checkbox]").first.check()
    page.get_by_text("Change 1").click()
    page.get_by_role("button", name="Archive", exact=True).click()
    expect(page.locator("#runs tbody tr")).to_have_count(1)
    page.get_by_label("Archive").select_option("Archived")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#runs tbody tr")).to_have_count(1)
    page.locator("#runs tbody tr .wide a").first.click()
    page.get_by_role("button", name="Bring back").click()
    page.get_by_role("link", name="Name, tags, notes").click()
    page.get_by_label("Name").fill("The one of the paper")
    page.get_by_label("Notes").fill("Seed 0 is odd.")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("heading", name="The one of the paper")).to_be_visible()
    expect(page.get_by_text("Seed 0 is odd.")).to_be_visible()


def test_seeds_are_one_row_and_one_curve_with_a_band(
    visit: Visitor, admin: User, runs: list[Run]
) -> None:
    page = visit.page(admin, "/training/columns/")
    page.get_by_label("Held out accuracy").check()
    page.get_by_role("button", name="Show these").click()
    page.get_by_role("link", name="Groups").click()
    expect(page.locator("#runs tbody tr")).to_have_count(3)
    row = page.locator("#runs tbody tr", has_text=runs[2].name)
    expect(row).to_contain_text("n = 3")
    for run in (runs[2], runs[5]):
        page.get_by_label(f"Choose {run.name} and its seeds").check()
    assert findings(page) == []
    page.get_by_role("button", name="Compare 2").click()
    expect(page.get_by_text("with its 95 % interval as the band")).to_be_visible()
    legend = page.locator("figure.chart .u-legend").first
    expect(legend).to_contain_text(f"{runs[2].name}, 3 seeds")
    page.get_by_text("Figures as a table").first.click()
    cell = page.locator("figure.chart details td").nth(1)
    expect(cell).to_have_text(re.compile(r"^[\d.]+ \([\d.-]+ to [\d.-]+\)$"))
    drawing = page.locator("figure.chart [role=img]").first
    expect(drawing).to_have_attribute("aria-label", re.compile("3 seeds"))
    expect(page.get_by_role("region", name="Scores")).to_contain_text("mean of 3 seeds")
    assert findings(page) == []
