"""vLLM as the sampler of PPO: in this process, with the same base, sharing the device in turns.

It runs inside this process, so nothing of it outlives a run, and each of several processes answers
its share of a round on its own GPU. What a stranger would get wrong: vLLM remembers adapters by
number and prompts by what they were computed under, so each round's policy has a number of its own
and the memory of the last one is dropped; and it would print its log where events go.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from training.rlhf.adapters import POLICY
from training.rlhf.contract import PpoSettings
from training.rlhf.errors import EngineError, ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prefixes import family_batches, key_of
from training.rlhf.processes import processes
from training.rlhf.rollout import Responses, cut_at_stop
from training.rlhf.run_directory import Run

if TYPE_CHECKING:
    from training.rlhf.samplers import AfterBatch, Question

_NEVER = -100.0
"""The lowest bias that vLLM takes; after it a token's probability is about e^-100."""
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # in this process: it dies with the run
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout is for events
    "VLLM_NO_USAGE_STATS": "1",
}
"""What vLLM reads when it is first imported. Who wants another value sets it before the run."""


class VllmSampler:
    """vLLM with the policy's base, given the policy's adapter anew each round."""

    def __init__(self, run: Run, model: VisionLanguageModel, settings: PpoSettings) -> None:
        """Raises ModelError without the vllm package, EngineError for a base it cannot share."""
        if run.spec.model.quantization != "none":
            raise EngineError("settings.sampler: vllm needs a base that is not quantised")
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            self._vllm = importlib.import_module("vllm")
            self._lora_request = importlib.import_module("vllm.lora.request").LoRARequest
        except ImportError:
            raise ModelError("settings.sampler: 'vllm' needs the vllm package") from None
        platform = importlib.import_module("vllm.platforms").current_platform
        self._sleeps = bool(platform.is_sleep_mode_available())
        self._run, self._settings = run, settings
        self._adapters = run.directory / "sampler" / str(processes().number)
        self._round = 0
        self._engine: Any = None

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
        everyone = processes()
        keys = [key_of(question.prompt) for question in questions]
        lengths = [len(question.prompt) for question in questions]
        size = everyone.part_size(settings.rollout_micro_batch_size, len(questions))
        mine = everyone.share([*family_batches(keys, lengths, size)])
        ids = torch.zeros((len(questions), settings.sampling.response_length), dtype=torch.long)
        logprobs = torch.zeros(ids.shape)
        seeds = torch.randint(2**31, (len(questions),)).tolist()  # drawn by all, so all agree
        before_batch()
        with self._awake(model), self._policy(model) as adapter:
            answers = self._answers(
                model,
                {row: questions[row] for rows in mine for row in rows},
                [self._parameters(model, seed) for seed in seeds],
                adapter,
                before_batch,
            )
            for row, answer in answers:
                found = list(answer.token_ids)
                ids[row, : len(found)] = torch.tensor(found)
                drawn = [step[t].logprob for t, step in zip(found, answer.logprobs, strict=True)]
                logprobs[row, : len(drawn)] = torch.tensor(drawn)
        for rows in mine:
            before_batch()
            after_batch(rows, cut_at_stop(model, ids[rows]), None)
        everyone.sum_(ids, logprobs)
        return cut_at_stop(model, ids, logprobs)

    # ---- inside ------------------------------------------------------------------------------

    def _answers(
        self,
        model: VisionLanguageModel,
        questions: dict[int, Question],
        parameters: Sequence[Any],
        adapter: Any,
        before_step: Callable[[], None],
    ) -> Iterator[tuple[int, Any]]:
        """Rows with their answers as they end; ``before_step`` may raise to give up."""
        engine = self._engine.llm_engine
        for row, question in questions.items():
            engine.add_request(
                str(row), self._input(model, question), parameters[row], lora_request=adapter
            )
        try:
            while engine.has_unfinished_requests():
                before_step()
                for output in engine.step():
                    if not output.finished:
                        continue
                    question = questions[int(output.request_id)]
                    if list(output.prompt_token_ids) != question.prompt.ids:
                        raise ModelError(
                            f"record {question.record.id}: vllm makes other tokens of the prompt; "
                            "use the sampler 'transformers' with this base model"
                        )
                    [answer] = output.outputs
                    yield int(output.request_id), answer
        except BaseException:
            self._stop()  # with requests under way it is of no use to a next round
            raise

    def _input(self, model: VisionLanguageModel, question: Question) -> dict[str, Any]:
        if len(question.images) > 1:
            raise EngineError(f"record {question.record.id}: the vllm sampler takes one image")
        return {
            "prompt_token_ids": model.chat.short_prompt_ids(question.record.conversation),
            "multi_modal_data": {"image": model.encode_images.picture(question.images[0])},
        }

    def _parameters(self, model: VisionLanguageModel, seed: int) -> Any:
        """Of one request; the seeds come from torch, so a round can be repeated."""
        sampling = self._settings.sampling
        return self._vllm.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.response_length,
            stop_token_ids=[*model.stop_ids, *model.cut_ids],
            logit_bias=dict.fromkeys(model.suppressed_ids, _NEVER),
            logprobs=0,  # of the sampled token alone
            detokenize=False,
            seed=seed,
        )

    @contextlib.contextmanager
    def _policy(self, model: VisionLanguageModel) -> Iterator[Any]:
        """The policy of this round under a number of its own; gone from disk and engine after."""
        self._round += 1
        shutil.rmtree(self._adapters, ignore_errors=True)
        folder = self._adapters / f"round-{self._round}"
        model.save_adapter(POLICY, folder)
        try:
            yield self._lora_request(folder.name, self._round, str(folder))
            self._engine.llm_engine.remove_lora(self._round)
        finally:
            shutil.rmtree(self._adapters, ignore_errors=True)

    @contextlib.contextmanager
    def _awake(self, model: VisionLanguageModel) -> Iterator[None]:
        """Memory of weights, keys and values is vLLM's in here, and the training's again after."""
        if self._engine is None:
            self._engine = self._started(model)
        elif self._sleeps:
            self._engine.wake_up()
        yield
        if self._sleeps:
            self._engine.sleep(level=1)  # weights to the CPU; keys and values are forgotten
        else:
            self._stop()

    def _stop(self) -> None:
        """Give up the engine with all it holds; the next round starts another.

        Not among several processes: it would take down what they talk to each other by. There it
        keeps its memory where it cannot sleep, which is on the CPU.
        """
        if self._engine is not None and processes().count == 1:
            self._engine.llm_engine.engine_core.shutdown()
            self._engine = None
            gc.collect()

    def _started(self, model: VisionLanguageModel) -> Any:
        settings, everyone = self._settings, processes()
        sampling = settings.sampling
        placeholders = max(everyone.collect([model.encode_images.most_tokens]))
        arguments: dict[str, Any] = {}
        if everyone.count > 1:  # each of them an engine of its own
            arguments["distributed_executor_backend"] = "external_launcher"
        return self._vllm.LLM(
            model=self._run.base_model(),
            dtype=self._run.spec.model.dtype,
            seed=self._run.spec.seed,
            gpu_memory_utilization=settings.sampler_memory,
            max_model_len=sampling.query_length + placeholders + sampling.response_length,
            max_num_seqs=settings.sampler_rows,
            limit_mm_per_prompt={"image": 1, "video": 0},
            enable_lora=True,
            max_lora_rank=_room_for(model.adapter_rank(POLICY)),
            generation_config="vllm",  # none of the family's sampling defaults
            logprobs_mode="processed_logprobs",  # those that tokens are drawn with
            enable_sleep_mode=self._sleeps,
            enforce_eager=model.device.type == "cpu",  # there are no graphs to capture
            **arguments,
        )


def _room_for(rank: int) -> int:
    """The next power of two from 8 on: vLLM makes room for adapters in such steps only."""
    return max(8, 1 << (rank - 1).bit_length())
