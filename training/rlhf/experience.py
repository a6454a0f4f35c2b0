"""What a round of PPO learns from: responses, what they earned, how probable they were.

Nothing here changes a weight. Tensors of a round are ``[count, response]`` on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from training.rlhf.adapters import POLICY, REFERENCE, VALUE
from training.rlhf.contract import PpoSettings, PromptRecord
from training.rlhf.data import TokenSequence
from training.rlhf.finite import check_finite
from training.rlhf.logprobs import token_entropy, token_logprobs
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer, seed_of
from training.rlhf.prefixes import Prefix
from training.rlhf.processes import processes
from training.rlhf.reward_model import RewardModel
from training.rlhf.rollout import (
    Responses,
    Trajectory,
    prompt_prefix,
    response_hidden,
    widened,
)
from training.rlhf.run_directory import Run
from training.rlhf.samplers import Question, Sampler, TransformersSampler
from training.rlhf.scoring import Scores, score

_WORKERS_BESIDE_A_GPU = 4


@dataclass
class Learner:
    """All that PPO holds between rounds."""

    run: Run
    settings: PpoSettings
    model: VisionLanguageModel
    reward_model: RewardModel
    policy: Optimizer
    value: Optimizer | None
    """None where there is no critic."""
    kl_coefficient: float
    sampler: Sampler = field(default_factory=TransformersSampler)
    critic: VisionLanguageModel | None = None
    """What the value adapter is on, where that is another base than the policy's."""

    @property
    def models(self) -> list[VisionLanguageModel]:
        """All bases with their adapters, each once."""
        found = (self.model, self.reward_model.model, self.valuing)
        return list({id(model): model for model in found}.values())

    @property
    def valuing(self) -> VisionLanguageModel:
        """The model that values are computed by."""
        return self.critic or self.model


def rollout(learner: Learner, records: list[PromptRecord]) -> tuple[Trajectory, Scores]:
    """Sample a response to each record, score it, and measure it under every adapter.

    Raises Interrupted between batches: no weight has changed yet, so a round is simply repeated.
    """
    settings = learner.settings
    prompts = prompts_of(learner, records)
    value_prompts = None
    if learner.critic is not None:
        value_prompts = prompts_of(learner, records, model=learner.critic)
    found = Measured.empty(
        len(records), settings.sampling.response_length, values=settings.has_critic
    )

    def measure_batch(rows: list[int], responses: Responses, prefix: Prefix | None) -> None:
        """Now, while the keys and values are known that the responses were sampled behind."""
        part, valued = (
            None if of is None else [of[row] for row in rows] for of in (prompts, value_prompts)
        )
        assert part is not None
        measured = measure_rows(
            learner, part, responses, policy_prefix=prefix, value_prompts=valued
        )
        found.put(rows, measured)

    responses = learner.sampler.sample(
        learner.model,
        _questions(learner, records, prompts),
        settings,
        before_batch=learner.run.check_termination,
        after_batch=measure_batch,
    )
    found.gather()
    found.check([record.id for record in records])
    scores = scores_of(learner, records, prompts, responses)
    trajectory = _trajectory(learner, records, prompts, responses, found)
    return replace(trajectory, value_prompts=value_prompts), scores


def expect_answers(
    learner: Learner,
    records: Sequence[PromptRecord],
    *,
    round_number: int,
    policy: Path | None = None,
) -> None:
    """Let the sampler begin with the rollout of ``records``, with the policy as it is now.

    Or with the adapter ``policy``, from which a run that was broken off had begun.
    """
    questions = _questions(learner, records, prompts_of(learner, records))
    seed = seed_of(learner.run.spec.seed, "rollout ahead", round_number)
    learner.sampler.expect(learner.model, questions, seed=seed, policy=policy)


def _questions(
    learner: Learner, records: Sequence[PromptRecord], prompts: Sequence[TokenSequence]
) -> list[Question]:
    return [
        Question(record, prompt, learner.run.image_files(record))
        for record, prompt in zip(records, prompts, strict=True)
    ]


def order_of_facts(learner: Learner) -> str:
    """What seeds the order of each record's facts in this round."""
    return f"{learner.run.spec.seed}-{learner.run.position}"


def scores_of(
    learner: Learner,
    records: Sequence[PromptRecord],
    prompts: Sequence[TokenSequence],
    responses: Responses,
) -> Scores:
    """What the responses earned, also from a reward model that has a base of its own."""
    images = None
    if learner.reward_model.model is not learner.model:
        paths = [learner.run.image_files(record) for record in records]
        images = learner.reward_model.model.encode_images(paths, shared=True)
    return score(
        learner.reward_model,
        learner.settings,
        records,
        prompts,
        responses,
        chat=learner.model.chat,
        images=images,
        order=order_of_facts(learner),
    )


