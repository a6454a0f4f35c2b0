from __future__ import annotations

from collections.abc import Iterator

import pytest

from annotation.machine import labellers
from tests.annotation.machine import factories


@pytest.fixture(autouse=True)
def oracle() -> Iterator[None]:
    factories.register()
    yield
    labellers._labellers.pop("oracle", None)
