"""DPO: the policy learns from preference pairs directly, with neither reward model nor sampling.

The reference is the policy that the run begins with. Two additions are off by default: marked words
that weigh more (dense DPO) and damaged images that the policy has to tell from the right ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from training.rlhf import best, checkpoints, image_corruption
from training.rlhf.adapters import ADAPTER_WEIGHTS, POLICY
from training.rlhf.answers import answered
from training.rlhf.contract import DpoSettings, Kind, PreferencePair
from training.rlhf.corrected import with_corrections
from training.rlhf.data import EndlessOrder
from training.rlhf.dpo import PreferenceLearner
from training.rlhf.errors import DataError, Interrupted
from training.rlhf.held_out_halves import halves
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer, seed_step, steps_in
from training.rlhf.pair_logprobs import (
    reference_logprobs,
)
from training.rlhf.processes import processes
from training.rlhf.record_checks import check_marks, stand_in, usable
from training.rlhf.run_directory import Run
from training.rlhf.tensors import read_tensors

SAMPLE_PAIRS = 4


def train_dpo(run: Run) -> None:
    """Train in ``run`` from its newest checkpoint on, and leave the policy in ``final/``."""
    settings = run.spec.settings
    assert isinstance(settings, DpoSettings)

    # 1. Records, model, optimiser
    run.events.stage("reading preference pairs")
    pairs = run.records(PreferencePair)
    held_out = run.records(PreferencePair, "held_out") if run.has_records("held_out") else []
    pairs = with_corrections(pairs, settings.corrections)
    held_out = with_corrections(held_out, settings.corrections, held_out=True)
    run.events.stage("loading the base model")
    model = _model(run, settings)

    def check(pair: PreferencePair) -> object:
        outputs, image = (pair.output_1, pair.output_2), stand_in(model, pair)
        return answered(model, pair, image, outputs, max_length=settings.max_length)

    pairs = usable(run, [model], pairs, check, what="pairs")
    if settings.dense:
        check_marks([any(pair.telling_marks) for pair in pairs], "dense")
    if held_out:
        held_out = usable(run, [model], held_out, check, what="held-out pairs")
    parameters = model.trainable(POLICY)
    model.train_only(parameters)
    total = steps_in(settings.epochs, len(pairs), settings.batch_size, settings.max_steps)
    optimizer = Optimizer(parameters, settings.optimizer, total_steps=total)

    # 2. The reference: the policy as it is now, before any checkpoint is read
    damaged = _damaged(run, settings, pairs)
    split = halves(run, held_out, chooses=settings.keep_best or settings.patience > 0)
    exchanged = _exchanged(run, [held_out[row] for row in split.reporting])
    reference, held_out_reference, exchanged_reference, damaged_reference = reference_logprobs(
        run, model, [*pairs, *held_out, *exchanged, *damaged]
    ).split([len(pairs), len(held_out), len(exchanged), len(damaged)])
    if damaged:
        better = torch.tensor([pair.preference - 1 for pair in pairs])[:, None]
        reference = torch.cat([reference, damaged_reference.gather(1, better)], 1)
    learner = PreferenceLearner(run, settings, model, optimizer)

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
        shown = [damaged[i] for i in chosen] if damaged else []
        metrics = learner.step([pairs[i] for i in chosen], reference[chosen], shown, number=done)
        done += 1
        if held_out and (done % settings.evaluate_every == 0 or done == total):
            told, judged = split.figures(
                lambda rows: learner.evaluate(
                    [held_out[row] for row in rows], held_out_reference[rows]
                )
            )
            metrics |= told
            if exchanged:
                metrics["held_out/margin_image_exchanged"] = learner.margin(
                    exchanged, exchanged_reference
                )
            learner.show_samples(held_out[:SAMPLE_PAIRS], held_out_reference, step=done)
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


def _exchanged(run: Run, held_out: Sequence[PreferencePair]) -> list[PreferencePair]:
    """The pairs that are measured with another record's image; says when not all have one."""
    found = image_corruption.exchanged(held_out)
    if found and len(found) < len(held_out):
        run.events.stage(
            f"held_out/margin_image_exchanged is of {len(found)} of {len(held_out)} held-out "
            "pairs: the others find no other record's image"
        )
    return found


def _damaged(
    run: Run, settings: DpoSettings, pairs: Sequence[PreferencePair]
) -> list[PreferencePair]:
    """``pairs`` with damaged images where the policy is to learn to look; else none."""
    if not settings.image_coefficient:
        return []
    if blind := sum(not pair.images for pair in pairs):
        raise DataError(
            f"settings.image_coefficient: {blind} of {len(pairs)} pairs are text alone, with no "
            "image to be damaged"
        )
    if settings.image_damage == "crop":
        return image_corruption.cropped(run, pairs)
    damaged = image_corruption.exchanged(pairs)
    if len(damaged) < len(pairs):
        raise DataError(
            f"{len(pairs) - len(damaged)} of {len(pairs)} pairs find no other record's image to "
            "be shown (settings.image_damage): there is no other image, or not as many of them"
        )
    return damaged
