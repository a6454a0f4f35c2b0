"""PPO and reward steps as one would first write them, to measure the engine against.

Every pass begins at the pixels, makes logits of the whole vocabulary at every token, also where
none is used, and is padded to the longest sequence allowed. Sampling is ``generate`` under the
adapter, under ``peft_layers`` as PEFT computes it; both responses of a pair, and all responses to a
prompt, are passes of their own. The arithmetic of losses and advantages is the engine's, so that
results can be compared.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from PIL import Image
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from training.rlhf.adapters import POLICY, REFERENCE, VALUE
from training.rlhf.advantages import kl_penalty
from training.rlhf.contract import PreferencePair, PromptRecord, RewardSettings
from training.rlhf.credit import advantages_of
from training.rlhf.data import Batch, TokenSequence, batches
from training.rlhf.experience import Learner, order_of_facts
from training.rlhf.losses import policy_loss, preference_loss, value_loss
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer
from training.rlhf.ppo import shuffled_rows, updates_in
from training.rlhf.reward_model import ADAPTER, RewardModel
from training.rlhf.rollout import Responses, Trajectory
from training.rlhf.scoring import Scores, score


def whole_pass(
    model: VisionLanguageModel,
    adapter: str,
    sequences: Sequence[TokenSequence],
    files: Sequence[Path],
    *,
    width: int,
    slots: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits and last hidden states of sequences padded to ``width``, and their mask.

    ``slots`` ``[rows, response]`` are put behind the sequences, which are padded on the left then.
    """
    side = "right" if slots is None else "left"
    batch = Batch.pad(sequences, pad_id=model.pad_id, device=model.device, side=side)
    gap = width - batch.input_ids.shape[1] - (0 if slots is None else slots.shape[1])
    edges = (0, gap) if slots is None else (gap, 0)
    ids = torch.nn.functional.pad(batch.input_ids, edges, value=model.pad_id)
    mask = torch.nn.functional.pad(batch.attention_mask, edges)
    if slots is not None:
        ids = torch.cat([ids, slots], dim=1)
        mask = torch.cat([mask, (slots != model.pad_id).long()], dim=1)
    with model.using(adapter):
        output = model.base(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            pixel_values=pixels(model, files),
            output_hidden_states=True,
            use_cache=False,
        )
    return output.logits, output.hidden_states[-1], mask


@contextlib.contextmanager
def peft_layers(model: VisionLanguageModel) -> Iterator[None]:
    """The adapters' products as PEFT itself makes them, without ``training.rlhf.lora``."""
    ours = []
    for layer in model.base.modules():
        if isinstance(layer, BaseTunerLayer):
            state: Any = layer
            own = state.__dict__.pop("forward", None)
            ours.append((state, own, dict(state.lora_variant), state.cast_input_dtype_enabled))
            state.lora_variant.clear()
            state.cast_input_dtype_enabled = True
    try:
        yield
    finally:
        for state, own, variants, cast in ours:
            state.lora_variant.update(variants)
            state.cast_input_dtype_enabled = cast
            if own is not None:
                state.forward = own


def pixels(model: VisionLanguageModel, files: Sequence[Path]) -> Tensor:
    read = [Image.open(file) for file in files]
    inputs: Any = model.processor.image_processor(read, return_tensors="pt")
    values: Tensor = inputs["pixel_values"]
    return values


class PlainRewards(RewardModel):
    """The reward model, with whole passes."""

    files: dict[int, Path]
    width: int

    @torch.no_grad()
    def score_by_head(
        self, sequences: Sequence[TokenSequence], *, batch_size: int, shared: bool = False
    ) -> Tensor:
        return torch.cat([self.rewards_by_head(part) for part in batches(sequences, batch_size)])

    def rewards_by_head(self, sequences: Sequence[TokenSequence]) -> Tensor:
        files = [self.files[id(sequence.image)] for sequence in sequences]
        _, hidden, mask = whole_pass(self.model, ADAPTER, sequences, files, width=self.width)
        last = hidden[torch.arange(len(hidden)), mask.sum(1) - 1]
        return self.model.values_by_head(ADAPTER, last)


