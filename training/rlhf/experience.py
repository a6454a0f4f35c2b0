"""What a round of PPO learns from: responses, what they earned, how probable they were.

Nothing here changes a weight. Tensors of a round are ``[count, response]`` on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.rlhf.contract import PpoSettings, PromptRecord
from training.rlhf.data import TokenSequence, batches, by_length
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer
from training.rlhf.reward_model import RewardModel
from training.rlhf.rollout import (
    Responses,
    Trajectory,
    response_hidden,
    sample,
    token_logprobs,
    widened,
)
from training.rlhf.run_directory import Run
from training.rlhf.scoring import Scores, score

POLICY, REFERENCE, VALUE = "policy", "reference", "value"


@dataclass
class Learner:
    """All that PPO holds between rounds."""

    run: Run
    settings: PpoSettings
    model: VisionLanguageModel
    reward_model: RewardModel
    policy: Optimizer
    value: Optimizer
    kl_coefficient: float


def rollout(learner: Learner, records: list[PromptRecord]) -> tuple[Trajectory, Scores]:
    """Sample a response to each record, score it, and measure it under every adapter.

    Raises Interrupted between batches: no weight has changed yet, so a round is simply repeated.
    """
    settings, model = learner.settings, learner.model
    prompts = prompts_of(learner, records)
    responses = sample(
        model,
        prompts,
        settings.sampling,
        adapter=POLICY,
        batch_size=settings.rollout_micro_batch_size,
        before_batch=learner.run.check_termination,
    )
    scores = score(learner.reward_model, settings, records, prompts, responses)
    if not settings.mask_padding:
        responses = widened(responses, settings.sampling.response_length, pad_id=model.pad_id)
    return measure(learner, records, prompts, responses), scores


@torch.no_grad()
def measure(
    learner: Learner,
    records: list[PromptRecord],
    prompts: list[TokenSequence],
    responses: Responses,
) -> Trajectory:
    """Log-probabilities of policy and reference, values and entropies of finished responses.

    The policy's are computed here and not taken from sampling, whose rounding differs.
    """
    settings, model = learner.settings, learner.model
    slots = responses.mask if settings.mask_padding else torch.ones_like(responses.mask)
    shape = responses.ids.shape
    found = {name: torch.zeros(shape) for name in ("logprobs", "reference", "values", "entropy")}
    lengths = [len(p) + int(n) for p, n in zip(prompts, responses.lengths, strict=True)]
    for indices in batches(by_length(lengths), settings.rollout_micro_batch_size):
        learner.run.check_termination()
        part = Part.of(prompts, responses, slots, indices)
        columns = slice(0, part.ids.shape[1])
        for name, adapter in (("logprobs", POLICY), ("reference", REFERENCE)):
            hidden = response_hidden(model, adapter, part.prompts, part.ids, part.mask)
            logprobs, entropy = token_logprobs(
                model, hidden, part.ids, part.mask, temperature=settings.sampling.temperature
            )
            found[name][indices, columns] = logprobs.cpu()
            if adapter == POLICY:
                found["entropy"][indices, columns] = entropy.cpu()
        hidden = response_hidden(model, VALUE, part.prompts, part.ids, part.mask)
        values = model.head_values(VALUE, hidden).cpu()
        found["values"][indices, columns] = values * part.slots
    return Trajectory(
        records=records,
        prompts=prompts,
        responses=responses,
        slots=slots,
        logprobs=found["logprobs"],
        reference_logprobs=found["reference"],
        values=found["values"],
        entropy=found["entropy"],
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


def prompts_of(learner: Learner, records: Sequence[PromptRecord]) -> list[TokenSequence]:
    images = learner.model.encode_images([learner.run.image_path(record) for record in records])
    return [
        learner.model.chat.prompt(record.conversation, image)
        for record, image in zip(records, images, strict=True)
    ]
