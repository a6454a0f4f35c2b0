"""Reward model: learn from preference pairs which response is better.

Both responses of a pair go through the model in one forward pass with their facts in one order, so
neither padding nor the order of facts can tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from training.rlhf import best, checkpoints
from training.rlhf.adapters import ADAPTER_WEIGHTS
from training.rlhf.contract import Kind, PreferencePair, RewardSettings
from training.rlhf.data import EndlessOrder, batches
from training.rlhf.errors import Interrupted
from training.rlhf.evaluation import figures_of, pair_rewards, sequences_of
from training.rlhf.finite import check_finite
from training.rlhf.halves import Halves, halves
from training.rlhf.losses import preference_loss
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer, seed_step, steps_in
from training.rlhf.processes import processes
from training.rlhf.reward_model import ADAPTER, RewardModel
from training.rlhf.run_directory import Run
from training.rlhf.tensors import read_tensors
from training.rlhf.usable import check_facts, stand_in, usable

NORMALISATION_PAIRS = 512
SAMPLE_PAIRS = 4


def train_reward(run: Run) -> None:
    """Train in ``run`` from its newest checkpoint on, and leave the reward model in ``final/``."""
    settings = run.spec.settings
    assert isinstance(settings, RewardSettings)

    # 1. Records, model, optimiser
    run.events.stage("reading preference pairs")
    pairs = run.records(PreferencePair)
    held_out = run.records(PreferencePair, "held_out") if run.has_records("held_out") else []
    if settings.with_facts:
        known = sum(bool(pair.captions) for pair in pairs)
        run.events.stage(f"facts for {known:,} of {len(pairs):,} pairs")
    run.events.stage("loading the base model")
    seed_step(run.spec.seed, Kind.REWARD, -1)
    model = VisionLanguageModel.load(run.base_model(), run.spec.model)
    reward_model = RewardModel.fresh(model, settings)
    pairs = _usable(run, reward_model, pairs, "pairs")
    held_out = _usable(run, reward_model, held_out, "held-out pairs") if held_out else []
    check_facts(run, pairs, wanted=settings.with_facts)
    parameters = model.trainable(ADAPTER)
    model.train_only(parameters)
    total = steps_in(settings.epochs, len(pairs), settings.batch_size, settings.max_steps)
    optimizer = Optimizer(parameters, settings.optimizer, total_steps=total)

    split = halves(run, held_out, chooses=settings.keep_best or settings.patience > 0)

    # 2. Where to begin
    done, bar = 0, best.Best()
    checkpoint = run.newest_checkpoint()
    if checkpoint is not None:
        done, bar = checkpoint.step, best.Best(**checkpoint.state()["best"])
        _load(model, checkpoint.folder, optimizer, checkpoint)
        best.bring(run, checkpoint)

    # 3. Steps
    run.events.stage("training the reward model")
    order = EndlessOrder(len(pairs), run.spec.seed)
    while done < total and not bar.long_ago(settings.patience):
        run.begin_step(done)
        chosen = order.slice(done * settings.batch_size, settings.batch_size)
        batch = [(pairs[index], f"{run.spec.seed}-{epoch}") for epoch, index in chosen]
        metrics = train_step(run, reward_model, optimizer, batch, step=done)
        done += 1
        if held_out and (done % settings.evaluate_every == 0 or done == total):
            told, judged, _ = _measured(run, reward_model, held_out, split)
            metrics |= told
            if bar.improved(judged) and settings.keep_best:
                best.keep(run, done, metrics, partial(_write, model))
        run.events.metrics(done, metrics)
        run.events.progress(done, total)
        last = done == total or bar.long_ago(settings.patience)
        stop = run.terminating  # asked once: it may change between saving and stopping
        if done % settings.checkpoint_every == 0 or last or stop:
            _save(run, reward_model, optimizer, step=done, bar=bar)
        if stop and not last:
            raise Interrupted

    # 4. The reward model to keep: the best one, normalised
    if done < total:
        run.events.stage(f"stopped after step {done}: held-out pairs are judged no better")
    if held_out and settings.keep_best:
        _load(model, best.kept(run).folder)
    _finish(run, reward_model, pairs, held_out, split, step=done)


def _measured(
    run: Run,
    reward_model: RewardModel,
    pairs: Sequence[PreferencePair],
    split: Halves,
    *,
    swapped: bool = False,
) -> tuple[dict[str, float], dict[str, float], Tensor]:
    """Figures to tell, figures to judge by, and rewards ``[count, 2]`` of held-out ``pairs``."""
    settings = run.spec.settings
    assert isinstance(settings, RewardSettings)
    size = settings.micro_batch_size
    rewards = pair_rewards(run, reward_model, pairs, batch_size=size, swapped=swapped)
    told, judged = split.figures(
        lambda rows: figures_of(reward_model, rewards[rows], [pairs[row] for row in rows])
    )
    return told, judged, rewards


def _usable(
    run: Run, reward_model: RewardModel, pairs: list[PreferencePair], what: str
) -> list[PreferencePair]:
    model = reward_model.model

    def check(pair: PreferencePair) -> object:
        outputs = (pair.output_1, pair.output_2)
        image = stand_in(model, pair)
        return reward_model.sequences(pair.conversation, image, outputs, pair.captions)

    return usable(run, [model], pairs, check, what=what)


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
    sums = dict.fromkeys(("loss", "accuracy", "mean_reward"), 0.0)
    for group in processes().share([*batches(batch, settings.micro_batch_size)]):
        _Group(run, reward_model, settings, group).learn(optimizer, sums, len(batch))
    optimizer.gather()
    norm = optimizer.clip()
    rate = optimizer.step(step)
    metrics = {f"train/{name}": value for name, value in processes().totals(sums).items()}
    return metrics | {"train/gradient_norm": norm, "train/learning_rate": rate}


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
        self._sign: float | None = None

    def learn(self, optimizer: Optimizer, sums: dict[str, float], total: int) -> None:
        """Accumulate gradients of the group's share of ``total`` pairs, and add to the figures."""

        def part(rows: list[int]) -> None:
            chosen, rejected = self._rewards(rows)
            loss = self._loss(rows, chosen, rejected)
            optimizer.accumulate(loss * (len(self._pairs) / total))
            right = float((chosen > rejected).sum()) + 0.5 * float((chosen == rejected).sum())
            sums["loss"] += float(loss.detach()) * len(self._pairs) / total
            sums["accuracy"] += right / total
            sums["mean_reward"] += float((chosen + rejected).detach().sum()) / 2 / total

        fit = self._reward_model.model.fit("training the reward model")
        fit.in_parts(range(len(self._pairs)), part)

    def _rewards(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Of the better and the worse output of each pair, ``[rows]``."""
        sequences = [sequence for row in rows for sequence in self._both[row]]
        rewards = self._reward_model.raw_rewards(sequences).view(-1, 2)
        check_finite("reward", rewards, [self._pairs[row].id for row in rows])
        better = torch.tensor([self._pairs[row].preference - 1 for row in rows])[:, None]
        better = better.to(rewards.device)
        return rewards.gather(1, better).squeeze(1), rewards.gather(1, 1 - better).squeeze(1)

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
            center_coefficient=settings.center_coefficient if whole else 0.0,
        ) * (len(rows) / len(self._pairs))
        if whole or not settings.center_coefficient:
            return share
        centre = (chosen + rejected).sum() / len(self._pairs)
        return share + settings.center_coefficient * self._sign_of_mean(len(rows)) * centre

    @torch.no_grad()
    def _sign_of_mean(self, size: int) -> float:
        """|mean| of a group that does not fit needs the sign of its mean before the gradients."""
        if self._sign is None:
            rows = batches(range(len(self._pairs)), size)
            sums = [float(sum(rewards.sum() for rewards in self._rewards(part))) for part in rows]
            self._sign = float(sum(sums) > 0) - float(sum(sums) < 0)  # 0 for heads of zeros
        return self._sign


def _finish(
    run: Run,
    reward_model: RewardModel,
    pairs: Sequence[PreferencePair],
    held_out: Sequence[PreferencePair],
    split: Halves,
    *,
    step: int,
) -> None:
    settings = run.spec.settings
    assert isinstance(settings, RewardSettings)
    run.events.stage("measuring the reward model")
    reference = held_out or pairs[:NORMALISATION_PAIRS]
    figures: dict[str, float] = {}
    if held_out:
        figures, _, rewards = _measured(run, reward_model, held_out, split)
        swapped, _, _ = _measured(run, reward_model, held_out, split, swapped=True)
        figures["held_out/accuracy_swapped"] = swapped["held_out/accuracy"]
        figures["held_out/pairs"] = float(len(split.reporting))
    else:
        size = settings.micro_batch_size
        rewards = pair_rewards(run, reward_model, reference, batch_size=size)
    if settings.normalise:
        scaling = rewards[split.choosing] if held_out else rewards
        reward_model.mean = float(scaling.mean())
        reward_model.deviation = max(float(scaling.std(correction=0)), 1e-6)
    _show_samples(run, reference, reward_model.normalised(rewards), step=step)
    if not processes().leads:
        return
    with checkpoints.atomic_folder(run.final) as folder:
        golden = [(pair, pair.output_1) for pair in reference]
        reward_model.save(folder, golden=golden, images=run.images)
    run.events.checkpoint(step, run.final.name, final=True, metrics=figures)


def _show_samples(run: Run, pairs: Sequence[PreferencePair], rewards: Tensor, *, step: int) -> None:
    for pair, row in zip(pairs[:SAMPLE_PAIRS], rewards.tolist(), strict=False):
        for number, response, reward in zip(
            (1, 2), (pair.output_1, pair.output_2), row, strict=True
        ):
            run.events.sample(
                step,
                prompt_id=f"{pair.id}, output {number}",
                image=pair.image,
                prompt=pair.question,
                response=response,
                reward=reward,
                facts=pair.captions,
            )


def _write(model: VisionLanguageModel, folder: Path) -> None:
    model.save_adapter(ADAPTER, folder / ADAPTER)
    model.save_head(ADAPTER, folder / ADAPTER)


def _load(
    model: VisionLanguageModel,
    folder: Path,
    optimizer: Optimizer | None = None,
    checkpoint: checkpoints.Checkpoint | None = None,
) -> None:
    model.load_adapter_weights(ADAPTER, read_tensors(folder / ADAPTER / ADAPTER_WEIGHTS))
    model.load_head(ADAPTER, folder / ADAPTER)
    if optimizer is not None and checkpoint is not None:
        optimizer.load_state(checkpoint.optimizer(ADAPTER))


def _save(
    run: Run, reward_model: RewardModel, optimizer: Optimizer, *, step: int, bar: best.Best
) -> None:
    if not processes().leads:
        return
    settings = run.spec.settings
    assert isinstance(settings, RewardSettings)
    with checkpoints.saving(
        run.checkpoints, step, {"best": asdict(bar)}, keep=settings.keep_checkpoints
    ) as folder:
        reward_model.save(folder / ADAPTER)
        checkpoints.save_optimizer(folder, ADAPTER, optimizer.state())
        best.put_into(run, folder)
    run.events.checkpoint(step, f"{run.checkpoints.name}/step-{step}")


def _tensor(values: Iterable[float], like: Tensor) -> Tensor:
    return torch.tensor(list(values), dtype=like.dtype, device=like.device)
