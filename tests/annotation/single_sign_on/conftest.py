from __future__ import annotations

import pytest
from pytest_iam import Server

from tests.annotation.single_sign_on.provider import (
    Provider,
    canaille,
    iam_configuration,
    iam_server,
    iam_server_port,
)

__all__ = ["canaille", "iam_configuration", "iam_server", "iam_server_port"]


@pytest.fixture(scope="session")
def provider(canaille: Server) -> Provider:
    return Provider(canaille, "http://testserver")
