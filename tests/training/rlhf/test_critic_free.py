"""RLOO and GRPO: what is learnt without a critic, and what is then not there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.rlhf.conftest import MakeLearner, MakeRun, events
from tests.training.rlhf.resuming import (
    PowerCut,
    assert_same_weights,
    cut_power,
    interrupt_at,
    last_metrics,
)
from tests.training.rlhf.test_train_ppo import FOUR_ROUNDS
from training.rlhf import adapters
from training.rlhf.__main__ import main
from training.rlhf.adapters import POLICY, REFERENCE
from training.rlhf.contract import ContractError, Kind, OptimizerSettings, PpoSettings, PromptRecord
from training.rlhf.experience import Learner, rollout
from training.rlhf.logprobs import token_logprobs
from training.rlhf.optimization import seed_step
from training.rlhf.ppo import update
from training.rlhf.rollout import Trajectory, response_hidden
from training.rlhf.scoring import Scores

RLOO: dict[str, Any] = {"advantage": "leave_one_out", "responses_per_prompt": 3}
GRPO: dict[str, Any] = {
    "advantage": "group",
    "responses_per_prompt": 3,
    "reduction": "sequences",
    "kl_in": "loss",
    "kl_coefficient": 0.3,
}
DR_GRPO = GRPO | {"divide_by_deviation": False, "reduction": "tokens"}


def round_of(learner: Learner) -> tuple[Trajectory, Scores]:
    """Six responses to two prompts, of a policy that has left its reference."""
    with torch.no_grad():
        torch.manual_seed(5)
        for parameter in learner.policy.parameters.values():
            parameter.normal_(std=0.1)
    records = learner.run.records(PromptRecord)[:2]
    seed_step(1, "round", 0)
    return rollout(learner, [record for record in records for _ in range(3)])


def gradients_of(learner: Learner, trajectory: Trajectory, scores: Scores) -> dict[str, Tensor]:
    """Gradients of the first update, as the optimiser gets them."""
    found: dict[str, Tensor] = {}
    step = learner.policy.step

    def keep(number: int) -> float:
        found.update({k: p.grad.clone() for k, p in learner.policy.parameters.items()})  # type: ignore[union-attr]
        return step(number)

    learner.policy.step = keep  # type: ignore[method-assign]
    update(learner, trajectory, scores, round_number=0)
    return found


def logprobs_alone(learner: Learner, trajectory: Trajectory, row: int, adapter: str) -> Tensor:
    """Log-probabilities of one response's tokens, computed with nothing beside it."""
    length = int(trajectory.responses.lengths[row])
    ids, mask = trajectory.responses.ids[[row], :length], trajectory.responses.mask[[row], :length]
    hidden = response_hidden(learner.model, adapter, [trajectory.prompts[row]], ids, mask)
    return token_logprobs(learner.model, hidden, ids, mask, temperature=1.0)[0]


