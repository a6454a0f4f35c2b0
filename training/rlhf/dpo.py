"""One step of DPO: the losses of some pairs, the gradients, and what is told of them.

Everything beyond plain DPO is a term of ``PreferenceLearner._loss`` with a weight in the settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from training.rlhf import best, checkpoints
from training.rlhf.adapters import POLICY
from training.rlhf.answers import Example
from training.rlhf.contract import DpoSettings, PreferencePair
from training.rlhf.losses import (
    anchor_loss,
    conditional_preference_loss,
    direct_preference_loss,
)
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer
from training.rlhf.pair_logprobs import (
    PAIRS_IN_MEMORY,
    examples_of,
    marked_weight,
    pair_logprobs,
    parts_of,
)
from training.rlhf.processes import processes
from training.rlhf.run_directory import Run

_FIGURES = ("loss", "accuracy", "margin", "chosen_reward", "rejected_reward")


class PreferenceLearner:
    """What is needed to make a step, measure, and save."""

    def __init__(
        self, run: Run, settings: DpoSettings, model: VisionLanguageModel, optimizer: Optimizer
    ) -> None:
        self.run, self.settings, self.model, self.optimizer = run, settings, model, optimizer

    def step(
        self,
        pairs: Sequence[PreferencePair],
        reference: Tensor,
        damaged: Sequence[PreferencePair] = (),
        *,
        number: int,
    ) -> dict[str, float]:
        """One optimiser step over ``pairs``; ``reference`` is ``[count, 2]``.

        With ``damaged`` (the pairs with damaged images) it is ``[count, 3]``: the third is of the
        better answer behind those.
        """
        self.model.base.train(self.settings.lora.dropout > 0)
        names = (*_FIGURES, "image_margin") if damaged else _FIGURES
        sums = dict.fromkeys(names, 0.0)
        self._in_parts(pairs, reference, sums, damaged=damaged, learn=True)
        self.optimizer.gather()
        norm = self.optimizer.clip()
        rate = self.optimizer.step(number)
        metrics = {f"train/{name}": value for name, value in processes().totals(sums).items()}
        return metrics | {"train/gradient_norm": norm, "train/learning_rate": rate}

    def evaluate(self, pairs: Sequence[PreferencePair], reference: Tensor) -> dict[str, float]:
        """Figures of held-out pairs."""
        return self._measured(pairs, reference)

    def margin(self, pairs: Sequence[PreferencePair], reference: Tensor) -> float:
        """Mean margin of pairs: with exchanged images, what the policy owes to the words alone."""
        return self._measured(pairs, reference)["margin"]

    @torch.no_grad()
    def _measured(self, pairs: Sequence[PreferencePair], reference: Tensor) -> dict[str, float]:
        self.model.base.eval()
        sums = dict.fromkeys(_FIGURES, 0.0)
        for start in range(0, len(pairs), PAIRS_IN_MEMORY):
            part = slice(start, start + PAIRS_IN_MEMORY)
            found = dict.fromkeys(_FIGURES, 0.0)
            self._in_parts(pairs[part], reference[part], found, learn=False)
            _add(sums, found, len(pairs[part]) / len(pairs))
        return processes().totals(sums)

    def _in_parts(
        self,
        pairs: Sequence[PreferencePair],
        reference: Tensor,
        sums: dict[str, float],
        *,
        damaged: Sequence[PreferencePair] = (),
        learn: bool,
    ) -> None:
        """This process's share of the figures of all pairs, and of the gradients to ``learn`` from.

        Longest pairs first.
        """
        mine, total = processes().share(range(len(pairs))), len(pairs)
        pairs, reference = [pairs[row] for row in mine], reference[mine]
        damaged = [damaged[row] for row in mine] if damaged else []
        examples = examples_of(self.run, self.model, self.settings, pairs, damaged)

        def part(rows: list[int]) -> None:
            loss, figures = self._loss(
                [pairs[row] for row in rows], [examples[row] for row in rows], reference[rows]
            )
            weight = len(rows) / total
            if learn:
                self.optimizer.accumulate(loss * weight)
            _add(sums, figures, weight)

        fit = self.model.fit("training on preferences" if learn else "measuring preferences")
        for rows in parts_of(examples, self.settings):
            fit.in_parts(rows, part)

    def _loss(
        self,
        pairs: Sequence[PreferencePair],
        examples: Sequence[tuple[Example, ...]],
        reference: Tensor,
    ) -> tuple[Tensor, dict[str, float]]:
        settings = self.settings
        logprobs = pair_logprobs(self.model, examples, marked_weight=marked_weight(settings))
        better = torch.tensor([p.preference - 1 for p in pairs], device=logprobs.device)[:, None]
        ratios = logprobs - reference.to(logprobs.device)
        chosen, rejected = ratios.gather(1, better)[:, 0], ratios.gather(1, 1 - better)[:, 0]
        labels = [p.share_for_better if settings.soft_labels else 1.0 for p in pairs]
        loss = direct_preference_loss(
            chosen,
            rejected,
            beta=settings.beta,
            labels=torch.tensor(labels, device=logprobs.device),
            label_smoothing=settings.label_smoothing,
        )
        margins = settings.beta * (chosen - rejected).detach()
        right = (margins > 0).float() + 0.5 * (margins == 0).float()
        figures = {
            "accuracy": float(right.mean()),
            "margin": float(margins.mean()),
            "chosen_reward": settings.beta * float(chosen.detach().mean()),
            "rejected_reward": settings.beta * float(rejected.detach().mean()),
        }
        if ratios.shape[1] == 3:
            blind = ratios[:, 2]
            loss = loss + settings.image_coefficient * conditional_preference_loss(
                chosen, blind, beta=settings.beta
            )
            figures["image_margin"] = settings.beta * float((chosen - blind).detach().mean())
        if settings.anchor_coefficient > 0:
            loss = loss + settings.anchor_coefficient * anchor_loss(
                chosen, beta=settings.beta, delta=settings.anchor_delta
            )
        if settings.answer_coefficient > 0:
            loss = loss - settings.answer_coefficient * self._per_token(
                logprobs.gather(1, better)[:, 0], examples, pairs
            )
        return loss, figures | {"loss": float(loss.detach())}

    def _per_token(
        self,
        logprobs: Tensor,
        examples: Sequence[tuple[Example, ...]],
        pairs: Sequence[PreferencePair],
    ) -> Tensor:
        """Mean log-probability per token of the better answers; dense ones are that already."""
        if self.settings.dense:
            return logprobs.mean()
        tokens = [len(e[p.preference - 1].ids) for e, p in zip(examples, pairs, strict=True)]
        return (logprobs / torch.tensor(tokens).to(logprobs)).mean()

    @torch.no_grad()
    def show_samples(
        self, pairs: Sequence[PreferencePair], reference: Tensor, *, step: int
    ) -> None:
        """The pairs with their implicit rewards; ``reference`` begins with theirs."""
        if not processes().leads:
            return
        self.model.base.eval()
        reference = reference[: len(pairs)]
        examples = examples_of(self.run, self.model, self.settings, pairs)
        weight = marked_weight(self.settings)
        logprobs = pair_logprobs(self.model, examples, marked_weight=weight).cpu()
        rewards = self.settings.beta * (logprobs - reference)
        for pair, row in zip(pairs, rewards.tolist(), strict=True):
            for response, reward in zip((pair.output_1, pair.output_2), row, strict=True):
                self.run.events.sample(
                    step,
                    prompt_id=pair.id,
                    image=pair.image,
                    prompt=pair.question,
                    response=response,
                    reward=reward,
                )

    def write(self, folder: Path) -> None:
        self.model.save_adapter(POLICY, folder / POLICY)

    def save(self, *, step: int, bar: best.Best) -> None:
        """Write a checkpoint to resume from."""
        if not processes().leads:
            return
        keep, state = self.settings.keep_checkpoints, {"best": asdict(bar)}
        with checkpoints.saving(self.run.checkpoints, step, state, keep=keep) as folder:
            self.write(folder)
            checkpoints.save_optimizer(folder, POLICY, self.optimizer.state())
            best.put_into(self.run, folder)
        self.run.events.checkpoint(step, f"{self.run.checkpoints.name}/step-{step}")


def _add(sums: dict[str, float], figures: dict[str, float], weight: float) -> None:
    for name, value in figures.items():
        sums[name] = sums.get(name, 0.0) + value * weight
