"""How far one engine and vLLM are apart, by turns of adapter and temperature, as JSON on stdout.

    python -m tests.vllm.agreement RUN_DIR

A turn is a temperature, the mean and the most of a token's gap in nats; a greedy one the share of
answers that are the same, and by how much the engine finds another token likelier, at most.
The engine stays from turn to turn, as it does where it can sleep, and each prompt is asked three
times, so that it meets what vLLM remembers of it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from training.rlhf.adapters import POLICY
from training.rlhf.contract import PromptRecord, RunSpec
from training.rlhf.logprobs import token_logprobs
from training.rlhf.losses import masked_mean
from training.rlhf.models import VisionLanguageModel
from training.rlhf.rollout import response_hidden
from training.rlhf.run_directory import Run
from training.rlhf.samplers import Question, TransformersSampler
from training.rlhf.vllm_sampler import VllmSampler

TEMPERATURES = (1.0, 0.7, 0.0)


@torch.no_grad()
def main(directory: Path) -> None:
    spec = RunSpec.from_json(json.loads((directory / "spec.json").read_text()))
    run = Run(directory, spec, None)  # type: ignore[arg-type]
    settings: Any = spec.settings
    model = VisionLanguageModel.load(run.base_model(), spec.model)
    model.add_adapter(POLICY, settings.lora)
    records = [
        PromptRecord.from_json(json.loads(line))
        for line in (directory / "data" / "train.jsonl").read_text().splitlines()
    ]
    files = [run.image_files(record) for record in records]
    for paths in files:
        for path in paths:
            model.encode_images.check(path)
    questions = [
        Question(record, model.chat.prompt(record.conversation, image), paths)
        for record, image, paths in zip(records, model.encode_images(files), files, strict=True)
        for _ in range(3)
    ]
    sampler = VllmSampler(run, model, settings)
    told: dict[str, Any] = {"turns": []}
    stop, sampler._stop = sampler._stop, lambda: None  # type: ignore[method-assign]
    for turn, temperature in enumerate([*TEMPERATURES, *TEMPERATURES]):
        torch.manual_seed(turn)
        for parameter in model.trainable(POLICY).values():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        sampling = replace(settings.sampling, temperature=temperature)
        # PPO's settings refuse a greedy round; a sampler does not.
        chosen: Any = SimpleNamespace(**(vars(settings) | {"sampling": sampling}))
        sampler._settings = chosen
        options: Any = {"before_batch": lambda: None, "after_batch": lambda *_: None}
        found = sampler.sample(model, questions, chosen, **options)
        prompts = [question.prompt for question in questions]
        hidden = response_hidden(model, POLICY, prompts, found.ids, found.mask)
        by = temperature or 1.0
        here = token_logprobs(model, hidden, found.ids, found.mask, temperature=by) * found.mask
        if temperature:
            assert found.drawn_with is not None
            apart = (here - found.drawn_with).abs() * found.mask
            mean = float(masked_mean(apart, found.mask))
            told["turns"].append([temperature, mean, float(apart.max())])
        else:
            ours = TransformersSampler().sample(model, questions, chosen, **options)
            same = sum(a == b for a, b in zip(ours.texts, found.texts, strict=True))
            best = model.logits(hidden, temperature=1.0).log_softmax(-1).amax(-1) * found.mask
            told["turns"].append([temperature, same / len(questions), float((best - here).max())])
    config = sampler._engine.llm_engine.vllm_config
    told["max_model_len"] = config.model_config.max_model_len
    told["videos"] = config.model_config.multimodal_config.get_limit_per_prompt("video")
    told["prefix_caching"] = config.cache_config.enable_prefix_caching
    told["with_engine"] = _held()
    stop()
    told["without"] = _held()
    print(json.dumps(told), flush=True)


def _held() -> int:
    """Bytes of address space: keys and values are taken at once, and touched later."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * 4096


if __name__ == "__main__":
    main(Path(sys.argv[1]))
