"""Who samples the responses of a round: this process, or vLLM beside it.

A sampler's kernels give a token a slightly other probability than the one that is trained on:
another program's, and in bfloat16 our own as well. So a sampler hands over the log-probabilities it
drew with, and PPO weighs each token by the truncated ratio of the two
(``advantages.truncated_importance_weights``).
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from training.rlhf.adapters import POLICY
from training.rlhf.contract import PpoSettings, PromptRecord
from training.rlhf.data import TokenSequence
from training.rlhf.errors import EngineError, ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prefixes import Prefix, family_batches, key_of
from training.rlhf.processes import processes
from training.rlhf.rollout import Responses, cut_at_stop, sample
from training.rlhf.run_directory import Run

_NEVER = -100.0
"""The lowest bias that vLLM takes; after it a token's probability is about e^-100."""

AfterBatch = Callable[[list[int], Responses, Prefix | None], None]
"""Called with the rows of a part, their responses and, if there is one, their prompts' prefix."""


@dataclass(frozen=True)
class Question:
    """A prompt in each of the forms that a sampler may want."""

    record: PromptRecord
    prompt: TokenSequence
    images: tuple[Path, ...]


class Sampler(Protocol):
    """Answers questions with the policy as it is now."""

    def sample(
        self,
        model: VisionLanguageModel,
        questions: Sequence[Question],
        settings: PpoSettings,
        *,
        before_batch: Callable[[], None],
        after_batch: AfterBatch,
    ) -> Responses:
        """One response to each question, in their order, with what its tokens were drawn with.

        ``before_batch`` may raise to give up. ``after_batch`` is called once for each row, in parts
        of at most ``settings.rollout_micro_batch_size``.
        """


class TransformersSampler:
    """The model in this process; what it sampled behind is measured while it is at hand."""

    def sample(
        self,
        model: VisionLanguageModel,
        questions: Sequence[Question],
        settings: PpoSettings,
        *,
        before_batch: Callable[[], None],
        after_batch: AfterBatch,
    ) -> Responses:
        """See ``Sampler``."""
        return sample(
            model,
            [question.prompt for question in questions],
            settings.sampling,
            adapter=POLICY,
            batch_size=settings.rollout_micro_batch_size,
            shared=True,
            names=[question.record.id for question in questions],
            before_batch=before_batch,
            after_batch=after_batch,
        )


class VllmSampler:
    """vLLM with the same base on the same GPU, given the policy's adapter anew each round."""

    def __init__(self, run: Run, model: VisionLanguageModel, settings: PpoSettings) -> None:
        """Raises ModelError without the vllm package, EngineError for a base it cannot share."""
        if run.spec.model.quantization != "none":
            raise EngineError("settings.sampler: vllm needs a base that is not quantised")
        if processes().count > 1:
            raise EngineError("settings.sampler: vllm works in one process only")
        try:
            self._vllm = importlib.import_module("vllm")
            self._lora_request = importlib.import_module("vllm.lora.request").LoRARequest
        except ImportError:
            raise ModelError("settings.sampler: 'vllm' needs the vllm package") from None
        self._adapters = run.directory / "sampler"
        self._round = 0
        self._engine = self._vllm.LLM(
            model=run.base_model(),
            dtype=run.spec.model.dtype,
            seed=run.spec.seed,
            gpu_memory_utilization=settings.sampler_memory,
            limit_mm_per_prompt={"image": 1},
            enable_lora=True,
            max_lora_rank=_room_for(model.adapter_rank(POLICY)),
            generation_config="vllm",  # none of the family's sampling defaults
            logprobs_mode="processed_logprobs",  # those that tokens are drawn with
        )

    def sample(
        self,
        model: VisionLanguageModel,
        questions: Sequence[Question],
        settings: PpoSettings,
        *,
        before_batch: Callable[[], None],
        after_batch: AfterBatch,
    ) -> Responses:
        """See ``Sampler``; ModelError when vLLM makes other tokens of a prompt than we do."""
        before_batch()
        outputs = self._engine.generate(
            [self._input(model, question) for question in questions],
            self._parameters(model, settings, len(questions)),
            lora_request=self._adapter(model),
            use_tqdm=False,
        )
        slots = settings.sampling.response_length
        ids = torch.full((len(questions), slots), model.pad_id)
        logprobs = torch.zeros(len(questions), slots)
        for row, (question, output) in enumerate(zip(questions, outputs, strict=True)):
            if list(output.prompt_token_ids) != question.prompt.ids:
                raise ModelError(
                    f"record {question.record.id}: vllm makes other tokens of the prompt; "
                    "use the sampler 'transformers' with this base model"
                )
            [answer] = output.outputs
            for slot, (token, choices) in enumerate(
                zip(answer.token_ids, answer.logprobs, strict=True)
            ):
                ids[row, slot] = token
                logprobs[row, slot] = choices[token].logprob
        responses = cut_at_stop(model, ids, logprobs)
        keys = [key_of(question.prompt) for question in questions]
        lengths = [len(question.prompt) for question in questions]
        for rows in family_batches(keys, lengths, settings.rollout_micro_batch_size):
            before_batch()
            after_batch(rows, responses.of(rows), None)
        return responses

    def _input(self, model: VisionLanguageModel, question: Question) -> dict[str, Any]:
        if len(question.images) > 1:
            raise EngineError(f"record {question.record.id}: the vllm sampler takes one image")
        return {
            "prompt_token_ids": model.chat.short_prompt_ids(question.record.conversation),
            "multi_modal_data": {"image": model.encode_images.picture(question.images[0])},
        }

    def _parameters(
        self, model: VisionLanguageModel, settings: PpoSettings, count: int
    ) -> list[Any]:
        """Parameters of each request; the seeds come from torch, so a round can be repeated."""
        sampling = settings.sampling
        return [
            self._vllm.SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=sampling.response_length,
                stop_token_ids=list(model.stop_ids),
                logit_bias=dict.fromkeys(model.suppressed_ids, _NEVER),
                logprobs=0,  # of the sampled token alone
                detokenize=False,
                seed=seed,
            )
            for seed in torch.randint(2**31, (count,)).tolist()
        ]

    def _adapter(self, model: VisionLanguageModel) -> Any:
        """The policy of this round under a number of its own: vLLM remembers adapters by it."""
        self._round += 1
        shutil.rmtree(self._adapters, ignore_errors=True)
        folder = self._adapters / f"round-{self._round}"
        model.save_adapter(POLICY, folder)
        return self._lora_request(folder.name, self._round, str(folder))


def _room_for(rank: int) -> int:
    """The next power of two from 8 on: vLLM makes room for adapters in such steps only."""
    return max(8, 1 << (rank - 1).bit_length())


def sampler_of(run: Run, model: VisionLanguageModel, settings: PpoSettings) -> Sampler:
    """The sampler that the settings name."""
    if settings.sampler == "vllm":
        return VllmSampler(run, model, settings)
    return TransformersSampler()
