"""Answers to prompts: for benchmarks, or several per prompt for people to compare.

Each batch draws from its own seed, so a restarted run repeats the answers it had already given.
"""

from __future__ import annotations

import json
from itertools import chain

from training.rlhf import checkpoints
from training.rlhf.adapters import POLICY
from training.rlhf.contract import GenerateSettings, Generation, Kind, PromptRecord
from training.rlhf.data import batches
from training.rlhf.errors import Interrupted
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import seed_step
from training.rlhf.processes import processes
from training.rlhf.rollout import Responses, sample
from training.rlhf.run_directory import Run
from training.rlhf.usable import stand_in, usable

GENERATIONS = "generations.jsonl"
_SAMPLES = 8


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
    generations: list[Generation] = []
    groups = [*enumerate(batches(records, settings.batch_size))]
    for turn in batches(groups, processes().count):  # a batch for each process
        if run.terminating:
            raise Interrupted
        answers = [
            _answers(run, model, adapter, group, number=number)
            for number, group in processes().share(turn)
        ]
        generations += chain.from_iterable(processes().collect(answers))
        run.events.progress(len(generations), len(records), unit="prompt")

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
    *,
    number: int,
) -> list[Generation]:
    """Answers to batch ``number``."""
    settings = run.spec.settings
    assert isinstance(settings, GenerateSettings)
    seed_step(run.spec.seed, Kind.GENERATE, number)
    images = model.encode_images([run.image_files(record) for record in records])
    prompts = [
        model.chat.prompt(record.conversation, image)
        for record, image in zip(records, images, strict=True)
    ]
    responses = sample(
        model,
        [prompt for prompt in prompts for _ in range(settings.samples_per_prompt)],
        settings.sampling,
        adapter=adapter,
        batch_size=settings.batch_size * settings.samples_per_prompt,
        names=[record.id for record in records for _ in range(settings.samples_per_prompt)],
    )
    return _grouped(records, responses, settings.samples_per_prompt)


def _grouped(records: list[PromptRecord], responses: Responses, each: int) -> list[Generation]:
    return [
        Generation(
            id=record.id,
            responses=tuple(responses.texts[start : start + each]),
            finished=tuple(responses.finished[start : start + each]),
        )
        for record, start in zip(records, range(0, len(responses.texts), each), strict=True)
    ]
