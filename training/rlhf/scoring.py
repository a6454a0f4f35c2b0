"""What a response earns in PPO: the reward model's word and the rewards that need no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.rlhf.contract import PpoSettings, PromptRecord
from training.rlhf.data import TokenSequence
from training.rlhf.facts import correctness_bonus, length_penalty, shuffled
from training.rlhf.finite import check_finite
from training.rlhf.images import EncodedImage
from training.rlhf.marked_tokens import chances_of_tokens
from training.rlhf.prompts import ChatFormat
from training.rlhf.reward_model import RewardModel
from training.rlhf.rollout import Responses


@dataclass
class Scores:
    """What each response of a round earned, ``[count]`` on the CPU."""

    reward: Tensor
    """The reward model's, normalised."""
    symbolic: Tensor
    length: Tensor
    no_end: Tensor
    marked: Tensor | None = None
    """Chance that people would mark each token as hallucinated, ``[count, response]``; 0 on end
    tokens. None where it is not asked for."""
    spread: Tensor | None = None
    """How far the reward model's heads are apart, in the unit of ``reward``. None for one head."""
    pessimism: float = 0.0
    """How many times that is taken from the reward."""

    @property
    def total(self) -> Tensor:
        found = self.reward + self.symbolic + self.length + self.no_end
        return found if self.spread is None else found - self.pessimism * self.spread


def score(
    reward_model: RewardModel,
    settings: PpoSettings,
    records: Sequence[PromptRecord],
    prompts: Sequence[TokenSequence],
    responses: Responses,
    *,
    chat: ChatFormat | None = None,
    images: Sequence[EncodedImage] | None = None,
    order: str = "",
) -> Scores:
    """Reward model, symbolic rewards, length and a missing end (the paper's rewards).

    ``order`` seeds that of each record's facts, as in training; all its responses see the same.
    ``chat`` reads the policy's tokens, and ``images`` are those of the prompts as the reward
    model's base encodes them, where that is another base than the policy's.
    """
    seen = images if images is not None else [prompt.image for prompt in prompts]
    sequences = [
        sequence
        for record, image, text in zip(records, seen, responses.texts, strict=True)
        for sequence in reward_model.sequences(
            record.conversation,
            image,
            [text],
            shuffled(record.captions, seed=f"{order}-{record.id}") if settings.with_facts else (),
        )
    ]
    size, marked = settings.rollout_micro_batch_size, None
    if settings.token_reward_coefficient > 0:
        by_head, chances = reward_model.score_tokens(sequences, batch_size=size)
        marked = chances_of_tokens(
            chat or reward_model.model.chat, responses, reward_model.model.chat, sequences, chances
        )
    else:
        by_head = reward_model.score_by_head(sequences, batch_size=size, shared=True)
    check_finite("reward", by_head, [record.id for record in records])
    symbolic = [
        correctness_bonus(text, record.caption_type, match=settings.bonus_match)
        if settings.symbolic_rewards
        else 0.0
        for record, text in zip(records, responses.texts, strict=True)
    ]
    length = [
        length_penalty(
            count,
            response_length=settings.sampling.response_length,
            multiplier=record.length_bonus,
            coefficient=settings.length_coefficient,
        )
        for record, count in zip(records, responses.lengths.tolist(), strict=True)
    ]
    no_end = [0.0 if ended else settings.no_end_token_penalty for ended in responses.finished]
    return Scores(
        reward_model.normalised(by_head.mean(-1)),
        torch.tensor(symbolic),
        torch.tensor(length),
        torch.tensor(no_end),
        marked,
        reward_model.spread(by_head) if reward_model.heads > 1 else None,
        settings.ensemble_pessimism,
    )
