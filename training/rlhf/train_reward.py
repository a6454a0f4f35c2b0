"""Reward model: learn from preference pairs which response is better.

Both responses of a pair go through the model in one forward pass with their facts in one order, so
neither padding nor the order of facts can tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from torch import Tensor

from training.rlhf import best, checkpoints
from training.rlhf.adapters import ADAPTER_WEIGHTS
from training.rlhf.contract import Kind, PreferencePair, RewardSettings
from training.rlhf.corrected import with_corrections
from training.rlhf.data import EndlessOrder
from training.rlhf.errors import Interrupted
from training.rlhf.evaluation import figures_of, pair_rewards
from training.rlhf.held_out_halves import Halves, halves
from training.rlhf.marked_tokens import is_false, mark_figures
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer, seed_step, steps_in
from training.rlhf.processes import processes
from training.rlhf.record_checks import check_facts, check_marks, stand_in, usable
from training.rlhf.reward_model import ADAPTER, RewardModel
from training.rlhf.reward_step import train_step
from training.rlhf.run_directory import Run
from training.rlhf.tensors import read_tensors

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
    pairs = with_corrections(pairs, settings.corrections)
    held_out = with_corrections(held_out, settings.corrections, held_out=True)
    check_facts(run, pairs, wanted=settings.with_facts)
    run.events.stage("loading the base model")
    seed_step(run.spec.seed, Kind.REWARD, -1)
    model = VisionLanguageModel.load(run.base_model(), run.spec.model)
    reward_model = RewardModel.fresh(model, settings)
    pairs = _usable(run, reward_model, pairs, "pairs")
    held_out = _usable(run, reward_model, held_out, "held-out pairs") if held_out else []
    parameters = model.trainable(ADAPTER) | reward_model.mark_parameters()
    if settings.token_coefficient > 0:
        check_marks([any(map(is_false, pair.marks)) for pair in pairs], "token_coefficient")
    model.train_only(parameters)
    total = steps_in(settings.epochs, len(pairs), settings.batch_size, settings.max_steps)
    optimizer = Optimizer(parameters, settings.optimizer, total_steps=total)

    split = halves(run, held_out, chooses=settings.keep_best or settings.patience > 0)

    # 2. Where to begin
    done, bar = 0, best.Best()
    checkpoint = run.newest_checkpoint()
    if checkpoint is not None:
        done, bar = checkpoint.step, best.Best(**checkpoint.state()["best"])
        _load(reward_model, checkpoint.folder, optimizer, checkpoint)
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
                best.keep(run, done, metrics, partial(_write, reward_model))
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
        _load(reward_model, best.kept(run).folder)
    _finish(run, reward_model, pairs, held_out, split, step=done)


def _measured(
    run: Run,
    reward_model: RewardModel,
    pairs: Sequence[PreferencePair],
    split: Halves,
    *,
    swapped: bool = False,
) -> tuple[dict[str, float], dict[str, float], Tensor]:
    """Figures to tell, figures to judge by, and rewards of held-out ``pairs``.

    The latter as ``pair_rewards`` has them.
    """
    rewards = _rewards(run, reward_model, pairs, swapped=swapped)
    told, judged = split.figures(
        lambda rows: figures_of(reward_model, rewards[rows], [pairs[row] for row in rows])
    )
    return told, judged, rewards


def _rewards(
    run: Run, reward_model: RewardModel, pairs: Sequence[PreferencePair], *, swapped: bool = False
) -> Tensor:
    """``pair_rewards`` in passes as large as those of training."""
    settings = run.spec.settings
    assert isinstance(settings, RewardSettings)
    size, tokens = settings.micro_batch_size, settings.micro_batch_tokens
    return pair_rewards(run, reward_model, pairs, batch_size=size, tokens=tokens, swapped=swapped)


def _usable(
    run: Run, reward_model: RewardModel, pairs: list[PreferencePair], what: str
) -> list[PreferencePair]:
    model = reward_model.model

    def check(pair: PreferencePair) -> object:
        outputs = (pair.output_1, pair.output_2)
        image = stand_in(model, pair)
        return reward_model.sequences(pair.conversation, image, outputs, pair.captions)

    return usable(run, [model], pairs, check, what=what)


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
        figures |= _of_marks(run, reward_model, [held_out[row] for row in split.reporting])
    else:
        rewards = _rewards(run, reward_model, reference)
    if settings.normalise:
        reward_model.normalise(rewards[split.choosing] if held_out else rewards)
    _show_samples(run, reference, reward_model.normalised(rewards.mean(-1)), step=step)
    if not processes().leads:
        return
    with checkpoints.atomic_folder(run.final) as folder:
        golden = [(pair, pair.output_1) for pair in reference]
        reward_model.save(folder, golden=golden, images=run.images)
    run.events.checkpoint(step, run.final.name, final=True, metrics=figures)


def _of_marks(
    run: Run, reward_model: RewardModel, pairs: Sequence[PreferencePair]
) -> dict[str, float]:
    settings = run.spec.settings
    assert isinstance(settings, RewardSettings)
    if not reward_model.knows_marks:
        return {}
    size, tokens = settings.micro_batch_size, settings.micro_batch_tokens
    found = mark_figures(run, reward_model, pairs, batch_size=size, tokens=tokens)
    return {f"held_out/{name}": value for name, value in found.items()}


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


def _write(reward_model: RewardModel, folder: Path) -> None:
    reward_model.model.save_adapter(ADAPTER, folder / ADAPTER)
    reward_model.save_heads(folder / ADAPTER)


def _load(
    reward_model: RewardModel,
    folder: Path,
    optimizer: Optimizer | None = None,
    checkpoint: checkpoints.Checkpoint | None = None,
) -> None:
    weights = read_tensors(folder / ADAPTER / ADAPTER_WEIGHTS)
    reward_model.model.load_adapter_weights(ADAPTER, weights)
    reward_model.load_heads(folder / ADAPTER)
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
