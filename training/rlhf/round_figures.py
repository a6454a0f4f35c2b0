"""What a round of PPO looked like before it changed anything, in figures."""

from __future__ import annotations

import torch
from torch import Tensor

from training.rlhf.advantages import groups_without_spread, truncated_importance_weights
from training.rlhf.credit import response_rewards
from training.rlhf.experience import Learner
from training.rlhf.losses import masked_mean
from training.rlhf.rollout import Trajectory
from training.rlhf.scoring import Scores


def round_figures(
    learner: Learner,
    trajectory: Trajectory,
    scores: Scores,
    kl: Tensor,
    returns: Tensor | None,
) -> dict[str, float]:
    """What the round looked like before it changed anything."""
    responses = trajectory.responses
    figures = {
        "ppo/reward": float(scores.total.mean()),
        "ppo/score": float(scores.reward.mean()),
        "ppo/hallucination_estimate": _hallucination_estimate(learner, scores),
        "ppo/symbolic_reward": float(scores.symbolic.mean()),
        "ppo/length_reward": float(scores.length.mean()),
        "ppo/kl": float((kl * responses.mask).sum(1).mean()),
        "ppo/kl_per_token": float(masked_mean(kl, responses.mask)),
        "ppo/kl_coefficient": learner.kl_coefficient,
        "ppo/entropy": float(masked_mean(trajectory.entropy, responses.mask)),
        "ppo/response_tokens": float(responses.lengths.float().mean()),
        "ppo/finished": sum(responses.finished) / len(responses.finished),
        "ppo/sampler_gap": trajectory.sampler_gap,
    }
    cap = learner.settings.importance_cap
    if cap and responses.drawn_with is not None:
        weights = truncated_importance_weights(
            trajectory.logprobs, responses.drawn_with, responses.mask, cap=cap
        )
        figures["ppo/importance_cut"] = float(masked_mean((weights >= cap).float(), responses.mask))
    if scores.spread is not None:
        figures["ppo/spread"] = float(scores.spread.mean())
    if scores.marked is not None:
        width = min(scores.marked.shape[1], responses.mask.shape[1])
        figures["ppo/marked_tokens"] = float(
            masked_mean(scores.marked[:, :width], responses.mask[:, :width])
        )
    if returns is None:
        rewards = response_rewards(learner, trajectory, scores, kl)
        figures["ppo/groups_without_spread"] = float(
            groups_without_spread(rewards, learner.settings.responses_per_prompt)
        )
    else:
        assert trajectory.values is not None
        figures["ppo/explained_variance"] = _explained_variance(
            trajectory.values, returns, trajectory.slots
        )
    return figures


def _hallucination_estimate(learner: Learner, scores: Scores) -> float:
    """The mean chance, by the reward model itself, that an answer as good as the average one it
    was normalised on is better: 0.5 there, falling as the policy improves in its eyes. What the
    reward model is fooled by, this estimate is fooled by too."""
    return float(torch.sigmoid(-scores.reward * learner.reward_model.deviation).mean())


def _explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns) over the mask; 0 when returns do not vary."""
    keep = mask.bool()
    variance = float(returns[keep].var(correction=0))
    if variance == 0:
        return 0.0
    return 1 - float((returns - values)[keep].var(correction=0)) / variance
