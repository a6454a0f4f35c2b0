from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from tests.training.rlhf.conftest import MakeLearner
from training.rlhf.adapters import POLICY
from training.rlhf.contract import (
    LoraSettings,
    OptimizerSettings,
    PpoSettings,
    PromptRecord,
    SamplingSettings,
)
from training.rlhf.credit import advantages_of
from training.rlhf.experience import Learner, measure_rows, rollout
from training.rlhf.logprobs import token_logprobs
from training.rlhf.optimization import seed_step
from training.rlhf.ppo import rounds_in, shuffled_rows, update, updates_in
from training.rlhf.rollout import response_hidden
from training.rlhf.scoring import Scores


def one_round(made: Learner) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    records = made.run.records(PromptRecord)[:6]
    seed_step(0, "round", 0)
    trajectory, scores = rollout(made, records)
    metrics = update(made, trajectory, scores, round_number=0)
    return metrics, {name: p.detach().clone() for name, p in made.policy.parameters.items()}


def test_micro_batches_add_up_to_the_batch(make_learner: MakeLearner) -> None:
    figures, weights = one_round(make_learner("whole"))
    other, same = one_round(make_learner("parts", micro_batch_size=1))
    for name in ("policy_loss", "value_loss", "gradient_norm", "value_gradient_norm", "kl"):
        assert other[f"ppo/{name}"] == pytest.approx(figures[f"ppo/{name}"], rel=1e-3, abs=1e-6)
    for name in weights:
        torch.testing.assert_close(same[name], weights[name], atol=1e-4, rtol=1e-3)


def test_dropout_is_off_so_the_first_update_sees_the_probabilities_of_the_rollout(
    make_learner: MakeLearner,
) -> None:
    made = make_learner(lora=LoraSettings(rank=4, alpha=4, dropout=0.5), micro_batch_size=2)
    with torch.no_grad():
        for parameter in made.policy.parameters.values():
            parameter.normal_(std=0.2)  # a fresh adapter adds nothing that dropout could drop
    metrics, _ = one_round(made)
    assert metrics["ppo/kl_per_token"] != pytest.approx(0, abs=1e-3)
    assert metrics["ppo/update_kl"] == pytest.approx(0, abs=1e-6)
    assert metrics["ppo/clip_fraction"] == 0
    assert not made.model.base.training


def test_probabilities_are_those_at_the_temperature_of_sampling(make_learner: MakeLearner) -> None:
    """In measuring as in updating, or ratios and KL would be of another policy."""
    made = make_learner(sampling=SamplingSettings(temperature=0.5, response_length=6))
    seed_step(0, "round", 0)
    trajectory, scores = rollout(made, made.run.records(PromptRecord)[:6])
    ids, mask = trajectory.responses.ids, trajectory.responses.mask
    with torch.no_grad():
        hidden = response_hidden(made.model, POLICY, trajectory.prompts, ids, mask)
        expected = token_logprobs(made.model, hidden, ids, mask, temperature=0.5)
    torch.testing.assert_close(trajectory.logprobs, expected, atol=1e-5, rtol=1e-4)
    metrics = update(made, trajectory, scores, round_number=0)
    assert metrics["ppo/update_kl"] == pytest.approx(0, abs=1e-6)


def test_responses_to_one_prompt_are_updated_together() -> None:
    rows = shuffled_rows(12, 3)
    assert sorted(rows) == list(range(12))
    assert rows != sorted(rows)
    for start in range(0, 12, 3):
        first = rows[start]
        assert rows[start : start + 3] == [first, first + 1, first + 2] and first % 3 == 0


