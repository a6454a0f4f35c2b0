"""What every round that vLLM samples has in common, wherever vLLM runs.

What a stranger would get wrong: vLLM remembers adapters by name and prompts by what they were
computed under, so each round's policy has a name of its own; and what it makes of a prompt is
compared with ours token by token, since another image or template would go unnoticed otherwise.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from training.rlhf.contract import PpoSettings, SamplingSettings
from training.rlhf.errors import EngineError, ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import undrawn
from training.rlhf.prefixes import family_batches, key_of
from training.rlhf.processes import processes
from training.rlhf.rollout import Responses, cut_at_stop
from training.rlhf.run_directory import Run
from training.rlhf.samplers import NotAhead

if TYPE_CHECKING:
    from training.rlhf.samplers import AfterBatch, Question

_NEVER = -100.0
"""The lowest bias that vLLM takes; after it a token's probability is about e^-100."""


@dataclass(frozen=True)
class Answer:
    """One answer as vLLM gives it."""

    prompt_ids: Sequence[int]
    """The prompt with its image in as many tokens as vLLM made of it."""
    ids: Sequence[int]
    logprobs: Sequence[float]


Ask = Callable[
    [Mapping[int, "Question"], Sequence[int], Callable[[], None]], Iterator[tuple[int, Answer]]
]
"""Rows with their questions, all rows' seeds, what may raise to give up; rows as they end."""


class VllmRounds(NotAhead, ABC):
    """A ``Sampler`` whose answers come from vLLM; subclasses know where that runs."""

    def __init__(self, run: Run, settings: PpoSettings) -> None:
        self._run, self._settings = run, settings
        self._adapters = run.directory / "sampler"
        self._round = 0

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
        mine = self._parts(questions)
        ids = torch.zeros((len(questions), settings.sampling.response_length), dtype=torch.long)
        logprobs = torch.zeros(ids.shape)
        seeds = torch.randint(2**31, (len(questions),)).tolist()  # drawn by all, so all agree
        before_batch()
        own = {row: questions[row] for rows in mine for row in rows}
        answered = self._answered(model, own, seeds, before_batch)
        with undrawn(), contextlib.closing(answered) as answers:
            for row, answer in answers:
                question = questions[row]
                if [*answer.prompt_ids] != question.prompt.ids:
                    raise ModelError(
                        f"record {question.record.id}: vllm makes other tokens of the prompt; "
                        "use the sampler 'transformers' with this base model"
                    )
                ids[row, : len(answer.ids)] = torch.tensor([*answer.ids])
                logprobs[row, : len(answer.ids)] = torch.tensor([*answer.logprobs])
        for rows in mine:
            before_batch()
            after_batch(rows, cut_at_stop(model, ids[rows]), None)
        processes().sum_(ids, logprobs)
        return cut_at_stop(model, ids, logprobs)

    def _parts(self, questions: Sequence[Question]) -> list[list[int]]:
        """Rows that this process asks and measures, by what it measures at once."""
        everyone = processes()
        keys = [key_of(question.prompt) for question in questions]
        lengths = [len(question.prompt) for question in questions]
        size = everyone.part_size(self._settings.rollout_micro_batch_size, len(questions))
        return everyone.share([*family_batches(keys, lengths, size)])

    def _answered(
        self,
        model: VisionLanguageModel,
        questions: Mapping[int, Question],
        seeds: Sequence[int],
        before_step: Callable[[], None],
    ) -> Generator[tuple[int, Answer]]:
        """The answers of the policy as it is now."""
        self._round += 1
        with self._policy(model) as ask:
            yield from ask(questions, seeds, before_step)

    @abstractmethod
    def _policy(self, model: VisionLanguageModel) -> AbstractContextManager[Ask]:
        """vLLM with the policy of round ``_round``; nothing is left of it afterwards."""


def prompt_of(model: VisionLanguageModel, question: Question) -> tuple[list[int], Image.Image]:
    """Tokens with one for the image, and the picture; EngineError for several images."""
    return short_prompt_of(model, question), model.encode_images.picture(question.images[0])


def short_prompt_of(model: VisionLanguageModel, question: Question) -> list[int]:
    """Tokens with one for the image; EngineError for several images."""
    if len(question.images) > 1:
        raise EngineError(f"record {question.record.id}: the vllm sampler takes one image")
    return model.chat.short_prompt_ids(question.record.conversation)


def parameters_of(
    model: VisionLanguageModel, sampling: SamplingSettings, seed: int
) -> dict[str, Any]:
    """vLLM's sampling parameters; seeds come from torch, so a round can be repeated."""
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.response_length,
        "stop_token_ids": [*model.stop_ids, *model.cut_ids],
        "logit_bias": dict.fromkeys(model.suppressed_ids, _NEVER),
        "logprobs": 0,  # of the sampled token alone
        "detokenize": False,
        "seed": seed,
    }


def longest(model: VisionLanguageModel, sampling: SamplingSettings) -> int:
    """Tokens of the longest context that the run can need; all processes must ask."""
    placeholders = max(processes().collect([model.encode_images.most_tokens]))
    return sampling.query_length + placeholders + sampling.response_length
