"""The whole chain, small: labels over REST, a release, real workers, trainers, an exact judge."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from annotation.models import Judgment
from benchmark.models import Evaluation
from demo.console import Console
from demo.installation import Installation
from demo.loop import Plan, run_loop
from demo.processes import Processes
from tests.factories import make_admin
from tests.training.workers import celery_worker
from training.models import Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chain]

TWO_STEPS = Plan(
    prompts=24,
    annotators=2,
    noise=0.0,  # of so few answers a mistake or two would leave agreement that may be chance
    held_out_share=0.3,
    questions_per_type=1,
    measured_scenes=6,
    reward_changes={"max_steps": 2, "batch_size": 4},
    ppo_changes={"steps": 2, "rollout_batch_size": 8, "batch_size": 8},
)


def test_labels_become_scores_on_the_dashboard(
    live_server: Any, settings: Any, tmp_path: Path
) -> None:
    settings.RUNS_ROOT = tmp_path / "runs"
    admin = make_admin()
    stream = io.StringIO()
    with Processes(tmp_path / "logs", {}) as nothing_more, celery_worker(tmp_path):
        site = Installation(live_server.url, admin.username, "unused", tmp_path, nothing_more)
        run_loop(site, Console(stream), seed=1, plan=TWO_STEPS)

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["labels"] == Judgment.objects.count() > 0
    for name in ("base", "rlhf", "fact_rlhf"):
        assert report[name]["answers"] == 6
        for figure in ("hallucinating_answers", "coverage"):
            low, high = report[name]["intervals"][figure]
            assert 0 <= low <= report[name][figure] <= high <= 1
        assert 0 <= report[name]["mmhal_score"] <= 6
    assert list(report["greedy"]) == ["base", "rlhf", "fact_rlhf"]
    assert report["greedy_questions"] == 8
    for name, greedy in report["greedy"].items():
        assert list(greedy) == ["score", "hallucination_rate", "coverage"]
        assert greedy["score"] == pytest.approx(report[name]["mmhal_score"])
        assert 0 <= greedy["hallucination_rate"] <= 1
        assert 0 <= greedy["coverage"] <= 1
    for found in report["greedy_differences"].values():
        assert 0 < found["p"] <= 1
    for kind in ("plain", "fact"):
        assert 0 <= report["reward_model"][kind]["held_out_accuracy"] <= 1

    with_facts = Run.objects.get(kind="reward", chain__name="Fact-RLHF")
    assert with_facts.settings["with_facts"] is True
    assert not Run.objects.exclude(state="succeeded").exists()
    assert "Fact-RLHF" in stream.getvalue()

    client = Client()
    client.force_login(admin)
    page = client.get("/benchmarks/").content.decode()
    for evaluation in Evaluation.objects.all():
        assert evaluation.get_absolute_url() in page
