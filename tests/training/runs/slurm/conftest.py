"""A Slurm of one node, through which all runs of these tests go."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.training.slurm_cluster import Cluster, slurm_cluster


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with slurm_cluster(tmp_path_factory.mktemp("slurm"), nodes=1) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def through_slurm(settings: Any, cluster: Cluster) -> None:
    settings.RUN_LAUNCHER = "slurm"
    settings.SLURM_POLL_SECONDS = 0.2
    settings.RUN_STOP_SECONDS = 30
