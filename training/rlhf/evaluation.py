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
from training.rlhf.heads import spread
from training.rlhf.reward_model import RewardModel
from training.rlhf.run_directory import Run

_PAIRS_IN_MEMORY = 64


def pair_rewards(
    run: Run,
    reward_model: RewardModel,
    pairs: Sequence[ResponsePair],
    *,
    batch_size: int,
    tokens: int = 0,
    swapped: bool = False,
) -> Tensor:
    """Raw rewards of ``output_1`` and ``output_2`` of each pair by every head of the reward model.

    ``[count, 2, heads]`` on the CPU; the reward is the mean of the heads.

    ``swapped`` shows the second output first; an accuracy that changes with it betrays that a
    reward depends on the place in the batch. ``batch_size`` is counted in pairs; ``tokens``
    as in ``score_by_head``.
    """
    reward_model.model.base.eval()
    rows = []
    for group in batches(pairs, _PAIRS_IN_MEMORY):
        sequences = []
        for one, two in sequences_of(run, reward_model, group):
            sequences += [two, one] if swapped else [one, two]
        flat = reward_model.score_by_head(
            sequences, batch_size=2 * batch_size, tokens=tokens, shared=True
        )
        scores = flat.view(len(group), 2, -1)
        check_finite("reward", scores, [pair.id for pair in group])
        rows.append(scores.flip(1) if swapped else scores)
    return torch.cat(rows)


def figures_of(
    reward_model: RewardModel, rewards: Tensor, pairs: Sequence[PreferencePair]
) -> dict[str, float]:
    """``preference_metrics`` and, of an ensemble, ``ensemble_metrics``.

    ``rewards`` are the raw ones of ``pairs``, ``[count, 2, heads]``. Where some pairs have images
    and others are text alone, ``accuracy_with_images`` and ``accuracy_text_alone`` are of each.
    """
    first_better = torch.tensor([pair.preference == 1 for pair in pairs])
    length = reward_model.model.chat.response_ids
    lengths = [[len(length(pair.output_1)), len(length(pair.output_2))] for pair in pairs]
    found = preference_metrics(rewards.mean(-1), first_better, torch.tensor(lengths))
    seen = torch.tensor([bool(pair.images) for pair in pairs])
    for name, rows in (("with_images", seen), ("text_alone", ~seen)):
        if 0 < int(rows.sum()) < len(pairs):
            toward_better = _toward_better(rewards.mean(-1)[rows], first_better[rows])
            found[f"accuracy_{name}"] = float(_correct(toward_better).mean())
    return found | (ensemble_metrics(rewards, first_better) if rewards.shape[-1] > 1 else {})


def ensemble_metrics(rewards: Tensor, first_better: Tensor) -> dict[str, float]:
    """Whether heads differ where they err; ``rewards`` are ``[count, 2, heads]``.

    ``spread`` is the mean over the pairs of the heads' spread about the difference of its two
    rewards, in log-odds. ``spread_error_auc`` is the chance that a pair which the mean of the heads
    judges wrongly has more of it than one it judges rightly (0.5: spread says nothing), and
    ``doubt_error_auc`` the same of a small difference, which one head has as well. The last two
    need both kinds of pairs.
    """
    difference = rewards[:, 0] - rewards[:, 1]
    apart, mean = spread(difference), difference.mean(-1)
    found = {"spread": float(apart.mean())}
    wrong = (mean > 0) != first_better
    if wrong.any() and not wrong.all():
        found["spread_error_auc"] = area_under_curve(apart, wrong)
        found["doubt_error_auc"] = area_under_curve(-mean.abs(), wrong)
    return found


def preference_metrics(rewards: Tensor, first_better: Tensor, lengths: Tensor) -> dict[str, float]:
    """Figures of raw ``rewards`` ``[count, 2]`` against which output people preferred.

    ``first_better`` is ``[count]`` (bool), ``lengths`` ``[count, 2]`` in tokens. Calibration error
    is the expected one over ten bins of P(output_1 better). Equal rewards count as half right.
    """
    toward_better = _toward_better(rewards, first_better)
    difference = rewards[:, 0] - rewards[:, 1]
    return {
        "accuracy": float(_correct(toward_better).mean()),
        "loss": float(-functional.logsigmoid(toward_better).mean()),
        "mean_reward": float(rewards.mean()),
        "calibration_error": calibration_error(torch.sigmoid(difference), first_better),
        "length_correlation": correlation(rewards.flatten(), lengths.flatten().float()),
    }


def _toward_better(rewards: Tensor, first_better: Tensor) -> Tensor:
    """By how much the better output has the higher reward; ``[count]``."""
    difference = rewards[:, 0] - rewards[:, 1]
    return torch.where(first_better, difference, -difference)


def _correct(toward_better: Tensor) -> Tensor:
    """1 where the better output has the higher reward, 0.5 where both are equal; ``[count]``."""
    return (toward_better > 0).float() + 0.5 * (toward_better == 0).float()


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


def area_under_curve(scores: Tensor, truth: Tensor) -> float:
    """Chance that a true one scores above a false one, a tie counting half; ``[count]`` each.

    Mann and Whitney's U over the number of such couples; both kinds must be there.
    """
    _, inverse, counts = scores.double().unique(return_inverse=True, return_counts=True)
    below = counts.cumsum(0) - counts
    ranks = (below + (counts + 1) / 2)[inverse]
    positives = int(truth.sum())
    negatives = len(truth) - positives
    above = float(ranks[truth].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


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
