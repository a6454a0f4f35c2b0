"""What a reward model is worth, by a real worker: its report card by itself, and a benchmark.

The committed base can check a claim against facts, so a few steps make a reward model that reads
them; with the facts of another image it must then fall, and the page must say so.

The suite takes a few pairs of each group of VL-RewardBench; with EVERY_PAIR=1 the same run scores
all 1,250, which takes some minutes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from annotation.image_sources import Folder
from annotation.models import User
from benchmark.importing import import_questions
from benchmark.models import Evaluation, Judge, QuestionSet, ReportCard
from benchmark.protocols import vl_rewardbench
from tests import factories
from tests.browser.conftest import Visitor
from tests.browser.small_world_release import caption_release
from tests.shared import shared_data
from tests.training.workers import celery_worker
from training.models import Checkpoint, Run
from training.runs import requests

pytestmark = [pytest.mark.browser, pytest.mark.chain]

PATIENCE = 300_000  # Milliseconds; a machine that is busy with other things is not a failure.
FEW_STEPS = {"max_steps": 6, "batch_size": 16, "micro_batch_size": 16, "epochs": 50.0}
OF_EACH_GROUP = 1250 if os.environ.get("EVERY_PAIR") else 8


@pytest.fixture
def admin(live_server: Any, settings: Any, tmp_path: Path) -> User:
    settings.RUNS_ROOT = tmp_path / "runs"
    return factories.make_admin("maria")


def published_pairs(folder: Path) -> QuestionSet:
    """Some pairs of each group of the published file, with made pictures."""
    rows = [
        json.loads(line)
        for line in shared_data("vl_rewardbench", "data.jsonl").read_text("utf-8").split("\n")
        if line
    ]
    chosen: list[dict[str, Any]] = []
    for group in vl_rewardbench.GROUPS:
        mine = [one for one in rows if vl_rewardbench.pairs.group_of(one["id"]) == group]
        chosen += mine[:OF_EACH_GROUP]
    for row in chosen:
        picture = folder / row["image_path"]
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(factories.picture_bytes())
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, chosen)), encoding="utf-8")
    return import_questions("vl_rewardbench", folder / "data.jsonl", images_from=Folder(folder))


def test_a_reward_run_ends_in_a_report_and_a_benchmark_is_run_from_the_browser(
    visit: Visitor, admin: User, tmp_path: Path
) -> None:
    release = caption_release(admin, scenes=80, held_out_share=0.4)
    folder = tmp_path / "pairs"
    folder.mkdir()
    pairs = published_pairs(folder)
    Judge.objects.get_or_create(name="exact", kind="exact")
    common = requests.Common(
        project=release.project,
        requested_by=admin,
        base=Checkpoint.objects.get(kind=Checkpoint.Kind.BASE),
        release=release,
        preset="small-world",
    )
    reward = requests.request_run(common, requests.Step("reward", changes=FEW_STEPS))
    page = visit.page(admin, reward.get_absolute_url())
    page.set_default_timeout(PATIENCE)
    with celery_worker(tmp_path, TEST_REPORT_CARDS="1"):
        expect(page.locator("#live")).to_contain_text("Finished", timeout=PATIENCE)
        made = reward.checkpoints.get(final=True)
        # The report was asked for by the run itself.
        page.goto(Run.objects.get(kind="report_card").get_absolute_url())
        page.get_by_role("link", name="See the result").click(timeout=PATIENCE)
        main = page.locator("main")
        expect(main).to_contain_text("it reads the facts")
        expect(main).to_contain_text("it looks at what the responses are about")

        page.goto("/benchmarks/evaluations/new/")
        page.get_by_label("Model").select_option(str(made.pk))
        page.get_by_label("Benchmark").select_option(str(pairs.pk))
        page.get_by_label("Judge").select_option(label="exact")
        page.get_by_label("Preset").select_option("small-world")
        page.get_by_role("button", name="Start").click()
        page.get_by_role("link", name="See the result").click(timeout=PATIENCE)
        expect(page.locator("main")).to_contain_text("Complete", timeout=PATIENCE)
    figures = ReportCard.objects.get(checkpoint=made).figures
    fallen = figures["tests"]["other_facts"]
    assert fallen["shown"] and fallen["difference"] < -0.2
    evaluation = Evaluation.objects.get(checkpoint=made)
    # The tiny model has no room for the longest questions: pairs without an answer, and said so.
    answered = evaluation.answers.count()
    asked = pairs.questions.count()
    assert asked == (1250 if OF_EACH_GROUP == 1250 else 3 * OF_EACH_GROUP)
    assert 0.6 * asked < answered < asked
    page.goto(evaluation.get_absolute_url())
    expect(page.locator("main")).to_contain_text(f"{answered} of {asked}")
    assert 0 <= evaluation.summary["overall"]["value"] <= 100
    page.goto("/benchmarks/")
    expect(page.locator("main")).to_contain_text("VL-RewardBench")
    page.goto(made.get_absolute_url())
    expect(page.locator("main")).to_contain_text("held-out pairs")