def test_shared_prompts_change_no_figure_of_a_round(
    make_learner: MakeLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three responses each to two prompts, against the same with nothing in common."""
    sharing = make_learner("sharing", responses_per_prompt=3)
    alone = make_learner("alone", responses_per_prompt=3)
    found = []
    for learner in (sharing, alone):
        if learner is alone:
            for module in ("ppo", "rollout"):
                monkeypatch.setattr(f"training.rlhf.{module}.key_of", id)
            monkeypatch.setattr("training.rlhf.reward_model.beginning_key", id)
        records = learner.run.records(PromptRecord)[:2]
        seed_step(1, "round", 0)
        trajectory, scores = rollout(learner, [record for record in records for _ in range(3)])
        metrics = update(learner, trajectory, scores, round_number=0)
        found.append((trajectory, metrics, learner.policy.parameters, learner.value.parameters))
    (one, figures, *weights), (two, others, *same) = found
    assert torch.equal(one.responses.ids, two.responses.ids)
    assert len({tuple(ids) for ids in one.responses.ids.tolist()}) == 6
    for name in ("logprobs", "reference_logprobs", "values", "entropy"):
        torch.testing.assert_close(getattr(one, name), getattr(two, name), atol=2e-5, rtol=1e-5)
    assert figures == pytest.approx(others, rel=1e-3, abs=1e-5)
    for mine, theirs in zip(weights, same, strict=True):
        for name in mine:
            torch.testing.assert_close(mine[name], theirs[name], atol=2e-4, rtol=1e-3)


def test_reference_and_reward_model_never_change(make_learner: MakeLearner) -> None:
    made = make_learner()
    frozen = {
        name: {key: p.detach().clone() for key, p in made.model.trainable(name).items()}
        for name in ("reference", "reward")
    }
    base = made.model.base.get_input_embeddings().weight.clone()
    one_round(made)
    for name, before in frozen.items():
        after = made.model.trainable(name)
        assert all(torch.equal(after[key], before[key]) for key in before), name
    assert torch.equal(made.model.base.get_input_embeddings().weight, base)


def test_value_begins_as_the_reward_adapter_with_a_head_of_zeros(make_learner: MakeLearner) -> None:
    made = make_learner()
    value, reward = made.model.adapter_weights("value"), made.model.adapter_weights("reward")
    assert all(torch.equal(value[name], reward[name]) for name in reward)
    assert float(made.model.heads["value"].weight.detach().abs().sum()) == 0


def test_only_policy_and_value_are_trained(make_learner: MakeLearner) -> None:
    made = make_learner()
    trained = {n for n, p in made.model.base.named_parameters() if p.requires_grad}
    assert trained
    assert all(".policy." in name or ".value." in name for name in trained)
    assert {n for n, p in made.model.heads.named_parameters() if p.requires_grad} == {
        "value.weight",
        "value.bias",
    }


def test_joint_clipping_scales_policy_and_value_together(make_learner: MakeLearner) -> None:
    tight = OptimizerSettings(learning_rate=0.01, gradient_norm=1e-3)
    apart, _ = one_round(make_learner("apart"))
    joint, _ = one_round(make_learner("joint", joint_clipping=True, policy_optimizer=tight))
    together = (apart["ppo/gradient_norm"] ** 2 + apart["ppo/value_gradient_norm"] ** 2) ** 0.5
    assert joint["ppo/gradient_norm"] == pytest.approx(together, rel=1e-3)
    assert "ppo/value_gradient_norm" not in joint


def test_value_coefficient_scales_the_gradient_of_the_value_alone(
    make_learner: MakeLearner,
) -> None:
    one, _ = one_round(make_learner("one", value_coefficient=0.1))
    two, _ = one_round(make_learner("two", value_coefficient=0.2))
    ratio = two["ppo/value_gradient_norm"] / one["ppo/value_gradient_norm"]
    assert ratio == pytest.approx(2.0, rel=1e-4)
    assert two["ppo/gradient_norm"] == pytest.approx(one["ppo/gradient_norm"], rel=1e-5)


def test_all_slots_count_in_the_paper_mode(make_learner: MakeLearner) -> None:
    made = make_learner(mask_padding=False, score_position="last_slot", lam=1.0)
    seed_step(1, "round", 0)
    trajectory, _ = rollout(made, made.run.records(PromptRecord)[:6])
    assert trajectory.slots.shape == (6, 6)
    assert int(trajectory.slots.sum()) == 36
    padding = trajectory.responses.mask == 0
    assert padding.any()
    assert float(trajectory.logprobs[padding].abs().sum()) == 0


def test_measured_values_are_zero_on_padding(make_learner: MakeLearner) -> None:
    made = make_learner()
    torch.nn.init.normal_(made.model.heads["value"].weight)
    seed_step(1, "round", 0)
    trajectory, _ = rollout(made, made.run.records(PromptRecord)[:6])
    padding = trajectory.responses.mask == 0
    assert padding.any()
    for tensor in (trajectory.values, trajectory.logprobs, trajectory.entropy):
        assert float(tensor[padding].abs().sum()) == 0
        assert float(tensor[~padding].abs().min()) > 0


def test_beta_rises_when_the_policy_strays(make_learner: MakeLearner) -> None:
    made = make_learner(kl_target=0.01, kl_horizon=60)
    seed_step(0, "round", 0)
    trajectory, scores = rollout(made, made.run.records(PromptRecord)[:6])
    trajectory.reference_logprobs = trajectory.logprobs - trajectory.responses.mask
    update(made, trajectory, scores, round_number=0)
    assert made.kl_coefficient == pytest.approx(0.1 * (1 + 0.2 * 6 / 60))


def test_rewards_use_the_beta_that_was_adapted_and_the_scale(make_learner: MakeLearner) -> None:
    made = make_learner(gamma=1.0, lam=1.0, whiten_advantages=False, reward_scale=10.0)
    seed_step(0, "round", 0)
    trajectory, scores = rollout(made, made.run.records(PromptRecord)[:6])
    made.kl_coefficient = 0.5
    kl = trajectory.responses.mask * 0.25
    _, returns = advantages_of(made, trajectory, scores, kl)
    lengths = trajectory.responses.lengths
    expected = 10 * (scores.total - 0.5 * 0.25 * lengths)
    torch.testing.assert_close(returns[:, 0], expected, atol=1e-4, rtol=1e-4)


def test_update_moves_probability_towards_the_better_response(make_learner: MakeLearner) -> None:
    made = make_learner(kl_coefficient=0.0, update_epochs=3)
    record = made.run.records(PromptRecord)[1]
    seed_step(0, "round", 0)
    trajectory, _ = rollout(made, [record] * 6)
    texts = trajectory.responses.texts
    target = torch.tensor([float(text == texts[0]) for text in texts])
    assert 0 < target.sum() < 6
    zero = torch.zeros(6)
    before = trajectory.logprobs.clone()
    update(made, trajectory, Scores(target, zero, zero, zero), round_number=0)

    after = measure_rows(made, trajectory.prompts, trajectory.responses).logprobs
    change = (after - before).sum(1)
    assert change[target == 1].mean() > 0 > change[target == 0].mean()


@pytest.mark.parametrize(
    ("rollouts", "batch", "epochs", "steps"), [(512, 256, 2, 4), (100, 64, 1, 2), (8, 64, 3, 3)]
)
def test_updates_in_a_round(rollouts: int, batch: int, epochs: int, steps: int) -> None:
    settings = PpoSettings(rollout_batch_size=rollouts, batch_size=batch, update_epochs=epochs)
    assert updates_in(settings) == steps


@pytest.mark.parametrize(
    ("epochs", "prompts", "each", "rounds"),
    [(4.0, 72_000, 1, 563), (1.0, 512, 1, 1), (1.0, 513, 1, 2), (0.5, 512, 2, 1), (2.0, 512, 2, 4)],
)
def test_passes_over_the_prompts_make_rounds(
    epochs: float, prompts: int, each: int, rounds: int
) -> None:
    settings = PpoSettings(steps=0, epochs=epochs, responses_per_prompt=each)
    assert rounds_in(settings, prompts) == rounds
    assert rounds_in(PpoSettings(steps=7), prompts) == 7


def test_hallucination_estimate_is_a_half_for_average_answers_and_falls_with_the_reward(
    make_learner: MakeLearner,
) -> None:
    made = make_learner()
    made.reward_model.deviation = 2.0
    trajectory, scores = rollout(made, made.run.records(PromptRecord)[:6])

    def estimate(reward: float) -> float:
        given = replace(scores, reward=torch.full_like(scores.reward, reward))
        return update(made, trajectory, given, round_number=0)["ppo/hallucination_estimate"]

    assert estimate(0.0) == pytest.approx(0.5)
    assert estimate(1.0) == pytest.approx(1 / (1 + math.exp(2)), abs=1e-6)
