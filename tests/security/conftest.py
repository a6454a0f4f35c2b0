"""The installation that the promises are tried on."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache

from tests.security.world import World, make_world


@pytest.fixture
def world(db: Any) -> World:
    cache.clear()  # What the throttles counted in other tests.
    return make_world()
