"""What a run needs of runs before it is known before they have run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.annotation.api import Api
from tests.factories import make_member, make_project
from tests.training.factories import make_base, make_checkpoint, make_common, make_run
from tests.training.test_views import make_release
from training.models import Run
from training.runs import requests
from training.runs.requests import Refused, Step

pytestmark = pytest.mark.django_db

TOLD = [
    ({"token_reward_coefficient": 1.0}, {"token_coefficient": 1.0}),
    ({"ensemble_pessimism": 1.0}, {"ensemble": 3}),
]
"""What PPO asks, and the reward model that can answer."""


@pytest.mark.parametrize(("asked", "able"), TOLD)
def test_a_chain_whose_reward_model_will_lack_what_ppo_asks_is_refused(
    asked: dict[str, Any], able: dict[str, Any]
) -> None:
    common = make_common()
    for steps in (
        [Step("fake_reward"), Step("fake_ppo", asked)],
        [Step("fake_reward", able), Step("fake_reward"), Step("fake_ppo", asked)],
    ):
        with pytest.raises(Refused) as refused:
            requests.request_chain(common, steps, name="Chain")
        assert refused.value.field == f"settings.{next(iter(asked))}"
    assert not Run.objects.exists()
    steps = [Step("fake_reward", able), Step("fake_evaluation"), Step("fake_ppo", asked)]
    requests.request_chain(common, steps, name="Chain")


@pytest.mark.parametrize(("asked", "able"), TOLD)
def test_a_reward_model_that_is_named_has_to_answer_what_ppo_asks(
    asked: dict[str, Any], able: dict[str, Any]
) -> None:
    common = make_common()
    for changes in ({}, able):
        made_by = make_run(common.project, base=common.base, changes=changes)
        model = make_checkpoint(made_by, kind="reward_model")
        named = replace(common, reward_model=model)
        if changes:
            assert requests.request_run(named, Step("fake_ppo", asked)).reward_model == model
            continue
        with pytest.raises(Refused) as refused:
            requests.request_run(named, Step("fake_ppo", asked))
        assert refused.value.field == f"settings.{next(iter(asked))}"


def test_nothing_goes_on_from_a_whole_model_as_if_it_were_a_policy() -> None:
    whole = make_run(preset="small-world")
    whole.settings = {**whole.settings, "full_model": True}
    whole.kind = "sft"
    whole.save()
    common = make_common(whole.project, base=whole.base)
    for step in (Step("fake_evaluation"), Step("sample", options={"prompts": 5})):
        with pytest.raises(Refused, match="which is a base and no policy"):
            requests.request_run(common, step, after=whole)


def test_a_whole_model_does_not_begin_from_an_adapter() -> None:
    first = make_run(preset="small-world")
    common = make_common(first.project, base=first.base, release=make_release(first.project))
    common = replace(common, preset="small-world", policy=make_checkpoint(first))
    with pytest.raises(Refused, match=r"settings\.full_model: cannot begin from an adapter"):
        requests.request_run(common, Step("sft", {"full_model": True}))
    assert requests.request_run(replace(common, policy=None), Step("sft", {"full_model": True}))


@pytest.mark.parametrize(
    ("kind", "changes", "model", "field"),
    [
        ("ppo", {"sampler": "vllm"}, {"sharded": True}, "settings.sampler"),
        ("ppo", {"sampler": "vllm"}, {"quantization": "nf4"}, "settings.sampler"),
        ("reward", {}, {"sharded": True, "quantization": "nf4"}, "model.sharded"),
        ("sft", {"full_model": True}, {"dtype": "bfloat16"}, "settings.full_model"),
    ],
)
def test_rest_says_what_the_engine_would_refuse(
    kind: str, changes: dict[str, Any], model: dict[str, Any], field: str
) -> None:
    project = make_project()
    body = {"project": project.slug, "base": make_base().pk, "kind": kind}
    body |= {"settings": changes, "model": model}
    answer = Api(make_member(project, "manager")).post("runs", body)
    assert (answer.status_code, answer.json().get("field")) == (422, field), answer.content
    assert not Run.objects.exists()
