"""One step of reward training: the losses of some pairs, their gradients, and what is told of them.

Pairs whose rewards are centred together are one group, and stay one where memory makes parts of it.
The heads of an ensemble learn in one pass of their backbone, each from a bootstrap sample of its
own: to read the pairs in an order of its own, each would need a pass.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from training.rlhf.contract import PreferencePair, RewardSettings
from training.rlhf.data import batches, length_batches
from training.rlhf.evaluation import sequences_of
from training.rlhf.finite import check_finite
from training.rlhf.heads import spread
from training.rlhf.losses import marked_token_loss, preference_loss
from training.rlhf.marked_tokens import marked_tokens
from training.rlhf.optimization import Optimizer, seed_of
from training.rlhf.processes import processes
from training.rlhf.reward_model import RewardModel
from training.rlhf.run_directory import Run


def train_step(
    run: Run,
    reward_model: RewardModel,
    optimizer: Optimizer,
    batch: list[tuple[PreferencePair, str]],
    *,
    step: int,
) -> dict[str, float]:
    settings = run.spec.settings
    assert isinstance(settings, RewardSettings)
    reward_model.model.base.train(settings.lora.dropout > 0)
    names = ["loss", "accuracy", "mean_reward", *(["mark_loss"] * reward_model.knows_marks)]
    sums = dict.fromkeys([*names, *(["spread"] * (reward_model.heads > 1))], 0.0)
    for group in processes().share([*batches(batch, settings.micro_batch_size)]):
        _Group(run, reward_model, settings, group).learn(optimizer, sums, len(batch))
    optimizer.gather()
    norm = optimizer.clip()
    rate = optimizer.step(step)
    metrics = {f"train/{name}": value for name, value in processes().totals(sums).items()}
    return metrics | {"train/gradient_norm": norm, "train/learning_rate": rate}


def bootstrap_weights(pairs: Sequence[PreferencePair], heads: int, *, seed: int) -> Tensor:
    """How often each pair is in each head's sample, ``[pairs, heads]``: whole numbers around 1.

    Drawn from Poisson(1) by the pair's id, as a bootstrap of much data is (Oza and Russell 2001):
    a head's sample is the same in every epoch and after a resumption. Several heads on one
    backbone, each with its own sample, are Osband et al. 2016's (arXiv 1602.04621, section 4);
    reward models that share a backbone are Zhang et al. 2024's (2401.16635). One head has every
    pair once.
    """
    if heads == 1:
        return torch.ones(len(pairs), 1)
    drawn = []
    for pair in pairs:
        random_ = random.Random(seed_of(seed, "bootstrap", pair.id))
        drawn.append([_poisson(random_) for _ in range(heads)])
    return torch.tensor(drawn, dtype=torch.float32)


def _poisson(random_: random.Random) -> int:
    """A draw from Poisson(1), as Knuth does."""
    count, product = 0, random_.random()
    while product > math.exp(-1):
        count, product = count + 1, product * random_.random()
    return count


class _Group:
    """Pairs whose rewards are centred together, with the seeds of the order of their facts."""

    def __init__(
        self,
        run: Run,
        reward_model: RewardModel,
        settings: RewardSettings,
        group: Sequence[tuple[PreferencePair, str]],
    ) -> None:
        self._reward_model, self._settings = reward_model, settings
        self._pairs = [pair for pair, _ in group]
        order = [seed for _, seed in group]
        self._both = sequences_of(run, reward_model, self._pairs, order=order)
        self._weights = bootstrap_weights(self._pairs, reward_model.heads, seed=run.spec.seed)
        self._lengths = [2 * max(map(len, sequences)) for sequences in self._both]
        self._sign: Tensor | None = None
        if reward_model.knows_marks:
            self._marked, self._known = marked_tokens(reward_model, self._pairs, self._both)

    def learn(self, optimizer: Optimizer, sums: dict[str, float], total: int) -> None:
        """Accumulate gradients of the group's share of ``total`` pairs, and add to the figures."""

        def part(rows: list[int]) -> None:
            chosen, rejected, logits = self._rewards(rows)
            loss = self._loss(rows, chosen, rejected)
            if logits is not None:
                marks = self._mark_loss(rows, logits)
                loss = loss + self._settings.token_coefficient * marks
                sums["mark_loss"] += float(marks.detach()) * len(self._pairs) / total
            optimizer.accumulate(loss * (len(self._pairs) / total))
            if "spread" in sums:
                apart = spread(chosen.detach() - rejected.detach())
                sums["spread"] += float(apart.sum()) / total
            chosen, rejected = chosen.detach().mean(-1), rejected.detach().mean(-1)
            right = float((chosen > rejected).sum()) + 0.5 * float((chosen == rejected).sum())
            sums["loss"] += float(loss.detach()) * len(self._pairs) / total
            sums["accuracy"] += right / total
            sums["mean_reward"] += float((chosen + rejected).sum()) / 2 / total

        fit = self._reward_model.model.fit("training the reward model")
        for rows in self._parts(len(self._pairs)):
            fit.in_parts(rows, part)

    def _parts(self, size: int) -> list[list[int]]:
        """What goes through the model at once: at most ``size`` pairs, and tokens as is set."""
        tokens = self._settings.micro_batch_tokens
        return [sorted(rows) for rows in length_batches(self._lengths, size, tokens)]

    def _rewards(self, rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Of the better and the worse output of each pair, ``[rows, heads]``; log-odds of marks.

        The latter are ``[2 * rows, longest response]``, of output_1 and output_2 in turn, if any.
        """
        sequences = [sequence for row in rows for sequence in self._both[row]]
        logits: Tensor | None = None
        if self._reward_model.knows_marks:
            flat, logits = self._reward_model.rewards_and_marks(sequences)
        else:
            flat = self._reward_model.rewards_by_head(sequences)
        rewards = flat.view(len(rows), 2, -1)
        check_finite("reward", rewards, [self._pairs[row].id for row in rows])
        better = torch.tensor([self._pairs[row].preference - 1 for row in rows])
        better, places = better.to(rewards.device), torch.arange(len(rows), device=rewards.device)
        return rewards[places, better], rewards[places, 1 - better], logits

    def _mark_loss(self, rows: Sequence[int], logits: Tensor) -> Tensor:
        """The share that ``rows`` have in the mean loss of the group's known tokens."""
        both = [2 * row + number for row in rows for number in (0, 1)]
        width = logits.shape[1]
        known = self._known[both, :width].to(logits)
        loss = marked_token_loss(
            logits,
            self._marked[both, :width].to(logits),
            known,
            positive_weight=self._settings.token_positive_weight,
        )
        return loss * (known.sum() / self._known.sum().clamp(min=1).to(logits))

    def _loss(self, rows: Sequence[int], chosen: Tensor, rejected: Tensor) -> Tensor:
        """The share that ``rows`` have in the loss of the group."""
        settings, pairs = self._settings, [self._pairs[row] for row in rows]
        whole = len(rows) == len(self._pairs)
        share = preference_loss(
            chosen,
            rejected,
            margin=_tensor((p.margin for p in pairs), chosen) if settings.use_margin else None,
            labels=_tensor((p.share_for_better for p in pairs), chosen)
            if settings.soft_labels
            else None,
            weights=self._weights[rows].to(chosen),
            center_coefficient=settings.center_coefficient if whole else 0.0,
            center_rewards_coefficient=settings.center_rewards_coefficient,
        ) * (len(rows) / len(self._pairs))
        if whole or not settings.center_coefficient:
            return share
        centre = (chosen + rejected).sum(0) / len(self._pairs)
        signs = self._sign_of_mean(len(rows)).to(centre)
        return share + settings.center_coefficient * (signs * centre).mean()

    @torch.no_grad()
    def _sign_of_mean(self, size: int) -> Tensor:
        """|mean| of a group that does not fit needs the sign of each head's mean before gradients.

        ``[heads]``, 0 for heads of zeros.
        """
        if self._sign is None:
            found = torch.zeros(self._reward_model.heads)
            for part in self._parts(size):
                chosen, rejected, _ = self._rewards(part)
                found += (chosen + rejected).sum(0).cpu()
            self._sign = found.sign()
        return self._sign


def _tensor(values: Iterable[float], like: Tensor) -> Tensor:
    return torch.tensor(list(values), dtype=like.dtype, device=like.device)
