"""Who samples the responses of a round: this process, vLLM in it, or vLLM's servers.

A sampler's kernels give a token a slightly other probability than the one that is trained on:
another program's, and in bfloat16 our own as well. So a sampler hands over the log-probabilities it
drew with, and PPO weighs each token by the truncated ratio of the two
(``advantages.truncated_importance_weights``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from training.rlhf.adapters import POLICY
from training.rlhf.contract import PpoSettings, PromptRecord
from training.rlhf.data import TokenSequence
from training.rlhf.errors import EngineError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prefixes import Prefix
from training.rlhf.rollout import Responses, sample
from training.rlhf.run_directory import Run

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

    drawn_from: Path | None
    """The adapter that answers a round which was asked for ahead, if there is such a round."""

    def expect(
        self,
        model: VisionLanguageModel,
        questions: Sequence[Question],
        *,
        seed: int,
        policy: Path | None = None,
    ) -> None:
        """Begin with what the next ``sample`` will ask for, beside this process.

        The policy as it is now answers, or the adapter ``policy``. Only where ``sampler_of`` allows
        ``rollout_ahead``.
        """

    def close(self) -> None:
        """Give up what was begun."""

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


class NotAhead:
    """What a sampler that shares the device with the updates has to say of sampling ahead."""

    drawn_from: Path | None = None

    def expect(
        self,
        model: VisionLanguageModel,
        questions: Sequence[Question],
        *,
        seed: int,
        policy: Path | None = None,
    ) -> None:
        """Never asked for: ``sampler_of`` refuses it."""
        raise NotImplementedError

    def close(self) -> None:
        """See ``Sampler``."""


class TransformersSampler(NotAhead):
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


def sampler_of(run: Run, model: VisionLanguageModel, settings: PpoSettings) -> Sampler:
    """The sampler that the settings name; the environment says where servers are (``SERVERS``)."""
    if settings.sampler == "vllm_servers":
        from training.rlhf.vllm_servers import SERVERS, VllmServers

        addresses = os.environ.get(SERVERS, "").split()
        if not addresses:
            raise EngineError(
                f"settings.sampler: vllm_servers are named in the environment of the run "
                f"({SERVERS}), and none is"
            )
        return VllmServers(run, settings, addresses)
    if settings.sampler == "vllm":
        from training.rlhf.vllm_sampler import VllmSampler

        return VllmSampler(run, model, settings)
    return TransformersSampler()
