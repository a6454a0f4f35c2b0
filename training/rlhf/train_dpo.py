"""DPO: the policy learns from preference pairs directly, with neither reward model nor sampling.

The reference is the policy that the run begins with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from training.rlhf import best, checkpoints
from training.rlhf.adapters import ADAPTER_WEIGHTS, POLICY
from training.rlhf.answers import Example, answered
from training.rlhf.contract import DpoSettings, Kind, PreferencePair
from training.rlhf.data import EndlessOrder, batches, by_length
from training.rlhf.errors import Interrupted
from training.rlhf.halves import halves
from training.rlhf.losses import direct_preference_loss
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer, seed_step, steps_in
from training.rlhf.pair_logprobs import (
    PAIRS_IN_MEMORY,
    examples_of,
    pair_logprobs,
    reference_logprobs,
)
from training.rlhf.processes import processes
from training.rlhf.run_directory import Run
from training.rlhf.tensors import read_tensors
from training.rlhf.usable import stand_in, usable

SAMPLE_PAIRS = 4
_FIGURES = ("loss", "accuracy", "margin", "chosen_reward", "rejected_reward")


def train_dpo(run: Run) -> None:
    """Train in ``run`` from its newest checkpoint on, and leave the policy in ``final/``."""
    settings = run.spec.settings
    assert isinstance(settings, DpoSettings)

    # 1. Records, model, optimiser
    run.events.stage("reading preference pairs")
    pairs = run.records(PreferencePair)
    held_out = run.records(PreferencePair, "held_out") if run.has_records("held_out") else []
    run.events.stage("loading the base model")
    model = _model(run, settings)

    def check(pair: PreferencePair) -> object:
        outputs, image = (pair.output_1, pair.output_2), stand_in(model, pair)
        return answered(model, pair, image, outputs, max_length=settings.max_length)

    pairs = usable(run, [model], pairs, check, what="pairs")
    if held_out:
        held_out = usable(run, [model], held_out, check, what="held-out pairs")
    parameters = model.trainable(POLICY)
    model.train_only(parameters)
    total = steps_in(settings.epochs, len(pairs), settings.batch_size, settings.max_steps)
    optimizer = Optimizer(parameters, settings.optimizer, total_steps=total)

    # 2. The reference: the policy as it is now, before any checkpoint is read
    reference = reference_logprobs(run, model, [*pairs, *held_out])
    learner = _Learner(run, settings, model, optimizer)
    split = halves(run, held_out, chooses=settings.keep_best or settings.patience > 0)

    # 3. Where to begin
    done, bar = 0, best.Best()
    checkpoint = run.newest_checkpoint()
    if checkpoint is not None:
        done, bar = checkpoint.step, best.Best(**checkpoint.state().get("best", {}))
        _load(model, checkpoint.folder)
        optimizer.load_state(checkpoint.optimizer(POLICY))
        best.bring(run, checkpoint)

    # 4. Steps
    run.events.stage("training the policy on preferences")
    order = EndlessOrder(len(pairs), run.spec.seed)
    metrics: dict[str, float] = {}
    while done < total and not bar.long_ago(settings.patience):
        run.begin_step(done)
        chosen = [i for _, i in order.slice(done * settings.batch_size, settings.batch_size)]
        metrics = learner.step([pairs[i] for i in chosen], reference[chosen], number=done)
        done += 1
        if held_out and (done % settings.evaluate_every == 0 or done == total):
            told, judged = split.figures(
                lambda rows: learner.evaluate(
                    [held_out[row] for row in rows], reference[[len(pairs) + row for row in rows]]
                )
            )
            metrics |= told
            learner.show_samples(held_out[:SAMPLE_PAIRS], reference[len(pairs) :], step=done)
            if bar.improved(judged) and settings.keep_best:
                best.keep(run, done, metrics, learner.write)
        run.events.metrics(done, metrics)
        run.events.progress(done, total)
        last = done == total or bar.long_ago(settings.patience)
        stop = run.terminating  # asked once: it may change between saving and stopping
        if done % settings.checkpoint_every == 0 or last or stop:
            learner.save(step=done, bar=bar)
        if stop and not last:
            raise Interrupted

    # 5. What others begin from: the best step
    if done < total:
        run.events.stage(f"stopped after step {done}: held-out pairs are judged no better")
    if held_out and settings.keep_best:
        kept = best.kept(run)
        _load(model, kept.folder)
        metrics = kept.metrics
    if not processes().leads:
        return
    with checkpoints.atomic_folder(run.final) as folder:
        model.save_adapter(POLICY, folder)
    run.events.checkpoint(done, run.final.name, final=True, metrics=metrics)


def _model(run: Run, settings: DpoSettings) -> VisionLanguageModel:
    seed_step(run.spec.seed, Kind.DPO, -1)
    model = VisionLanguageModel.load(run.base_model(), run.spec.model)
    if run.spec.policy_adapter is not None:
        model.load_adapter(POLICY, run.folder(run.spec.policy_adapter, field="policy_adapter"))
    else:
        model.add_adapter(POLICY, settings.lora)
    return model


def _load(model: VisionLanguageModel, folder: Path) -> None:
    model.load_adapter_weights(POLICY, read_tensors(folder / POLICY / ADAPTER_WEIGHTS))


class _Learner:
    """What is needed to make a step, measure, and save."""

    def __init__(
        self, run: Run, settings: DpoSettings, model: VisionLanguageModel, optimizer: Optimizer
    ) -> None:
        self.run, self.settings, self.model, self.optimizer = run, settings, model, optimizer

    def step(
        self, pairs: Sequence[PreferencePair], reference: Tensor, *, number: int
    ) -> dict[str, float]:
        """One optimiser step over ``pairs``; ``reference`` is ``[count, 2]``."""
        self.model.base.train(self.settings.lora.dropout > 0)
        sums = dict.fromkeys(_FIGURES, 0.0)
        self._in_parts(pairs, reference, sums, learn=True)
        self.optimizer.gather()
        norm = self.optimizer.clip()
        rate = self.optimizer.step(number)
        metrics = {f"train/{name}": value for name, value in processes().totals(sums).items()}
        return metrics | {"train/gradient_norm": norm, "train/learning_rate": rate}

    @torch.no_grad()
    def evaluate(self, pairs: Sequence[PreferencePair], reference: Tensor) -> dict[str, float]:
        """Figures of held-out pairs."""
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
        learn: bool,
    ) -> None:
        """This process's share of the figures of all pairs, and of the gradients to ``learn`` from.

        Longest pairs first.
        """
        mine, total = processes().share(range(len(pairs))), len(pairs)
        pairs, reference = [pairs[row] for row in mine], reference[mine]
        examples = examples_of(self.run, self.model, self.settings, pairs)
        lengths = [max(len(one), len(two)) for one, two in examples]

        def part(rows: list[int]) -> None:
            loss, figures = self._loss(
                [pairs[row] for row in rows], [examples[row] for row in rows], reference[rows]
            )
            weight = len(rows) / total
            if learn:
                self.optimizer.accumulate(loss * weight)
            _add(sums, figures, weight)

        fit = self.model.fit("training on preferences" if learn else "measuring preferences")
        for rows in batches(by_length(lengths), self.settings.micro_batch_size):
            fit.in_parts(rows, part)

    def _loss(
        self,
        pairs: Sequence[PreferencePair],
        examples: Sequence[tuple[Example, Example]],
        reference: Tensor,
    ) -> tuple[Tensor, dict[str, float]]:
        settings = self.settings
        logprobs = pair_logprobs(self.model, examples)
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
        if settings.answer_coefficient > 0:
            tokens = [len(e[p.preference - 1].ids) for e, p in zip(examples, pairs, strict=True)]
            per_token = logprobs.gather(1, better)[:, 0] / torch.tensor(tokens).to(logprobs)
            loss = loss - settings.answer_coefficient * per_token.mean()
        margins = settings.beta * (chosen - rejected).detach()
        right = (margins > 0).float() + 0.5 * (margins == 0).float()
        return loss, {
            "loss": float(loss.detach()),
            "accuracy": float(right.mean()),
            "margin": float(margins.mean()),
            "chosen_reward": settings.beta * float(chosen.detach().mean()),
            "rejected_reward": settings.beta * float(rejected.detach().mean()),
        }

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
        rewards = self.settings.beta * (pair_logprobs(self.model, examples).cpu() - reference)
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