def rloo_loss(learner: Learner, trajectory: Trajectory, scores: Sequence[float]) -> Tensor:
    """REINFORCE with the others' mean as baseline; KL taken from the reward; mean over tokens."""
    policy = [logprobs_alone(learner, trajectory, row, POLICY) for row in range(6)]
    rewards = [
        score
        - 0.1 * float((mine - logprobs_alone(learner, trajectory, row, REFERENCE)).detach().sum())
        for row, (score, mine) in enumerate(zip(scores, policy, strict=True))
    ]
    loss = torch.zeros(())
    for row, logprobs in enumerate(policy):
        group = range(row // 3 * 3, row // 3 * 3 + 3)
        baseline = sum(rewards[other] for other in group if other != row) / 2
        loss = loss - (rewards[row] - baseline) * logprobs.sum()
    return loss / sum(len(logprobs) for logprobs in policy)


def grpo_loss(
    learner: Learner, trajectory: Trajectory, scores: Sequence[float], *, plain: bool = False
) -> Tensor:
    """Equation 3 of GRPO at ratio 1, or with ``plain`` what Dr. GRPO makes of it."""
    per_sequence, per_token = [], []
    for row in range(6):
        group = torch.tensor(scores[row // 3 * 3 : row // 3 * 3 + 3])
        advantage = float(scores[row] - group.mean())
        if not plain:
            advantage /= float((group - group.mean()).square().sum().div(2).sqrt()) + 1e-4
        policy = logprobs_alone(learner, trajectory, row, POLICY)
        log_ratio = logprobs_alone(learner, trajectory, row, REFERENCE).detach() - policy
        divergence = log_ratio.exp() - log_ratio - 1
        terms = -advantage * (policy - policy.detach()).exp() + 0.3 * divergence
        per_sequence.append(terms.mean())
        per_token.append(terms)
    return torch.cat(per_token).mean() if plain else torch.stack(per_sequence).mean()


@pytest.mark.parametrize("micro_batch_size", [6, 2])
@pytest.mark.parametrize("kind", [RLOO, GRPO, DR_GRPO], ids=["rloo", "grpo", "dr-grpo"])
def test_gradients_are_those_of_an_independent_computation(
    make_learner: MakeLearner, kind: dict[str, Any], micro_batch_size: int
) -> None:
    learner = make_learner(**kind, micro_batch_size=micro_batch_size)
    trajectory, scores = round_of(learner)
    assert len(set(trajectory.responses.lengths.tolist())) > 1
    total = scores.total.tolist()
    if kind is RLOO:
        loss = rloo_loss(learner, trajectory, total)
    else:
        loss = grpo_loss(learner, trajectory, total, plain=kind is DR_GRPO)
    parameters = learner.policy.parameters
    expected = dict(zip(parameters, torch.autograd.grad(loss, [*parameters.values()]), strict=True))
    found = gradients_of(learner, trajectory, scores)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=2e-5, rtol=2e-3)


@pytest.mark.parametrize("kind", [RLOO, GRPO], ids=["rloo", "grpo"])
def test_there_is_no_critic_in_memory(
    make_learner: MakeLearner, kind: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str | None] = []
    using = adapters.AdaptedBase.using
    monkeypatch.setattr(
        adapters.AdaptedBase, "using", lambda self, name: used.append(name) or using(self, name)
    )
    learner = make_learner(**kind)
    trajectory, scores = round_of(learner)
    metrics = update(learner, trajectory, scores, round_number=0)
    assert learner.value is None and trajectory.values is None
    assert "value" not in learner.model.heads
    names = [name for name, _ in learner.model.base.named_parameters()]
    assert not [name for name in names if ".value." in name]
    assert any(".policy." in name for name in names)
    assert "value" not in used and POLICY in used
    assert not [name for name in metrics if "value" in name or "variance" in name]
    assert ("ppo/kl_loss" in metrics) == (kind is GRPO)


def test_a_round_of_equal_rewards_teaches_nothing_and_says_so(make_learner: MakeLearner) -> None:
    learner = make_learner(**RLOO, kl_coefficient=0.0)
    trajectory, _ = round_of(learner)
    zero = torch.zeros(6)
    flat = Scores(torch.tensor([0.1, 0.1, 0.1, 2.0, 3.0, 4.0]), zero, zero, zero)
    assert update(learner, trajectory, flat, round_number=0)["ppo/groups_without_spread"] == 1
    same = Scores(torch.full((6,), 0.1), zero, zero, zero)
    metrics = update(learner, trajectory, same, round_number=0)
    assert (metrics["ppo/groups_without_spread"], metrics["ppo/gradient_norm"]) == (2, 0)


@pytest.mark.parametrize("kind", [RLOO, GRPO], ids=["rloo", "grpo"])
def test_resumed_training_equals_uninterrupted_training(
    make_run: MakeRun,
    reward_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: dict[str, Any],
) -> None:
    changes = FOUR_ROUNDS | {"batch_size": 6} | kind
    whole = make_run(Kind.PPO, "whole", reward_model=reward_folder, **changes)
    assert main(["ppo", "--run-dir", str(whole)]) == 0
    parts = make_run(Kind.PPO, "parts", reward_model=reward_folder, **changes)
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        interrupt_at(patch, 3, cut_power)
        main(["ppo", "--run-dir", str(parts)])
    assert main(["ppo", "--run-dir", str(parts)]) == 0
    assert_same_weights(whole / "final", parts / "final")
    metrics = last_metrics(events(whole))
    assert metrics == last_metrics(events(parts))
    assert metrics[1]["ppo/kl"] == 0 != metrics[4]["ppo/kl"]
    assert not (whole / "checkpoints" / "step-4" / "value").exists()


@pytest.mark.parametrize("kind", [RLOO, GRPO], ids=["rloo", "grpo"])
def test_probability_moves_towards_the_better_response(
    make_learner: MakeLearner, kind: dict[str, Any]
) -> None:
    learner = make_learner(
        **kind | {"kl_coefficient": 0.0},
        policy_optimizer=OptimizerSettings(learning_rate=0.003),
    )
    trajectory, _ = round_of(learner)
    zero = torch.zeros(6)
    good = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    update(learner, trajectory, Scores(good, zero, zero, zero), round_number=0)
    with torch.no_grad():
        after = [float(logprobs_alone(learner, trajectory, row, POLICY).sum()) for row in range(6)]
    change = torch.tensor(after) - trajectory.logprobs.sum(1)
    assert change[good == 1].mean() > 0 > change[good == 0].mean()


@pytest.mark.parametrize("advantage", ["leave_one_out", "group"])
def test_one_response_to_a_prompt_is_refused(advantage: Any) -> None:
    with pytest.raises(ContractError, match=r"responses_per_prompt: is 1: .* at least 2"):
        PpoSettings(advantage=advantage)
