"""Asking for runs: complete settings, and refusals that name the field."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from annotation.models import Release
from tests.factories import make_admin, make_project
from tests.training.factories import make_base, make_checkpoint, make_common, make_run
from training.api.serializers import RunSerializer
from training.checkpoints import registry
from training.models import Chain, Run
from training.rlhf.contract import Kind
from training.runs import kinds, requests, scheduling
from training.runs.requests import Refused, Step

pytestmark = pytest.mark.django_db


def refusal(common: requests.Common, step: Step, **more: Any) -> str:
    before = Run.objects.count()
    with pytest.raises(Refused) as refused:
        requests.request_run(common, step, **more)
    assert Run.objects.count() == before
    return refused.value.field


def test_settings_are_saved_complete_with_changes_on_top_of_the_preset() -> None:
    spec = requests.complete_spec(
        Kind.PPO, "paper", {"sampling": {"response_length": 64}}, {"quantization": "none"}
    )
    settings = spec.to_json()["settings"]
    assert settings["sampling"] == {
        "temperature": 1.0,
        "top_p": 1.0,
        "query_length": 128,
        "response_length": 64,
    }
    assert settings["kl_estimator"] == "k1_clamped"
    assert spec.model.quantization == "none"
    assert spec.model.pad_images_to_square


@pytest.mark.parametrize(("preset", "advantage"), [("rloo", "leave_one_out"), ("grpo", "group")])
def test_a_chain_without_a_critic_trains_its_reward_model_as_usual(
    preset: str, advantage: str
) -> None:
    ppo = requests.complete_spec(Kind.PPO, preset, {}, {}).to_json()["settings"]
    assert ppo["advantage"] == advantage and ppo["responses_per_prompt"] > 1
    asked = requests.complete_spec(Kind.REWARD, preset, {}, {})
    assert asked == requests.complete_spec(Kind.REWARD, "default", {}, {})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"advantage": "group"}, "settings.responses_per_prompt"),
        ({"lora": 3}, "settings.lora"),
        ({"lora": {"rank": 0}}, "settings.lora.rank"),
        ({"lora": {"size": 3}}, "settings.lora.size"),
        ({"kl_estimator": "k2"}, "settings.kl_estimator"),
    ],
)
def test_a_bad_setting_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        requests.complete_spec(Kind.PPO, "default", changes, {})
    assert refused.value.field == field


def test_models_must_be_what_they_are_given_as() -> None:
    common = make_common()
    run = make_run(common.project, base=common.base)
    policy = make_checkpoint(run)
    stranger = make_checkpoint(make_run(common.project), kind="reward_model")
    step = Step("fake_ppo")
    assert refusal(replace(common, base=policy), step) == "base"
    assert refusal(replace(common, reward_model=policy), step) == "reward_model"
    assert refusal(replace(common, reward_model=stranger), Step("score")) == "reward_model"
    assert refusal(common, step) == "reward_model"


def test_ppo_may_take_a_reward_model_of_another_base(tmp_path: Path) -> None:
    """As the paper did: both bases are handed to the engine."""
    common = make_common()
    other = registry.register_base("larger", source="hub/larger")
    maker = make_run(common.project, base=other)
    model = make_checkpoint(maker, kind="reward_model", base=other)
    run = requests.request_run(replace(common, reward_model=model), Step("fake_ppo"))
    assert run.reward_model == model
    assert kinds.spec_for(run, tmp_path).reward_base == "hub/larger"
    own = make_checkpoint(make_run(common.project, base=common.base), kind="reward_model", step=2)
    run = requests.request_run(replace(common, reward_model=own), Step("fake_ppo"))
    assert kinds.spec_for(run, tmp_path).reward_base is None


def test_a_release_must_be_ready_and_of_the_project() -> None:
    common = make_common()
    building = Release.objects.create(project=common.project, number=1)
    foreign = Release.objects.create(project=make_project(), number=1)
    step = Step("reward")
    assert refusal(replace(common, release=building), step) == "release"
    assert refusal(replace(common, release=foreign), step) == "release"
    assert refusal(common, step) == "release"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"gpus": -1}, "gpus"),
        ({"gpus": 65}, "gpus"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"seed": -1}, "seed"),
        ({"preset": "best"}, "preset"),
    ],
)
def test_bounds_are_kept(wrong: dict[str, Any], field: str) -> None:
    assert refusal(make_common(**wrong), Step("fake_reward")) == field


def test_a_run_comes_after_a_run_of_its_project_that_can_still_succeed() -> None:
    ended = make_run()
    scheduling.cancel(ended)
    common = make_common(ended.project, base=ended.base)
    assert refusal(common, Step("fake_reward"), after=ended) == "after"
    assert refusal(common, Step("fake_reward"), after=make_run()) == "after"


def test_a_model_named_for_a_chain_serves_until_the_chain_makes_a_newer_one() -> None:
    common = make_common()
    run = make_run(common.project, base=common.base)
    policy, model = make_checkpoint(run), make_checkpoint(run, kind="reward_model", step=1)
    common = replace(common, policy=policy, reward_model=model)
    steps = [Step("fake_ppo"), Step("fake_evaluation")]
    chain = requests.request_chain(common, steps, name="Chain")
    ppo, evaluation = chain.runs.order_by("pk")
    assert (ppo.policy, ppo.reward_model) == (policy, model)
    assert (evaluation.policy, evaluation.reward_model) == (None, None)


def test_two_runs_of_a_kind_in_a_chain_have_names_of_their_own() -> None:
    steps = [Step("fake_reward"), Step("fake_ppo"), Step("fake_reward")]
    chain = requests.request_chain(make_common(), steps, name="Chain")
    names = [run.name_in_chain for run in chain.runs.order_by("pk")]
    first, _, third = names
    assert third == f"{first} 2"
    assert len(set(names)) == 3


def test_a_chain_is_queued_whole_or_not_at_all() -> None:
    common = make_common(base=make_base())
    with pytest.raises(Refused):
        requests.request_chain(common, [Step("fake_reward"), Step("magic")], name="Chain")
    with pytest.raises(Refused):
        requests.request_chain(common, [], name="Chain")
    assert not Run.objects.exists()
    assert not Chain.objects.exists()


def released(**counts: int) -> requests.Common:
    """What a run is asked for with, of a release with these counts."""
    project = make_project()
    release = Release.objects.create(
        project=project, number=1, state="ready", counts=counts, sha256="a", artefact="a"
    )
    return make_common(project, release=release)


@pytest.mark.parametrize(
    ("counts", "changes", "refused"),
    [
        ({"with_facts": 0}, {}, True),
        ({"with_facts": 0}, {"with_facts": False}, False),
        ({"with_facts": 1}, {}, False),
        ({}, {}, False),  # a release of before facts were counted
    ],
)
def test_a_reward_model_with_facts_of_a_release_without_any_is_refused(
    counts: dict[str, int], changes: dict[str, Any], refused: bool
) -> None:
    common, step = released(preferences=40, **counts), Step("reward", changes=changes)
    if refused:
        assert refusal(common, step) == "settings.with_facts"
        with pytest.raises(Refused, match="facts for 0 of 40 preferences: import captions"):
            requests.request_run(common, step)
    else:
        assert requests.request_run(common, step).pk


@pytest.mark.parametrize(
    ("kind", "changes", "field"),
    [
        ("reward", {"token_coefficient": 1.0}, "settings.token_coefficient"),
        ("dpo", {"dense": True}, "settings.dense"),
    ],
)
def test_marked_words_are_not_learnt_from_a_release_without_any(
    kind: str, changes: dict[str, Any], field: str
) -> None:
    step = Step(kind, changes=changes)
    none = {"preferences": 40, "with_facts": 40, "with_marks": 0, "with_corrections": 0}
    assert refusal(released(**none), step) == field
    assert requests.request_run(released(**none | {"with_marks": 1}), step).pk
    corrected = Step(kind, changes=changes | {"corrections": "add"})
    assert requests.request_run(released(**none | {"with_corrections": 1}), corrected).pk


def test_a_run_says_for_how_many_preferences_it_has_facts(client: Any) -> None:
    run = requests.request_run(released(preferences=1200, with_facts=1100), Step("reward"))
    joins = [{"what": "facts", "found": 1100, "of": 1200}]  # of before marks were counted
    assert RunSerializer(run).data["joins"] == joins
    client.force_login(make_admin())
    page = client.get(run.get_absolute_url()).content.decode()
    assert "for 1,100 of 1,200 preferences" in page
