"""Storage whose writers die at each step: a sample of the steps, on a real disk that fills."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from perf.storage_faults import (
    IN_A_BUCKET,
    KEYS,
    Child,
    break_scenario,
    break_scenario_in_bucket,
    child,
    fill_disk,
    server,
)
from perf.storage_scenarios import SCENARIOS
from tests.factories import make_comparison, make_project

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chain]

KILLS = 10
KILLS_IN_A_BUCKET = int(os.environ.get("KILLS_IN_A_BUCKET", "3"))
"""Before so many of the requests, in so many, and at so many of the steps; 1000 for all."""


@pytest.fixture(scope="module")
def loaded(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """It forks for each order, so one that has loaded everything will do for all."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.training.worker_settings",
        "TEST_DATABASE": connection.settings_dict["NAME"],
        "TEST_STORAGE": str(tmp_path_factory.mktemp("unused")),  # each order names its own
        "PYTHONPATH": str(django_settings.BASE_DIR),
        **KEYS,
    }
    with child(environment) as started:
        yield started


@pytest.fixture
def hand(loaded: Child, settings: Any, tmp_path: Path) -> Child:
    settings.MEDIA_ROOT = tmp_path / "storage"
    settings.MEDIA_ROOT.mkdir()
    return loaded


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_stored_is_whole_or_absent_wherever_its_writer_dies(
    hand: Child, tmp_path: Path, name: str
) -> None:
    found = break_scenario(name, hand, tmp_path, most_kills=KILLS)
    assert (found.reachable, found.in_the_end) == ([], [])
    assert found.steps > 50 and found.killed >= KILLS - 1  # The last step is not always reached.
    assert found.torn and found.failed


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_stored_on_a_full_disk_is_whole_or_absent(
    hand: Child, tmp_path: Path, small_disk: Path, name: str
) -> None:
    found = break_scenario(name, hand, tmp_path, most_kills=2)
    fill_disk(found, hand, tmp_path, small_disk)
    assert (found.reachable, found.in_the_end) == ([], [])
    assert found.full


@pytest.fixture
def bucket() -> Iterator[dict[str, str]]:
    with server() as options:
        yield options


@pytest.mark.parametrize("name", [name for name in IN_A_BUCKET if name != "image"])
def test_what_is_stored_in_a_bucket_is_whole_or_absent_wherever_its_writer_dies(
    bucket: dict[str, str], hand: Child, tmp_path: Path, name: str
) -> None:
    """One image is what tests/annotation/storage/test_buckets_killed.py stores."""
    found = break_scenario_in_bucket(name, hand, tmp_path, bucket, most_kills=KILLS_IN_A_BUCKET)
    print(name, found.steps, "steps;", found.killed, "killed,", found.torn, "torn", found.requests)
    assert (found.reachable, found.in_the_end) == ([], [])
    # A step or request near the end is not always reached.
    assert found.torn and found.killed >= 2 * min(KILLS_IN_A_BUCKET, len(found.requests)) - 2


def test_rows_of_another_storage_are_not_taken_for_those_of_the_scene(
    bucket: dict[str, str], hand: Child, tmp_path: Path
) -> None:
    """As in the whole run, which acts on a folder first."""
    make_comparison(make_project())
    found = break_scenario_in_bucket("image", hand, tmp_path, bucket, most_kills=2)
    assert (found.reachable, found.in_the_end) == ([], [])
