"""Answers to prompts: for benchmarks, or several per prompt for people to compare.

Each record draws from its own seed, so its answers depend neither on how many are answered at once
nor on which other records there are (up to rounding), and a restarted run repeats them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from training.rlhf import checkpoints
from training.rlhf.adapters import POLICY
from training.rlhf.contract import GenerateSettings, Generation, Kind, PromptRecord
from training.rlhf.data import batches
from training.rlhf.errors import Interrupted
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import seed_of
from training.rlhf.processes import processes
from training.rlhf.record_checks import stand_in, usable
from training.rlhf.rollout import Responses, sample
from training.rlhf.run_directory import Run

GENERATIONS = "generations.jsonl"
_SAMPLES = 8
_WINDOW = 16
"""Batches that a process takes together: in one, whoever ends makes room for the next prompt.

At its end places stay empty until the longest answer is over; its images are in memory together.
"""


def generate(run: Run) -> None:
    """Answer every prompt of ``data/train.jsonl`` into ``final/generations.jsonl``."""
    settings = run.spec.settings
    assert isinstance(settings, GenerateSettings)
    run.events.stage("reading prompts")
    records = run.records(PromptRecord, ids_once=True)
    run.events.stage("loading the base model")
    model = VisionLanguageModel.load(run.base_model(), run.spec.model)
    adapter = None
    if run.spec.policy_adapter is not None:
        adapter = POLICY
        model.load_adapter(adapter, run.folder(run.spec.policy_adapter, field="policy_adapter"))

    records = usable(
        run,
        [model],
        records,
        lambda record: model.chat.prompt(record.conversation, stand_in(model, record)),
        what="prompts",
    )

    run.events.stage("answering")
    everyone = processes()
    generations: list[Generation] = []

    def tell(done: int) -> None:
        run.events.progress(len(generations) + done, len(records), unit="prompt")

    for turn in batches(records, _WINDOW * settings.batch_size * everyone.count):
        if run.terminating:
            raise Interrupted
        generations += everyone.collect(_answers(run, model, adapter, everyone.share(turn), tell))
        tell(0)

    for record, generation in zip(records[:_SAMPLES], generations, strict=False):
        run.events.sample(
            0,
            prompt_id=record.id,
            image=record.image,
            prompt=record.question,
            response=generation.responses[0],
        )
    if not processes().leads:
        return
    with checkpoints.atomic_folder(run.final) as folder:
        lines = [json.dumps(g.to_json(), ensure_ascii=False) + "\n" for g in generations]
        (folder / GENERATIONS).write_text("".join(lines), encoding="utf-8")
    run.events.checkpoint(len(generations), run.final.name, final=True)


def _answers(
    run: Run,
    model: VisionLanguageModel,
    adapter: str | None,
    records: list[PromptRecord],
    tell: Callable[[int], None],
) -> list[Generation]:
    """Answers to ``records``; ``tell`` is called with how many are done, a batch apart or more."""
    settings = run.spec.settings
    assert isinstance(settings, GenerateSettings)
    each, told, done = settings.samples_per_prompt, 0, set[int]()
    images = model.encode_images([run.image_files(record) for record in records])
    prompts = [
        model.chat.prompt(record.conversation, image)
        for record, image in zip(records, images, strict=True)
    ]

    def after_batch(rows: list[int], *_: object) -> None:
        nonlocal told
        done.update(rows)
        whole = len(done) // each
        if told + settings.batch_size <= whole < len(records):
            told = whole
            tell(whole)

    if not records:
        return []
    responses = sample(
        model,
        [prompt for prompt in prompts for _ in range(each)],
        settings.sampling,
        adapter=adapter,
        batch_size=settings.batch_size * each,
        names=[record.id for record in records for _ in range(each)],
        draws=_draws(run.spec.seed, records, each, settings.sampling.response_length),
        before_batch=run.check_termination,
        after_batch=after_batch,
    )
    return _grouped(records, responses, each)


def _draws(seed: int, records: Sequence[PromptRecord], each: int, length: int) -> Tensor:
    """Each record's own random numbers, ``[records * each, length]``."""
    found = []
    for record in records:
        generator = torch.Generator().manual_seed(seed_of(seed, Kind.GENERATE, record.id))
        found.append(torch.rand((each, length), dtype=torch.float64, generator=generator))
    return torch.cat(found)


def _grouped(records: list[PromptRecord], responses: Responses, each: int) -> list[Generation]:
    return [
        Generation(
            id=record.id,
            responses=tuple(responses.texts[start : start + each]),
            finished=tuple(responses.finished[start : start + each]),
        )
        for record, start in zip(records, range(0, len(responses.texts), each), strict=True)
    ]
