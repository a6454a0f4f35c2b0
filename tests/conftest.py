"""What every test may use, in one process or in several side by side."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase
from hypothesis import HealthCheck, settings

from config import embedded
from tests import emptying, order
from tests.small_disks import mounted

# The suite draws the same examples each time, however busy the machine is; to look for new ones:
# pytest --hypothesis-profile=searching
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("steady", derandomize=True, **PATIENT)
settings.register_profile("searching", **PATIENT)
settings.load_profile("steady")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Each process of `pytest -n 2` has a folder to itself, and so a Postgres and a Valkey."""
    for spec in specs:
        spec.env["FACTLOOP_VAR"] = str(embedded.var_folder() / spec.id)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported and collected stays: garbage is not looked for in it, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = order.arrange(items, order.processes())


@pytest.fixture(scope="session", autouse=True)
def storage_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Uploaded and exported files of the tests go to a folder that is thrown away."""
    from django.test import override_settings

    with override_settings(MEDIA_ROOT=tmp_path_factory.mktemp("storage")):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(pytestconfig: pytest.Config) -> Iterator[None]:
    """Starts the private servers before the test database is created.

    Those of a session by hand stay for the next one.
    """
    embedded.start_if_needed()
    yield
    if hasattr(pytestconfig, "workerinput"):
        embedded.stop_valkey(embedded.var_folder())
        embedded.stop_postgres(embedded.var_folder())


@pytest.fixture(scope="session", autouse=True)
def names_start_anywhere(pytestconfig: pytest.Config) -> None:
    from tests import numbers

    numbers.start_names(pytestconfig.getoption("randomly_seed"))


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_setup: None, django_db_blocker: Any, pytestconfig: pytest.Config
) -> Iterator[None]:
    """As pytest-django's; rows start anywhere, and what a test commits is deleted."""
    from tests import numbers

    with django_db_blocker.unblock():
        numbers.start_rows(pytestconfig.getoption("randomly_seed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: emptying.empty())
        yield
    gc.collect()  # A connection that only garbage holds would keep the database from being removed.
    with django_db_blocker.unblock():
        emptying.leave_alone()


@pytest.fixture(scope="module")
def rows_of_the_module(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """What fixtures of the module write within this one is there for each of its tests.

    Each test is rolled back to it, so nobody needs to make a world anew for every question that is
    asked of it. Every test of such a module sees these rows.
    """
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        whole = transaction.atomic()
        whole._from_testcase = True  # So code that must not be within a transaction may be.
        with whole:
            # Each test's own transaction ends, as Django has it, with closing the connection.
            patch.setattr(connection, "close", lambda: None)
            yield
            transaction.set_rollback(True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small-disk", megabytes=16) as disk:
        yield disk
