"""From a release to a published score with one click, on the small world, by a real worker.

With SCREENSHOTS=FOLDER the pages on the way are photographed there, wide and narrow, light and
dark.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Project, Release, User
from benchmark.models import Judge
from tests import factories
from tests.benchmark.test_small_world_evaluation import small_world_questions
from tests.browser.conftest import Visitor
from tests.browser.small_world_release import caption_release
from tests.training.workers import celery_worker
from training.models import Run

pytestmark = [pytest.mark.browser, pytest.mark.chain]

PATIENCE = 300_000  # Milliseconds; a machine that is busy with other things is not a failure.
SMALL = {
    "reward.max_steps": 4,
    "reward.batch_size": 8,
    "ppo.steps": 2,
    "ppo.rollout_batch_size": 16,
    "ppo.batch_size": 16,
}


@pytest.fixture
def admin(live_server: Any, settings: Any, tmp_path: Path) -> User:
    settings.RUNS_ROOT = tmp_path / "runs"
    return factories.make_admin("maria")


@pytest.fixture
def release(admin: User, tmp_path: Path) -> Release:
    questions = tmp_path / "questions"
    questions.mkdir()
    small_world_questions(questions)
    Judge.objects.get_or_create(name="exact", kind="exact")
    return caption_release(admin, scenes=40, held_out_share=0.2)


def test_one_click_leads_from_a_release_to_a_published_score(
    visit: Visitor, admin: User, release: Release, tmp_path: Path
) -> None:
    page = visit.page(admin, release.get_absolute_url())
    page.set_default_timeout(PATIENCE)
    page.get_by_role("link", name="Train from this release").click()
    page.get_by_label("Preset").select_option("small-world")
    for name, value in SMALL.items():
        page.locator(f'[name="{name}"]').fill(str(value))
    expect(page.get_by_role("checkbox", name="Evaluation", exact=True)).to_be_checked()
    for name in ("question_set", "judge"):
        page.locator(f'[name="evaluation.options-{name}"]').select_option(index=1)
    look(page, "1-form")
    page.get_by_role("button", name="Start").click()
    name = f"{release.project.name}, release 1: PPO"
    expect(page.get_by_role("link", name=name)).to_be_visible()
    assert list(Run.objects.order_by("pk").values_list("kind", flat=True)) == [
        "reward",
        "ppo",
        "evaluation",
    ]
    with celery_worker(tmp_path):
        look(page, "2-runs")
        page.get_by_role("link", name=name).click()
        expect(page.locator("#live")).to_contain_text("Finished", timeout=PATIENCE)
        expect(page.locator("#samples article").first).to_contain_text("reward", timeout=PATIENCE)
        look(page, "3-ppo")
        page.get_by_role("navigation", name="Runs of this chain").get_by_text("Evaluation").click()
        page.get_by_role("link", name="See the result").click(timeout=PATIENCE)
        expect(page.locator("main")).to_contain_text("Complete", timeout=PATIENCE)
        look(page, "4-score")
    page.goto("/benchmarks/")
    expect(page.locator("main")).to_contain_text(name)
    look(page, "5-leaderboard")
    policy = Run.objects.get(kind="ppo").checkpoints.get(final=True)
    page.goto(policy.get_absolute_url())
    picture = page.get_by_role("region", name="Lineage as a picture")
    for part in ("Labels", "Release 1", "Reward model", "score"):
        expect(picture).to_contain_text(part)
    look(page, "6-policy")


def look(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if not folder:
        return
    before = page.viewport_size
    for width, height in ((1440, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(800)
            page.screenshot(path=f"{folder}/{name}-{width}-{scheme}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    if before is not None:
        page.set_viewport_size(before)


def test_the_project_offers_the_next_round(visit: Visitor, admin: User, release: Release) -> None:
    """What has no model yet says how to get one; the buttons come with the models."""
    project: Project = release.project
    page = visit.page(admin, project.get_absolute_url())
    expect(page.locator("aside")).to_contain_text("No model has been trained from this project")
    page.get_by_role("link", name="Reward model").click()
    expect(page.locator("main")).to_contain_text("Train a reward model from a release")
