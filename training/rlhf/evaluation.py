"""How well rewards agree with people, on pairs that were not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from training.rlhf.contract import PreferencePair, ResponsePair
from training.rlhf.data import TokenSequence, batches
from training.rlhf.errors import DataError
from training.rlhf.facts import shuffled
from training.rlhf.finite import check_finite
from training.rlhf.reward_model import RewardModel
from training.rlhf.run_directory import Run

_PAIRS_IN_MEMORY = 64


def pair_rewards(
    run: Run,
    reward_model: RewardModel,
    pairs: Sequence[ResponsePair],
    *,
    batch_size: int,
    swapped: bool = False,
) -> Tensor:
    """Raw rewards of ``output_1`` and ``output_2`` of each pair, ``[count, 2]`` on the CPU.

    ``swapped`` shows the second output first; an accuracy that changes with it betrays that a
    reward depends on the place in the batch. ``batch_size`` is counted in pairs.
    """
    reward_model.model.base.eval()
    rows = []
    for group in batches(pairs, _PAIRS_IN_MEMORY):
        sequences = []
        for one, two in sequences_of(run, reward_model, group):
            sequences += [two, one] if swapped else [one, two]
        scores = reward_model.score(sequences, batch_size=2 * batch_size, shared=True).view(-1, 2)
        check_finite("reward", scores, [pair.id for pair in group])
        rows.append(scores.flip(1) if swapped else scores)
    return torch.cat(rows)


def figures_of(
    reward_model: RewardModel, rewards: Tensor, pairs: Sequence[PreferencePair]
) -> dict[str, float]:
    """``preference_metrics`` of raw ``rewards`` ``[count, 2]`` of ``pairs``."""
    first_better = torch.tensor([pair.preference == 1 for pair in pairs])
    length = reward_model.model.chat.response_ids
    lengths = [[len(length(pair.output_1)), len(length(pair.output_2))] for pair in pairs]
    return preference_metrics(rewards, first_better, torch.tensor(lengths))


def preference_metrics(rewards: Tensor, first_better: Tensor, lengths: Tensor) -> dict[str, float]:
    """Figures of raw ``rewards`` ``[count, 2]`` against which output people preferred.

    ``first_better`` is ``[count]`` (bool), ``lengths`` ``[count, 2]`` in tokens. Calibration error
    is the expected one over ten bins of P(output_1 better). Equal rewards count as half right.
    """
    difference = rewards[:, 0] - rewards[:, 1]
    toward_better = torch.where(first_better, difference, -difference)
    correct = (toward_better > 0).float() + 0.5 * (toward_better == 0).float()
    return {
        "accuracy": float(correct.mean()),
        "loss": float(-functional.logsigmoid(toward_better).mean()),
        "mean_reward": float(rewards.mean()),
        "calibration_error": calibration_error(torch.sigmoid(difference), first_better),
        "length_correlation": correlation(rewards.flatten(), lengths.flatten().float()),
    }


def calibration_error(probabilities: Tensor, outcomes: Tensor, *, bins: int = 10) -> float:
    """Mean gap between stated probability and observed frequency, weighted by bin size."""
    index = (probabilities * bins).long().clamp(max=bins - 1)
    total = 0.0
    for number in range(bins):
        inside = index == number
        if inside.any():
            gap = probabilities[inside].mean() - outcomes[inside].float().mean()
            total += float(gap.abs()) * int(inside.sum())
    return total / len(probabilities)


def correlation(x: Tensor, y: Tensor) -> float:
    """Pearson's r of two vectors; 0 when one of them does not vary."""
    x, y = x - x.mean(), y - y.mean()
    norm = float(x.norm() * y.norm())
    return float(x @ y) / norm if norm > 0 else 0.0


def sequences_of(
    run: Run,
    reward_model: RewardModel,
    pairs: Sequence[ResponsePair],
    *,
    order: Sequence[str] | None = None,
) -> list[tuple[TokenSequence, TokenSequence]]:
    """Both outputs of each pair as sequences; ``order`` seeds the shuffling of its facts."""
    images = reward_model.model.encode_images([run.image_files(pair) for pair in pairs])
    result = []
    for number, (pair, image) in enumerate(zip(pairs, images, strict=True)):
        facts: Sequence[str] = pair.captions
        if order is not None:
            facts = shuffled(facts, seed=f"{order[number]}-{pair.id}")
        try:
            one, two = reward_model.sequences(
                pair.conversation, image, (pair.output_1, pair.output_2), facts
            )
        except DataError as error:
            raise DataError(f"record {pair.id}: {error}") from None
        result.append((one, two))
    return result
