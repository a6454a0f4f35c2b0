from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.vllm.running import Made

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp)


@pytest.fixture
def tell(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """A line of figures, which stands at the end of the output."""
    return pytestconfig.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.write_line(line)
