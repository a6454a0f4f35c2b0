"""vLLM as the sampler of PPO: in this process, with the same base, sharing the device in turns.

It runs inside this process, so nothing of it outlives a run, and each of several processes answers
its share of a round on its own GPU. What a stranger would get wrong: it would print its log where
events go.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from training.rlhf.adapters import POLICY
from training.rlhf.contract import PpoSettings
from training.rlhf.errors import ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.processes import processes
from training.rlhf.run_directory import Run
from training.rlhf.vllm_rounds import Answer, Ask, VllmRounds, longest, parameters_of, prompt_of

if TYPE_CHECKING:
    from training.rlhf.samplers import Question

_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # in this process: it dies with the run
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout is for events
    "VLLM_NO_USAGE_STATS": "1",
}
"""What vLLM reads when it is first imported. Who wants another value sets it before the run."""


class VllmSampler(VllmRounds):
    """vLLM with the policy's base, given the policy's adapter anew each round."""

    def __init__(self, run: Run, model: VisionLanguageModel, settings: PpoSettings) -> None:
        """Raises ModelError without the vllm package."""
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            self._vllm = importlib.import_module("vllm")
            self._lora_request = importlib.import_module("vllm.lora.request").LoRARequest
        except ImportError:
            raise ModelError("settings.sampler: 'vllm' needs the vllm package") from None
        platform = importlib.import_module("vllm.platforms").current_platform
        self._sleeps = bool(platform.is_sleep_mode_available())
        super().__init__(run, settings)
        self._adapters /= str(processes().number)
        self._engine: Any = None

    @contextlib.contextmanager
    def _policy(self, model: VisionLanguageModel) -> Iterator[Ask]:
        """The policy of this round under a number of its own; gone from disk and engine after."""
        with self._awake(model):
            shutil.rmtree(self._adapters, ignore_errors=True)
            folder = self._adapters / f"round-{self._round}"
            model.save_adapter(POLICY, folder)
            try:
                adapter = self._lora_request(folder.name, self._round, str(folder))
                yield partial(self._answers, model, adapter)
                self._engine.llm_engine.remove_lora(self._round)
            finally:
                shutil.rmtree(self._adapters, ignore_errors=True)

    def _answers(
        self,
        model: VisionLanguageModel,
        adapter: Any,
        questions: Mapping[int, Question],
        seeds: Sequence[int],
        before_step: Callable[[], None],
    ) -> Iterator[tuple[int, Answer]]:
        engine, sampling = self._engine.llm_engine, self._settings.sampling
        for row, question in questions.items():
            ids, picture = prompt_of(model, question)
            prompt = {"prompt_token_ids": ids, "multi_modal_data": {"image": picture}}
            parameters = self._vllm.SamplingParams(**parameters_of(model, sampling, seeds[row]))
            engine.add_request(str(row), prompt, parameters, lora_request=adapter)
        try:
            while engine.has_unfinished_requests():
                before_step()
                for output in engine.step():
                    if output.finished:
                        yield int(output.request_id), _answer(output)
        except BaseException:
            self._stop()  # with requests under way it is of no use to a next round
            raise

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
        arguments: dict[str, Any] = {}
        if everyone.count > 1:  # each of them an engine of its own
            arguments["distributed_executor_backend"] = "external_launcher"
        return self._vllm.LLM(
            model=self._run.base_model(),
            dtype=self._run.spec.model.dtype,
            seed=self._run.spec.seed,
            gpu_memory_utilization=settings.sampler_memory,
            max_model_len=longest(model, settings.sampling),
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


def _answer(output: Any) -> Answer:
    [answer] = output.outputs
    ids = [*answer.token_ids]
    drawn = [step[token].logprob for token, step in zip(ids, answer.logprobs, strict=True)]
    return Answer(output.prompt_token_ids, ids, drawn)


def _room_for(rank: int) -> int:
    """The next power of two from 8 on: vLLM makes room for adapters in such steps only."""
    return max(8, 1 << (rank - 1).bit_length())
