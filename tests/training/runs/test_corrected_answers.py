"""Fine-tuning on corrections of a release: which answers are learnt, and when there are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotation.exporting import make_release
from tests.factories import judge, make_comparison, make_project
from tests.training.factories import make_common
from training.api.serializers import RunSerializer
from training.runs import kinds, requests
from training.runs.requests import Refused, Step

pytestmark = pytest.mark.django_db


@pytest.fixture
def release() -> Any:
    """One better answer corrected, one worse answer corrected, one pair as it is."""
    project = make_project(k=1)
    for id, corrected in (("a", 1), ("b", 2), ("c", None)):
        given = [{"response": corrected, "text": f"Corrected {id}."}] if corrected else []
        pair = make_comparison(project, external_id=id, response_1="One.", response_2="Two.")
        judge(pair, "2", corrections=given)
    return make_release(project, held_out_share=0)


def answers(release: Any, options: dict[str, Any], directory: Path) -> list[str]:
    common = make_common(release.project, release=release)
    run = requests.request_run(common, Step("sft", options=options))
    kinds.get("sft").write_data(run, directory)
    lines = (directory / "data" / "train.jsonl").read_text().splitlines()
    return [json.loads(line)["conversations"][-1]["value"] for line in lines]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["One.", "One.", "One."]),
        ({"answers": "corrected_too"}, ["Corrected a.", "One.", "One."]),
        ({"answers": "corrected"}, ["Corrected a.", "Corrected b."]),
    ],
)
def test_fine_tuning_learns_the_answers_asked_for(
    release: Any, options: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    assert answers(release, options, tmp_path) == expected


def test_a_run_of_before_learns_what_it_did(release: Any, tmp_path: Path) -> None:
    run = requests.request_run(make_common(release.project, release=release), Step("sft"))
    run.options = {}
    kinds.get("sft").write_data(run, tmp_path)
    assert "One." in (tmp_path / "data" / "train.jsonl").read_text()


def test_a_run_says_for_how_many_preferences_it_has_corrections(release: Any) -> None:
    run = requests.request_run(make_common(release.project, release=release), Step("dpo"))
    found = {join["what"]: (join["found"], join["of"]) for join in RunSerializer(run).data["joins"]}
    assert found == {"facts": (3, 3), "marked words": (0, 3), "corrections": (2, 3)}


@pytest.mark.parametrize(
    ("step", "field"),
    [
        (Step("sft", options={"answers": "corrected"}), "options.answers"),
        (Step("dpo", changes={"corrections": "only"}), "settings.corrections"),
        (Step("reward", changes={"corrections": "only"}), "settings.corrections"),
        (Step("sft", options={"answers": "none"}), "options.answers"),
    ],
)
def test_learning_from_corrections_alone_needs_some(step: Step, field: str) -> None:
    project = make_project(k=1)
    judge(make_comparison(project), "2")
    release = make_release(project, held_out_share=0)
    with pytest.raises(Refused) as refused:
        requests.request_run(make_common(project, release=release), step)
    assert refused.value.field == field
