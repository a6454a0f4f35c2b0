"""Kinds of run: registration, and what a run takes from the runs before it."""

from typing import Any

import pytest

from tests.training.factories import make_checkpoint, make_run
from tests.training.fake_app.fake_kinds import FakePpo, FakeReward
from training import setting_fields
from training.models import Run
from training.rlhf.contract import SETTINGS, Kind, settings_from_json
from training.rlhf.presets import PRESETS, preset_spec
from training.runs import kinds

pytestmark = pytest.mark.django_db


def test_the_same_kind_may_be_registered_twice_another_of_its_name_may_not() -> None:
    kinds.register(FakeReward())

    class Impostor(FakePpo):
        name = "fake_reward"

    with pytest.raises(ValueError, match="registered by FakeReward"):
        kinds.register(Impostor())


def test_kinds_of_training_and_of_other_apps_are_there_in_the_order_of_a_chain() -> None:
    names = [kind.name for kind in kinds.in_chains()]
    wanted = ["sft", "reward", "ppo", "dpo", "evaluation", "fake_evaluation", "sample"]
    assert [name for name in names if name in wanted] == wanted
    assert "score" not in names


def test_a_run_takes_the_nearest_checkpoint_of_each_kind_it_takes() -> None:
    reward = make_run()
    first = make_run(kind="fake_ppo", after=reward)
    second = make_run(kind="fake_ppo", after=first)
    model = make_checkpoint(reward, kind="reward_model")
    make_checkpoint(first, final=False, step=3)
    policy = make_checkpoint(first)
    assert kinds.settle_inputs(second) == {"reward_model": model, "policy": policy}
    assert kinds.settle_inputs(first) == {"reward_model": model}
    assert kinds.settle_inputs(reward) == {}


def test_what_a_run_names_itself_is_not_replaced() -> None:
    reward = make_run()
    make_checkpoint(reward, kind="reward_model")
    ppo = make_run(kind="fake_ppo", after=reward)
    own = make_checkpoint(make_run(reward.project, base=reward.base), kind="reward_model")
    Run.objects.filter(pk=ppo.pk).update(reward_model=own)
    ppo.refresh_from_db()
    assert kinds.settle_inputs(ppo) == {}


@pytest.mark.parametrize("engine", list(Kind))
def test_every_setting_has_a_field_that_changes_exactly_it(engine: Kind) -> None:
    start = preset_spec(engine, "default").to_json()["settings"]
    settings = setting_fields.settings_of(engine)

    def leaves(nested: dict[str, Any], path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        return {
            leaf
            for name, value in nested.items()
            for leaf in (
                leaves(value, (*path, name)) if isinstance(value, dict) else {(*path, name)}
            )
        }

    assert {setting.path for setting in settings} == leaves(start)
    for setting in settings:
        value = start
        for name in setting.path:
            value = value[name]
        sent = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        cleaned = setting.field.clean(sent)
        rebuilt = settings_from_json(engine, setting_fields.nest({setting.path: cleaned}))
        assert isinstance(rebuilt, SETTINGS[engine])
        assert setting.field.clean("") in (None, "")


def test_help_of_a_setting_says_what_each_preset_does() -> None:
    fields = {one.dotted: one.field for one in setting_fields.settings_of(Kind.PPO)}
    for preset in PRESETS:
        assert f"{preset}: " in str(fields["policy_optimizer.learning_rate"].help_text)
    assert fields["gamma"].help_text == "Discount. Presets: 1."
