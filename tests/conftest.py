"""What every test may use. The private servers start with the session and end with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from config import embedded
from tests.small_disks import mounted


@pytest.fixture(scope="session", autouse=True)
def storage_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Uploaded and exported files of the tests go to a folder that is thrown away."""
    from django.test import override_settings

    with override_settings(MEDIA_ROOT=tmp_path_factory.mktemp("storage")):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> Iterator[None]:
    """Starts the private servers before the test database is created."""
    embedded.start_if_needed()
    yield


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small-disk", megabytes=16) as disk:
        yield disk
