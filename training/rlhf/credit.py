"""What each token of a round is praised or blamed for: its advantage, with a critic or without.

Without a critic a response is one act: all of its tokens have the advantage of the response, which
is compared with the other responses to the same prompt.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.rlhf.advantages import (
    generalized_advantage_estimation,
    group_relative,
    leave_one_out,
    shape_rewards,
    truncated_importance_weights,
    whiten,
)
from training.rlhf.experience import Learner
from training.rlhf.rollout import Trajectory
from training.rlhf.scoring import Scores


def advantages_of(
    learner: Learner, trajectory: Trajectory, scores: Scores, kl: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Advantages of a round and, with a critic, its returns; each ``[count, response]``."""
    settings = learner.settings
    returns: Tensor | None = None
    if settings.has_critic:
        assert trajectory.values is not None
        advantages, returns = generalized_advantage_estimation(
            token_rewards(learner, trajectory, scores, kl),
            trajectory.values,
            trajectory.slots,
            gamma=settings.gamma,
            lam=settings.lam,
        )
        if settings.whiten_advantages:
            advantages = whiten(advantages, trajectory.slots, shift_mean=True)
    else:
        each = _compared(learner, response_rewards(learner, trajectory, scores, kl))
        advantages = each[:, None] * trajectory.slots
    responses = trajectory.responses
    if settings.importance_cap and responses.drawn_with is not None:
        weights = truncated_importance_weights(
            trajectory.logprobs, responses.drawn_with, responses.mask, cap=settings.importance_cap
        )
        advantages = torch.where(responses.mask.bool(), advantages * weights, advantages)
    return advantages, returns


def token_rewards(learner: Learner, trajectory: Trajectory, scores: Scores, kl: Tensor) -> Tensor:
    """The score, what hallucinated words cost, and the KL penalty, ``[count, response]``.

    The last one only where it is no term of the loss.
    """
    settings = learner.settings
    rewards = shape_rewards(
        scores.total,
        kl,
        trajectory.slots,
        kl_coefficient=learner.kl_coefficient if settings.kl_in == "reward" else 0.0,
        position=settings.score_position,
    )
    if scores.marked is not None:
        width = min(rewards.shape[1], scores.marked.shape[1])
        rewards[:, :width] -= settings.token_reward_coefficient * scores.marked[:, :width]
    return settings.reward_scale * rewards


def response_rewards(
    learner: Learner, trajectory: Trajectory, scores: Scores, kl: Tensor
) -> Tensor:
    """The sum of each response's ``token_rewards``, ``[count]``."""
    return token_rewards(learner, trajectory, scores, kl).sum(1)


def _compared(learner: Learner, rewards: Tensor) -> Tensor:
    settings = learner.settings
    if settings.advantage == "leave_one_out":
        return leave_one_out(rewards, settings.responses_per_prompt)
    return group_relative(
        rewards,
        settings.responses_per_prompt,
        divide_by_deviation=settings.divide_by_deviation,
    )
