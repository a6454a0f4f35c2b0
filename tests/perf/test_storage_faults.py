"""Storage whose writers die at each step: a sample of the steps, on a real disk that fills."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from perf.storage_faults import Child, break_scene, child, fill_disk
from perf.storage_scenes import SCENES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chain]

KILLS = 10


@pytest.fixture
def hand(settings: Any, tmp_path: Path) -> Iterator[Child]:
    settings.MEDIA_ROOT = tmp_path / "storage"
    settings.MEDIA_ROOT.mkdir()
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.training.worker_settings",
        "TEST_DATABASE": connection.settings_dict["NAME"],
        "TEST_STORAGE": str(settings.MEDIA_ROOT),
        "PYTHONPATH": str(django_settings.BASE_DIR),
    }
    with child(environment) as started:
        yield started


@pytest.mark.parametrize("name", SCENES)
def test_what_is_stored_is_whole_or_absent_wherever_its_writer_dies(
    hand: Child, tmp_path: Path, name: str
) -> None:
    found = break_scene(name, hand, tmp_path, most_kills=KILLS)
    assert (found.reachable, found.in_the_end) == ([], [])
    assert found.steps > 50 and found.killed >= KILLS - 1  # The last step is not always reached.
    assert found.torn and found.failed


@pytest.mark.parametrize("name", SCENES)
def test_what_is_stored_on_a_full_disk_is_whole_or_absent(
    hand: Child, tmp_path: Path, small_disk: Path, name: str
) -> None:
    found = break_scene(name, hand, tmp_path, most_kills=2)
    fill_disk(found, hand, tmp_path, small_disk)
    assert (found.reachable, found.in_the_end) == ([], [])
    assert found.full
