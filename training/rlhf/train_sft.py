"""Supervised fine-tuning: learn to give the answers of a set of conversations.

The loss is on answer tokens only, end token included. What is trained is an adapter, or, with
``full_model``, every weight of the language model; vision tower and projector stay as they are.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.rlhf import checkpoints
from training.rlhf.adapters import ADAPTER_WEIGHTS, POLICY
from training.rlhf.answers import Example, conversation, padded
from training.rlhf.contract import ConversationRecord, Kind, SftSettings
from training.rlhf.data import EndlessOrder, length_batches
from training.rlhf.errors import Interrupted
from training.rlhf.finite import check_finite
from training.rlhf.logprobs import token_logprobs
from training.rlhf.losses import answer_loss
from training.rlhf.mixture import TABLE
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer, seed_step, steps_in
from training.rlhf.processes import processes
from training.rlhf.record_checks import stand_in, usable
from training.rlhf.rollout import response_hidden
from training.rlhf.run_directory import Run
from training.rlhf.tensors import read_tensors, write_tensors

_FULL_WEIGHTS = "language_model.safetensors"


def train_sft(run: Run) -> None:
    """Train in ``run`` from its newest checkpoint on; ``final/`` is an adapter or a whole model."""
    settings = run.spec.settings
    assert isinstance(settings, SftSettings)

    # 1. Records, model, optimiser
    run.events.stage("reading conversations")
    records = run.records(ConversationRecord)
    held_out = run.records(ConversationRecord, "held_out") if run.has_records("held_out") else []
    run.events.stage("loading the base model")
    model = _model(run, settings)

    def check(record: ConversationRecord) -> object:
        image = stand_in(model, record)
        return conversation(model, record, image, max_length=settings.max_length)

    records = usable(run, [model], records, check, what="conversations")
    if held_out:
        held_out = usable(run, [model], held_out, check, what="held-out conversations")
    optimizer = _optimizer(settings, model, len(records))
    total = optimizer.total_steps

    # 2. Where to begin
    done = 0
    checkpoint = run.newest_checkpoint()
    if checkpoint is not None:
        done = checkpoint.step
        _resume(settings, model, optimizer, checkpoint)

    # 3. Steps
    run.events.stage("fine-tuning")
    order = EndlessOrder(len(records), run.spec.seed)
    metrics: dict[str, float] = {}
    while done < total:
        run.begin_step(done)
        chosen = order.slice(done * settings.batch_size, settings.batch_size)
        metrics = _train_step(run, model, optimizer, [records[i] for _, i in chosen], step=done)
        done += 1
        stop = run.terminating  # asked once: it may change between saving and stopping
        save = done % settings.checkpoint_every == 0 or done == total or stop
        if held_out and save:
            metrics["held_out/loss"] = held_out_loss(run, model, held_out)
        run.events.metrics(done, metrics)
        run.events.progress(done, total)
        if save:
            _save(run, settings, model, optimizer, step=done, loss=metrics.get("held_out/loss"))
        if stop and done < total:
            raise Interrupted

    # 4. What others begin from
    weights = optimizer.weights() if settings.full_model else {}
    if not processes().leads:
        return
    with checkpoints.atomic_folder(run.final) as folder:
        if settings.full_model:
            model.save_base(folder, weights)
        else:
            model.save_adapter(POLICY, folder)
        _keep_table(run, folder)
    run.events.checkpoint(done, run.final.name, final=True, metrics=metrics)


def _keep_table(run: Run, folder: Path) -> None:
    """What the data was made of goes with the model that learnt it."""
    table = run.directory / "data" / TABLE
    if table.is_file():
        shutil.copyfile(table, folder / TABLE)


@torch.no_grad()
def held_out_loss(
    run: Run, model: VisionLanguageModel, records: Sequence[ConversationRecord]
) -> float:
    """Loss over ``records``, averaged as in training."""
    settings = run.spec.settings
    assert isinstance(settings, SftSettings)
    model.base.eval()
    examples = _examples(run, model, processes().share(records))
    total = processes().total(_weight(examples, settings))
    losses: list[float] = []
    for rows in _parts(examples, settings):
        model.fit("measuring").in_parts(
            [examples[row] for row in rows],
            lambda part: losses.append(float(_loss(model, part, settings, total=total))),
        )
    return processes().total(sum(losses))


def _model(run: Run, settings: SftSettings) -> VisionLanguageModel:
    seed_step(run.spec.seed, Kind.SFT, -1)
    model = VisionLanguageModel.load(run.base_model(), run.spec.model)
    if run.spec.policy_adapter is not None:
        folder = run.folder(run.spec.policy_adapter, field="policy_adapter")
        model.load_adapter(POLICY, folder)
    elif not settings.full_model:
        model.add_adapter(POLICY, settings.lora)
    if settings.gradient_checkpointing:
        model.compute_again()
    return model


def _optimizer(settings: SftSettings, model: VisionLanguageModel, count: int) -> Optimizer:
    """For ``count`` records; from here on its parameters are the only ones that are trained."""
    full = settings.full_model
    parameters = model.language_parameters() if full else model.trainable(POLICY)
    model.train_only(parameters)
    total = steps_in(settings.epochs, count, settings.batch_size, settings.max_steps)
    return Optimizer(parameters, settings.optimizer, total_steps=total)


def _examples(
    run: Run, model: VisionLanguageModel, records: Sequence[ConversationRecord]
) -> list[Example]:
    settings = run.spec.settings
    assert isinstance(settings, SftSettings)
    images = model.encode_images([run.image_files(record) for record in records])
    return [
        conversation(model, record, image, max_length=settings.max_length)
        for record, image in zip(records, images, strict=True)
    ]


def _train_step(
    run: Run,
    model: VisionLanguageModel,
    optimizer: Optimizer,
    records: Sequence[ConversationRecord],
    *,
    step: int,
) -> dict[str, float]:
    settings = run.spec.settings
    assert isinstance(settings, SftSettings)
    model.base.train(settings.lora.dropout > 0 and not settings.full_model)
    examples = _examples(run, model, processes().share(records))
    total = processes().total(_weight(examples, settings))
    losses: list[float] = []

    def learn(part: list[Example]) -> None:
        loss = _loss(model, part, settings, total=total)
        optimizer.accumulate(loss)
        losses.append(float(loss.detach()))

    for rows in _parts(examples, settings):
        model.fit("fine-tuning").in_parts([examples[row] for row in rows], learn)
    optimizer.gather()
    norm = optimizer.clip()
    rate = optimizer.step(step)
    loss_sum = processes().total(sum(losses))
    return {"train/loss": loss_sum, "train/gradient_norm": norm, "train/learning_rate": rate}


def _loss(
    model: VisionLanguageModel, examples: Sequence[Example], settings: SftSettings, *, total: float
) -> Tensor:
    answers = padded(model, examples)
    adapter = None if settings.full_model else POLICY
    prompts = [example.prompt for example in examples]
    learnt = answers.learnt.to(model.device)
    # Remembered, rounded weights would stay when the layers that they are of are cut again.
    with torch.autocast(
        model.device.type, torch.bfloat16, enabled=settings.mixed_precision, cache_enabled=False
    ):
        hidden = response_hidden(model, adapter, prompts, answers.ids, answers.mask)
        logprobs = token_logprobs(
            model, hidden, answers.ids, learnt, temperature=1.0, suppress=False
        )
    check_finite("log-probability", logprobs, [example.record for example in examples])
    return answer_loss(logprobs, learnt, average=settings.average, total=total)


def _weight(examples: Sequence[Example], settings: SftSettings) -> float:
    """What the loss of an optimiser step is divided by: its examples or its answer tokens."""
    if settings.average == "example":
        return float(len(examples))
    return float(sum(sum(example.learnt) for example in examples))


def _parts(examples: Sequence[Example], settings: SftSettings) -> Iterator[list[int]]:
    """What goes through the model at once, the longest first."""
    lengths = [len(example) for example in examples]
    return length_batches(lengths, settings.micro_batch_size, settings.micro_batch_tokens)


def _save(
    run: Run,
    settings: SftSettings,
    model: VisionLanguageModel,
    optimizer: Optimizer,
    *,
    step: int,
    loss: float | None,
) -> None:
    weights = optimizer.weights() if settings.full_model else {}
    state = optimizer.state()
    if not processes().leads:
        return
    merit = None if loss is None else -loss
    with checkpoints.saving(
        run.checkpoints, step, {}, keep=settings.keep_checkpoints, merit=merit
    ) as folder:
        if settings.full_model:
            write_tensors(folder / _FULL_WEIGHTS, weights)
        else:
            model.save_adapter(POLICY, folder / POLICY)
        checkpoints.save_optimizer(folder, POLICY, state)
    run.events.checkpoint(step, f"{run.checkpoints.name}/step-{step}")


def _resume(
    settings: SftSettings,
    model: VisionLanguageModel,
    optimizer: Optimizer,
    checkpoint: checkpoints.Checkpoint,
) -> None:
    if settings.full_model:
        optimizer.load_weights(read_tensors(checkpoint.folder / _FULL_WEIGHTS))
    else:
        weights = read_tensors(checkpoint.folder / POLICY / ADAPTER_WEIGHTS)
        model.load_adapter_weights(POLICY, weights)
    optimizer.load_state(checkpoint.optimizer(POLICY))
