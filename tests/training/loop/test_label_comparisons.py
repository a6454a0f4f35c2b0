"""A reward model labels: its run is asked for, answers, fails with it, and is cancelled with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from annotation.machine import labelling
from annotation.models import MachineLabelling, Project
from tests.factories import make_comparisons, make_project
from tests.training.factories import make_common
from tests.training.loop.test_score_comparisons import make_reward_model
from training.loop.label_comparisons import KIND, LabelComparisons, answer
from training.models import Run
from training.runs import requests
from training.runs.requests import Step

pytestmark = pytest.mark.django_db
ASKED: dict[str, Any] = {
    **{"level": 0.3, "confidence": 0.8, "audit_share": 0.0, "sample_size": 5},
    "comparisons": 100,
}


def begun(project: Project) -> tuple[MachineLabelling, Run]:
    make_comparisons(project, 7)
    reward_model = make_reward_model(project)
    found = labelling.request(project, None, machine=f"reward_model:{reward_model.pk}", **ASKED)
    run = Run.objects.get(project=project, kind=KIND)
    assert run.reward_model == reward_model
    return found, run


def test_what_the_run_says_becomes_the_labels(tmp_path: Path) -> None:
    found, run = begun(make_project(k=1))
    kind = LabelComparisons()
    kind.write_data(run, tmp_path)
    lines = (tmp_path / "data" / "train.jsonl").read_text().splitlines()
    ids = [int(json.loads(line)["id"]) for line in lines]
    assert len(ids) == 7
    (tmp_path / "final").mkdir()
    said = dict.fromkeys(ids[:3], 0.9) | dict.fromkeys(ids[3:6], 0.2)
    scores = [{"id": str(one), "probability_1": chance} for one, chance in said.items()]
    (tmp_path / "final" / "scores.jsonl").write_text("\n".join(map(json.dumps, scores)))
    kind.finish(run, run.attempts.first(), tmp_path)  # type: ignore[arg-type]
    found.refresh_from_db()
    assert (found.state, found.done) == ("sampling", 7)
    rows = found.labels.order_by("comparison").values_list("more_hallucinated", "confidence")
    assert list(rows) == [("2", 0.9)] * 3 + [("1", 0.8)] * 3 + [("", None)]
    assert kind.result_url(run) == found.get_absolute_url()


def test_a_sure_preference_names_the_other_response() -> None:
    assert answer(0.5).more_hallucinated == ""
    assert (answer(0.7).more_hallucinated, answer(0.7).confidence) == ("2", 0.7)


def test_a_run_that_failed_fails_the_labelling_and_is_resumed_with_it() -> None:
    found, run = begun(make_project(k=1))
    labelling.watch()
    found.refresh_from_db()
    assert found.state == "labelling"
    Run.objects.filter(pk=run.pk).update(state="failed", finished_at=timezone.now())
    labelling.watch()
    found.refresh_from_db()
    assert (found.state, found.error) == ("failed", "Its run is failed.")
    labelling.resume(found)
    run.refresh_from_db()
    assert run.state == "queued"
    labelling.cancel(found)
    run.refresh_from_db()
    assert (found.state, run.state) == ("cancelled", "cancelled")


def test_nobody_asks_for_such_a_run_without_a_labelling() -> None:
    found, _ = begun(make_project(k=1))
    reward_model = make_reward_model(other := make_project())
    common = make_common(other, base=reward_model.base, reward_model=reward_model)
    with pytest.raises(requests.Refused, match="no labelling of this project"):
        requests.request_run(common, Step(KIND, options={"labelling": found.number}))