class PlainPpo:
    """One round of PPO on given responses, which are sampled again at their full price."""

    def __init__(
        self,
        learner: Learner,
        records: list[PromptRecord],
        prompts: list[TokenSequence],
        responses: Responses,
    ) -> None:
        self.learner, self.records, self.prompts = learner, records, prompts
        self.responses = responses
        self.files = [learner.run.image_files(record)[0] for record in records]
        self.slots = learner.settings.sampling.response_length
        self.width = max(len(prompt) for prompt in prompts) + self.slots
        gap = self.slots - responses.ids.shape[1]
        pad = learner.model.pad_id
        self.ids = torch.nn.functional.pad(responses.ids, (0, gap), value=pad)
        self.mask = torch.nn.functional.pad(responses.mask, (0, gap))

    def rollout(self) -> tuple[Trajectory, Scores]:
        settings, model = self.learner.settings, self.learner.model
        size = settings.rollout_micro_batch_size
        with torch.no_grad():
            for rows in batches(range(len(self.records)), size):
                self._sample(rows)
        scores = score(
            self.learner.reward_model,
            settings,
            self.records,
            self.prompts,
            self.responses,
            order=order_of_facts(self.learner),
        )
        found: dict[str, list[Tensor]] = {POLICY: [], REFERENCE: [], VALUE: []}
        with torch.no_grad():
            for rows in batches(range(len(self.records)), size):
                for adapter in (POLICY, REFERENCE):
                    found[adapter].append(self._logprobs(adapter, rows))
                found[VALUE].append(self._values(rows) * self.mask[rows])
        trajectory = Trajectory(
            records=self.records,
            prompts=self.prompts,
            responses=Responses(self.ids, self.mask, self.responses.finished, self.responses.texts),
            slots=self.mask,
            logprobs=torch.cat(found[POLICY]),
            reference_logprobs=torch.cat(found[REFERENCE]),
            values=torch.cat(found[VALUE]),
            entropy=torch.zeros_like(self.mask),
        )
        assert model is self.learner.model
        return trajectory, scores

    def update(self, trajectory: Trajectory, scores: Scores) -> dict[str, float]:
        learner, settings = self.learner, self.learner.settings
        kl = kl_penalty(
            trajectory.logprobs, trajectory.reference_logprobs, estimator=settings.kl_estimator
        )
        advantages, returns = advantages_of(learner, trajectory, scores, kl)
        losses, step = {"policy_loss": 0.0, "value_loss": 0.0}, 0
        for _ in range(settings.update_epochs):
            order = shuffled_rows(len(self.records), settings.responses_per_prompt)
            for batch in batches(order, settings.batch_size):
                count = float(self.mask[batch].sum())
                for rows in batches(batch, settings.micro_batch_size):
                    weight = float(self.mask[rows].sum()) / count
                    policy, _ = policy_loss(
                        self._logprobs(POLICY, rows),
                        trajectory.logprobs[rows],
                        advantages[rows],
                        self.mask[rows],
                        clip_range=settings.clip_range,
                    )
                    (policy * weight).backward()
                    value, _ = value_loss(
                        self._values(rows),
                        trajectory.values[rows],
                        returns[rows],
                        self.mask[rows],
                        clip_range=settings.value_clip_range,
                    )
                    (value * settings.value_coefficient * weight).backward()
                    losses["policy_loss"] += float(policy.detach()) * weight
                    losses["value_loss"] += float(value.detach()) * weight
                for optimizer in (learner.policy, learner.value):
                    optimizer.clip()
                    optimizer.step(step)
                step += 1
        return {f"ppo/{name}": total / updates_in(settings) for name, total in losses.items()}

    def _sample(self, rows: list[int]) -> None:
        """``generate``, made to say what was sampled before so that the work is the same."""
        model = self.learner.model
        batch = Batch.pad(
            [self.prompts[row] for row in rows],
            pad_id=model.pad_id,
            device=model.device,
            side="left",
        )
        config = GenerationConfig(
            do_sample=True,
            max_new_tokens=self.slots,
            eos_token_id=list(model.stop_ids),
            pad_token_id=model.pad_id,
            suppress_tokens=model.suppressed_ids,
        )
        forced = LogitsProcessorList([_Forced(self.ids[rows], batch.input_ids.shape[1])])
        with model.using(POLICY):
            output = model.base.generate(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                pixel_values=pixels(model, [self.files[row] for row in rows]),
                generation_config=config,
                logits_processor=forced,
            )
        said = output[:, batch.input_ids.shape[1] :]
        if not torch.equal(said, self.ids[rows, : said.shape[1]]):
            raise RuntimeError("the two loops did not sample the same responses")

    def _pass(self, adapter: str, rows: list[int]) -> tuple[Tensor, Tensor]:
        logits, hidden, _ = whole_pass(
            self.learner.model,
            adapter,
            [self.prompts[row] for row in rows],
            [self.files[row] for row in rows],
            width=self.width,
            slots=self.ids[rows],
        )
        before = slice(-self.slots - 1, -1)
        return logits[:, before], hidden[:, before]

    def _logprobs(self, adapter: str, rows: list[int]) -> Tensor:
        logits, _ = self._pass(adapter, rows)
        logits = logits.float() / self.learner.settings.sampling.temperature
        logits[..., self.learner.model.suppressed_ids] = -1e9
        chosen = torch.log_softmax(logits, -1).gather(-1, self.ids[rows][..., None]).squeeze(-1)
        return chosen.masked_fill(self.mask[rows] == 0, 0)

    def _values(self, rows: list[int]) -> Tensor:
        _, hidden = self._pass(VALUE, rows)
        return self.learner.model.head_values(VALUE, hidden)


class _Forced(LogitsProcessor):
    def __init__(self, ids: Tensor, prompt: int) -> None:
        self._ids, self._prompt = ids, prompt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        wanted = self._ids[:, input_ids.shape[1] - self._prompt, None]
        return torch.full_like(scores, -1e9).scatter(1, wanted, 0.0)


def plain_reward_step(
    rewards: PlainRewards,
    settings: RewardSettings,
    optimizer: Optimizer,
    pairs: Sequence[tuple[PreferencePair, tuple[TokenSequence, TokenSequence]]],
) -> float:
    """One optimiser step of the reward model; returns the loss."""
    total = 0.0
    for group in batches(pairs, settings.micro_batch_size):
        columns = list(zip(*(both for _, both in group), strict=True))
        one, two = (rewards.raw_rewards(column) for column in columns)
        first = torch.tensor([pair.preference == 1 for pair, _ in group])
        chosen, rejected = torch.where(first, one, two), torch.where(first, two, one)
        loss = preference_loss(chosen, rejected, center_coefficient=settings.center_coefficient)
        (loss * (len(group) / len(pairs))).backward()
        total += float(loss.detach()) * len(group) / len(pairs)
    optimizer.clip()
    optimizer.step(0)
    return total