@dataclass
class Measured:
    """What the adapters say of responses; each ``[count, slots]`` on the CPU, 0 on padding."""

    logprobs: Tensor
    reference: Tensor
    entropy: Tensor
    values: Tensor | None
    """None where there is no critic."""

    @classmethod
    def empty(cls, count: int, slots: int, *, values: bool) -> Measured:
        """Zeros, to be filled in."""

        def zeros() -> Tensor:
            return torch.zeros(count, slots)

        return cls(zeros(), zeros(), zeros(), zeros() if values else None)

    def gather(self) -> None:
        """Put together what the processes have measured, each of its own rows."""
        processes().sum_(*(tensor for tensor in self._tensors() if tensor is not None))

    def put(self, rows: list[int], part: Measured) -> None:
        """Write what was measured of some rows, which may be narrower."""
        for whole, measured in zip(self._tensors(), part._tensors(), strict=True):
            if whole is not None and measured is not None:
                whole[rows, : measured.shape[1]] = measured

    def check(self, records: Sequence[str]) -> None:
        """Raise NonFinite that names the first of ``records`` of which something is not finite."""
        names = ("log-probability", "reference log-probability", "entropy", "value")
        for name, tensor in zip(names, self._tensors(), strict=True):
            if tensor is not None:
                check_finite(name, tensor, records)

    def _tensors(self) -> tuple[Tensor | None, ...]:
        return self.logprobs, self.reference, self.entropy, self.values


@torch.no_grad()
def measure_rows(
    learner: Learner,
    prompts: list[TokenSequence],
    responses: Responses,
    *,
    policy_prefix: Prefix | None = None,
    value_prompts: list[TokenSequence] | None = None,
) -> Measured:
    """Log-probabilities of policy and reference, entropies of the policy, values of the critic.

    All go the same way behind prefixes of their own, so that a policy that equals its reference
    has exactly its probabilities. The policy's are computed here and not taken from sampling,
    whose rounding differs.
    """
    model, settings = learner.model, learner.settings
    if not settings.mask_padding:
        width = settings.sampling.response_length
        responses = widened(responses, width, pad_id=model.pad_id)
    temperature = settings.sampling.temperature

    def logprobs_of(hidden: Tensor) -> Tensor:
        found = token_logprobs(
            model, hidden, responses.ids, responses.mask, temperature=temperature
        )
        return found.cpu()

    hidden = _hidden(learner, POLICY, prompts, responses, policy_prefix)
    logprobs = logprobs_of(hidden)
    entropy = token_entropy(model, hidden, responses.mask, temperature=temperature).cpu()
    reference = logprobs_of(_hidden(learner, REFERENCE, prompts, responses))
    if not settings.has_critic:
        return Measured(logprobs, reference, entropy, None)
    critic = learner.valuing
    valued = _hidden(learner, VALUE, value_prompts or prompts, responses, model=critic)
    values = critic.head_values(VALUE, valued).cpu()
    if settings.mask_padding:
        values = values * responses.mask
    return Measured(logprobs, reference, entropy, values)


def _hidden(
    learner: Learner,
    adapter: str,
    prompts: list[TokenSequence],
    responses: Responses,
    prefix: Prefix | None = None,
    *,
    model: VisionLanguageModel | None = None,
) -> Tensor:
    model = model or learner.model
    prefix = prefix or prompt_prefix(model, adapter, prompts)
    padding_counts = not learner.settings.mask_padding
    return response_hidden(
        model,
        adapter,
        prompts,
        responses.ids,
        responses.mask,
        slots=torch.ones_like(responses.mask) if padding_counts else None,
        prefix=prefix,
    )


def _trajectory(
    learner: Learner,
    records: list[PromptRecord],
    prompts: list[TokenSequence],
    responses: Responses,
    found: Measured,
) -> Trajectory:
    settings = learner.settings
    if not settings.mask_padding:
        width = settings.sampling.response_length
        responses = widened(responses, width, pad_id=learner.model.pad_id)
    width = responses.ids.shape[1]
    return Trajectory(
        records=records,
        prompts=prompts,
        responses=responses,
        slots=responses.mask if settings.mask_padding else torch.ones_like(responses.mask),
        logprobs=found.logprobs[:, :width],
        reference_logprobs=found.reference[:, :width],
        values=None if found.values is None else found.values[:, :width],
        entropy=found.entropy[:, :width],
    )


@dataclass
class Part:
    """Some rows of a round, cut to the longest response among them."""

    prompts: list[TokenSequence]
    ids: Tensor
    mask: Tensor
    slots: Tensor

    @classmethod
    def of(
        cls,
        prompts: Sequence[TokenSequence],
        responses: Responses,
        slots: Tensor,
        rows: list[int],
    ) -> Part:
        width = int(slots[rows].sum(1).max())
        return cls(
            [prompts[row] for row in rows],
            responses.ids[rows, :width],
            responses.mask[rows, :width],
            slots[rows, :width],
        )


def prompts_of(
    learner: Learner,
    records: Sequence[PromptRecord],
    *,
    model: VisionLanguageModel | None = None,
) -> list[TokenSequence]:
    """The records' prompts as ``model``, by default the policy's, reads them."""
    model = model or learner.model
    files = [learner.run.image_files(record) for record in records]
    images = model.encode_images(files, shared=True)
    return [
        model.chat.prompt(record.conversation, image)
        for record, image in zip(records, images, strict=True)
    ]


def expect_images(learner: Learner, records: Sequence[PromptRecord]) -> None:
    """Begin to decode what a rollout of ``records`` will ask for, beside this process."""
    workers = learner.settings.image_workers
    if workers < 0:
        workers = _WORKERS_BESIDE_A_GPU if learner.model.device.type == "cuda" else 0
    files = [file for record in records for file in learner.run.image_files(record)]
    for model in learner.models:
        model.encode_images.expect(files, workers)
