"""A run says before it starts what will keep it waiting or make it worthless."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.test import Client

from annotation.models import Project, Release
from tests.factories import make_member, make_project
from tests.training.factories import make_checkpoint, make_run
from training.models import Run
from training.runs import doubts

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_host() -> None:
    cache.clear()


@pytest.mark.parametrize(
    ("hosts", "wanted", "said"),
    [
        ({"a": 0}, 1, "none has any"),
        ({"a": 0, "b": 2}, 4, "the largest has 2"),
        ({"a": 4}, 4, ""),
        ({"a": 0}, 0, ""),
        ({"a": 0, "b": None}, 8, ""),  # a cluster gives them
        ({}, 8, ""),  # nobody has looked for runs yet
    ],
)
def test_gpus_that_no_host_has(hosts: dict[str, int | None], wanted: int, said: str) -> None:
    for host, count in hosts.items():
        doubts.host_offers(host, count)
    found = doubts.about(Run(gpus=wanted))
    assert [one["code"] for one in found] == (["gpus_nowhere"] if said else [])
    assert said in "".join(one["text"] for one in found)


@pytest.mark.parametrize(
    ("counts", "few"),
    [
        ({"train": 10, "held_out": 2}, True),
        ({"train": 400, "held_out": 49}, True),
        ({"train": 400, "held_out": 50}, False),
    ],
)
def test_too_few_pairs(counts: dict[str, int], few: bool) -> None:
    release = Release(project=Project(name="Cats"), number=2, counts=counts)
    assert bool(doubts.about(Run(gpus=0, release=release))) is few


def test_a_reward_model_that_is_loaded_otherwise_than_it_was_trained() -> None:
    made_by = make_run(model_changes={"pad_images_to_square": True, "sharded": True})
    model = make_checkpoint(made_by, kind="reward_model")
    alike, other = ({**made_by.model, "sharded": False}, {**made_by.model, "dtype": "float32"})
    assert not doubts.about(Run(gpus=0, reward_model=model, model=alike))
    [found] = doubts.about(Run(gpus=0, reward_model=model, model=other))
    assert found["code"] == "loaded_otherwise"
    assert "trained with dtype bfloat16 and not float32:" in found["text"]


def test_the_page_says_it_while_the_run_waits() -> None:
    doubts.host_offers("host", 0)
    project = make_project()
    run = make_run(project, gpus=2)
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    page = client.get(run.get_absolute_url()).content.decode()
    assert "Know this before you wait for it" in page and "No host has 2 GPUs" in page
    assert "warnings</span>" in client.get("/training/").content.decode()
