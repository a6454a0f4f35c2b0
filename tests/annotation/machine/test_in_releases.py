"""Machines' votes are told from people's in everything that leaves, and can be left out."""

from __future__ import annotations

import json
import re

import pytest

from annotation import exporting
from annotation.exporting.dataset_card import dataset_card
from annotation.machine import deciding
from annotation.progress import progress_of
from annotation.releases import freezing
from tests.annotation.machine.factories import certified
from tests.factories import judge, make_comparison, make_project
from training.rlhf.contract import PreferencePair

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    """Two comparisons that people decided, and those of a machine."""
    project = make_project(k=1)
    for _ in range(2):
        judge(make_comparison(project), "1")
    certified(project, waiting=60)
    return project


def lines(release, name):
    return b"".join(exporting.stream(release, name)).decode().splitlines()


def test_every_format_says_who_decided(project):
    taken = project.machine_labellings.get().certificate["taken"]
    release = exporting.make_release(project)
    assert release.counts["by_machine"] == taken > 0
    said = {
        "llava_rlhf": [
            json.loads(line).get("decided_by", "people") for line in lines(release, "llava_rlhf")
        ],
        "trl": [json.loads(line)["decided_by"] for line in lines(release, "trl")],
        "csv": [line.rpartition(",")[2] for line in lines(release, "csv")[1:]],
        "rlhf_v": [
            json.loads(json.loads(line)["origin_split"]).get("decided_by", "people")
            for line in lines(release, "rlhf_v")
        ],
    }
    assert {name: found.count("machine") for name, found in said.items()} == dict.fromkeys(
        said, taken
    )
    votes = [json.loads(line) for line in lines(release, "votes")]
    by_machine = [one for one in votes if "machine" in one]
    assert len(by_machine) == taken
    assert all(one["annotator"] is None for one in by_machine)
    assert by_machine[0]["machine"]["name"] == "Oracle"
    assert release.counts["judgments"] == len(votes) - taken, "no answer of a person"
    pairs = [PreferencePair.from_json(json.loads(line)) for line in lines(release, "llava_rlhf")]
    assert len(pairs) == release.counts["preferences"]


def test_the_certificate_goes_with_the_release_and_stays(project):
    found = project.machine_labellings.get()
    release = exporting.make_release(project)
    assert release.machine_labels == [found.certificate]
    with release.artefact.open() as file:
        assert json.loads(file.readline())["machine_labels"] == [found.certificate]
    [told] = [one["text"] for one in release.warnings if one["code"] == "machine_votes"]
    assert re.search(r"A machine decided \d+ of \d+ preferences: Oracle, at most 10.0%", told)
    assert "certified on" in dataset_card(release)
    assert freezing.freeze_again(release), "the same bytes"
    deciding.withdraw(found, reason="Enough.")
    release.refresh_from_db()
    assert release.machine_labels == [found.certificate]
    assert exporting.make_release(project).machine_labels == []


def test_a_release_without_machines_is_as_if_there_were_none(project):
    release = exporting.make_release(project, policy={"machine_votes": False})
    assert (release.counts["by_machine"], release.machine_labels) == (0, [])
    assert all(
        "decided_by" not in line for name in exporting.FORMATS for line in lines(release, name)
    )
    assert "machine_votes" not in {one["code"] for one in release.warnings}


def test_figures_of_people_have_no_machine_in_them(project):
    before = exporting.make_release(project, policy={"machine_votes": False})
    counted = progress_of(project)
    assert counted.by_machine == project.machine_labellings.get().certificate["taken"]
    assert exporting.make_release(project).agreement == before.agreement
    assert counted.judgments == 24, "two answers, and those that the sample stands for"
