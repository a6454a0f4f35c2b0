"""The hyperparameters: they live here once, as defaults, and are saved with every run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


def setting(
    default: Any,
    help: str,
    *,
    source: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A dataclass field that carries what a form or a manual must say about it."""
    metadata = {"help": help, "source": source, "minimum": minimum, "maximum": maximum}
    return field(default=default, metadata=metadata)


def unusable_records(default: str) -> Any:
    """What becomes of records that a run cannot use (``training.rlhf.record_checks``)."""
    return setting(
        default,
        "What becomes of records that cannot be used, such as one whose image cannot be decoded or "
        "whose facts do not fit: they are left out, counted and listed, or they refuse the run.",
    )


def micro_batch_tokens() -> Any:
    """The setting that bounds a forward pass of training by its tokens."""
    return setting(
        0,
        "Tokens in a forward pass, padding, images and shared prompts of each row included; so "
        "long rows go a few at a time and short ones up to micro_batch_size. One row goes in any "
        "case; 0 counts rows only.",
        minimum=0,
    )


def corrections_learnt(default: str, source: str = "") -> Any:
    """What becomes of the corrections of a release (``training.rlhf.corrected``)."""
    return setting(
        default,
        "Corrected answers, each better than the answer that was corrected: learnt as pairs too, "
        "as the only ones, or left out. With “add” held-out pairs are those of people's choices.",
        source=source,
    )


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    rank: int = setting(64, "Rank of the update matrices.", source="paper §3.2", minimum=1)
    alpha: int = setting(16, "Scale of the update: alpha / rank.", source="paper §3.2", minimum=1)
    dropout: float = setting(
        0.0, "Dropout on the adapter's input.", source="paper: 0", minimum=0, maximum=0.9
    )


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    learning_rate: float = setting(
        2e-5,
        "Peak learning rate of AdamW.",
        source="paper: 2e-5 sft (adapter 1e-4), 2e-5 reward, 3e-5 ppo",
        minimum=0,
    )
    schedule: Literal["constant", "cosine", "linear"] = setting(
        "constant",
        "What the learning rate does after warm-up.",
        source="paper: cosine, reward constant",
    )
    warmup_steps: int = setting(
        0,
        "Optimiser steps of linear warm-up.",
        source="paper's code: 3 % sft and reward, 5 rounds ppo",
        minimum=0,
    )
    warmup_from_zero: bool = setting(
        False,
        "Begin the warm-up at 0, so that the first step changes nothing, instead of at its first "
        "fraction.",
        source="paper's code: on",
    )
    weight_decay: float = setting(
        0.0, "Decoupled weight decay.", source="paper's code: 0", minimum=0
    )
    gradient_norm: float = setting(
        1.0,
        "Gradients are clipped to this norm; 0 only measures it.",
        source="paper's code: 1 ppo and full model, 0.3 for the adapters of sft and reward",
        minimum=0,
    )


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    temperature: float = setting(
        1.0,
        "Sampling temperature; 0 is greedy.",
        source="paper: 1 in PPO",
        minimum=0,
    )
    top_p: float = setting(1.0, "Nucleus sampling; 1 is off.", minimum=0, maximum=1)
    query_length: int = setting(128, "Longest prompt in text tokens.", source="paper", minimum=1)
    response_length: int = setting(896, "Longest response in tokens.", source="paper", minimum=1)


@dataclass(frozen=True, kw_only=True)
class SftSettings:
    """Supervised fine-tuning; the loss is on answer tokens only."""

    lora: LoraSettings = LoraSettings()
    optimizer: OptimizerSettings = OptimizerSettings(learning_rate=1e-4, schedule="cosine")
    epochs: float = setting(
        1.0, "Passes over the data.", source="paper: 3 full model, 1 adapter", minimum=0
    )
    batch_size: int = setting(
        32, "Conversations in an optimiser step.", source="paper: 128", minimum=1
    )
    micro_batch_size: int = setting(8, "Conversations in a forward pass.", minimum=1)
    micro_batch_tokens: int = micro_batch_tokens()
    max_steps: int = setting(0, "Stop after this many steps; 0 means all epochs.", minimum=0)
    average: Literal["token", "example"] = setting(
        "token",
        "Average the loss over tokens, or first within an example and then over examples.",
    )
    full_model: bool = setting(
        False,
        "Train all language-model weights instead of an adapter.",
        source="paper: both, one after the other",
    )
    mixed_precision: bool = setting(
        False,
        "With full_model: multiply in bfloat16, while weights, gradients and AdamW's state stay in "
        "float32. Without gradient_checkpointing the rounded weights are kept for a whole pass.",
        source="paper's code: on",
    )
    gradient_checkpointing: bool = setting(
        False,
        "Keep only what goes into a layer for the backward pass, which computes the rest again: "
        "a third more work for a small part of the memory.",
        source="paper's code: on",
    )
    max_length: int = setting(
        1024,
        "Longest sequence in text tokens; longer ones are cut.",
        source="paper's code: 1280 full model, 2048 adapter",
        minimum=1,
    )
    checkpoint_every: int = setting(100, "Steps between checkpoints.", minimum=1)
    keep_checkpoints: int = setting(
        0, "Keep so many of the newest checkpoints, and the best; 0 keeps all.", minimum=0
    )
    unusable_records: Literal["leave_out", "refuse"] = unusable_records("leave_out")


@dataclass(frozen=True, kw_only=True)
class RewardSettings:
    """Reward model: preference loss on the last token of the rating prompt (paper §2.2)."""

    lora: LoraSettings = LoraSettings()
    optimizer: OptimizerSettings = OptimizerSettings(learning_rate=2e-5)
    with_facts: bool = setting(
        True, "Show the captions to the reward model (Fact-RLHF).", source="paper: on"
    )
    facts_position: Literal["after_response", "before_response"] = setting(
        "before_response",
        "Where the facts stand. Before the response its tokens can attend to them, and both "
        "responses of a pair share one prefix; after it is what the paper did.",
        source="paper: after_response",
    )
    facts_introduction: str = setting(
        "These statements about the image are true. The response has to agree with them.",
        "The line before the facts.",
        source="paper: other words",
    )
    fact_format: str = setting(
        "- {caption}", "How a fact is written; {caption} is its text.", source="paper"
    )
    rating_prompt: str = setting(
        "Rate the last response. First of all it should be accurate: everything it says is "
        "supported by the image and by the facts, where facts are given. It should also be "
        "helpful, sound natural and waste no words. The rating is:",
        "What asks for the rating after the response; the reward is read at its last token. Facts "
        "after the response stand before it, or where it says {facts}.",
        source="paper: other words",
    )
    rating_prefix: str = setting(
        "",
        "What the model is made to begin its rating with, behind rating_prompt; the reward is read "
        "at its last token then.",
        source="paper: on",
    )
    head: Literal["linear", "mlp"] = setting(
        "linear",
        "What makes the reward of the last hidden state: a linear map, or two layers with SiLU "
        "between them, the first as wide as the hidden state.",
        source="paper: linear",
    )
    ensemble: int = setting(
        1,
        "So many heads on one backbone, each with a start and a bootstrap sample of the pairs of "
        "its own. The reward is their mean; their spread says where they had to guess.",
        source="arXiv 2401.16635, 1602.04621; paper: 1",
        minimum=1,
        maximum=64,
    )
    center_coefficient: float = setting(
        1e-3,
        "Weight of |mean(r_better + r_worse)|, keeping rewards near zero.",
        source="paper's code: 1e-3",
        minimum=0,
    )
    center_rewards_coefficient: float = setting(
        0.0,
        "Weight of mean((r_better + r_worse)^2), which keeps the rewards of each pair near zero, "
        "and with them the heads of an ensemble comparable.",
        source="arXiv 2312.09244: 0.01; paper: off",
        minimum=0,
    )
    token_coefficient: float = setting(
        0.0,
        "Weight of learning which words people marked as hallucinated, by a second head on the "
        "response's tokens; 0 makes none. PPO can take its word for each token.",
        source="ours; after arXiv 2312.00849",
        minimum=0,
    )
    token_positive_weight: float = setting(
        5.0,
        "With that: how many times a marked token weighs, because few are.",
        source="ours",
        minimum=0,
    )
    corrections: Literal["add", "only", "leave_out"] = corrections_learnt(
        "add", source="paper: knows none"
    )
    use_margin: bool = setting(
        False,
        "Subtract the record's vote margin inside the sigmoid.",
        source="arXiv 2307.09288 §3.2.2",
    )
    soft_labels: bool = setting(False, "Use the share of votes as the label instead of 0 or 1.")
    epochs: float = setting(1.0, "Passes over the data.", source="paper: 1", minimum=0)
    batch_size: int = setting(32, "Pairs in an optimiser step.", source="paper: 32", minimum=1)
    micro_batch_size: int = setting(
        4, "Pairs in a forward pass; center_coefficient is over so many.", minimum=1
    )
    micro_batch_tokens: int = micro_batch_tokens()
    max_steps: int = setting(
        0, "Stop after this many steps; 0 means all epochs.", source="paper: 200", minimum=0
    )
    evaluate_every: int = setting(50, "Steps between held-out evaluations.", minimum=1)
    checkpoint_every: int = setting(50, "Steps between checkpoints.", minimum=1)
    keep_checkpoints: int = setting(
        0, "Keep so many of the newest checkpoints, and the best; 0 keeps all.", minimum=0
    )
    keep_best: bool = setting(
        True,
        "Keep the step with the best held-out accuracy, not the last.",
        source="paper: the last",
    )
    patience: int = setting(
        0,
        "Stop after this many held-out evaluations that are no better than the best; 0 never "
        "stops early.",
        source="paper: stopped early, at step 200",
        minimum=0,
    )
    normalise: bool = setting(
        True,
        "Shift and scale rewards to mean 0, sd 1 on held-out samples.",
        source="paper's code: off",
    )
    max_length: int = setting(
        1024, "Longest sequence in text tokens.", source="paper's code: 2048", minimum=1
    )
    unusable_records: Literal["leave_out", "refuse"] = unusable_records("leave_out")


@dataclass(frozen=True, kw_only=True)
class DpoSettings:
    """Direct preference optimisation: the policy learns from pairs, with no reward model.

    The policy never sees the facts; they reach it only through what people preferred.
    """

    lora: LoraSettings = LoraSettings()
    optimizer: OptimizerSettings = OptimizerSettings(
        learning_rate=5e-6, schedule="linear", warmup_steps=10
    )
    beta: float = setting(
        0.1,
        "Strength of the pull back to the reference; smaller lets the policy move further.",
        source="arXiv 2305.18290: 0.1",
        minimum=0,
    )
    label_smoothing: float = setting(
        0.0, "Share of the labels expected to be the wrong way round.", minimum=0, maximum=0.5
    )
    soft_labels: bool = setting(False, "Use the share of votes as the label instead of 0 or 1.")
    corrections: Literal["add", "only", "leave_out"] = corrections_learnt(
        "add", source="arXiv 2312.00849: only"
    )
    dense: bool = setting(
        False,
        "Compare log-probabilities per token, in which the words that people marked as "
        "hallucinated (or corrected) weigh more.",
        source="arXiv 2312.00849",
    )
    marked_weight: float = setting(
        5.0,
        "With dense: how many times a marked token weighs.",
        source="arXiv 2312.00849: 5",
        minimum=0,
    )
    image_coefficient: float = setting(
        0.0,
        "Weight of preferring the better answer with its image to the same answer with a damaged "
        "one, so that the policy learns to look.",
        source="arXiv 2406.11839: 1",
        minimum=0,
    )
    image_damage: Literal["crop", "exchange"] = setting(
        "crop",
        "What the damaged image is: at most a fifth of its area, or the image of another record.",
        source="arXiv 2406.11839: crop",
    )
    anchor_coefficient: float = setting(
        0.0,
        "Weight of keeping the better answer at least as probable as the reference has it.",
        source="arXiv 2406.11839: 1",
        minimum=0,
    )
    anchor_delta: float = setting(
        0.0, "By how much more than that, in units of beta times the log-ratio."
    )
    answer_coefficient: float = setting(
        0.0,
        "Weight of the better answer's own loss per token, against both answers becoming "
        "improbable together.",
        source="arXiv 2404.19733: 1",
        minimum=0,
    )
    epochs: float = setting(1.0, "Passes over the data.", minimum=0)
    batch_size: int = setting(32, "Pairs in an optimiser step.", minimum=1)
    micro_batch_size: int = setting(4, "Pairs in a forward pass.", minimum=1)
    micro_batch_tokens: int = micro_batch_tokens()
    max_steps: int = setting(0, "Stop after this many steps; 0 means all epochs.", minimum=0)
    evaluate_every: int = setting(50, "Steps between held-out evaluations.", minimum=1)
    checkpoint_every: int = setting(50, "Steps between checkpoints.", minimum=1)
    keep_checkpoints: int = setting(
        0, "Keep so many of the newest checkpoints, and the best; 0 keeps all.", minimum=0
    )
    keep_best: bool = setting(True, "Keep the step with the best held-out accuracy, not the last.")
    patience: int = setting(
        0,
        "Stop after this many held-out evaluations that are no better than the best; 0 never "
        "stops early.",
        minimum=0,
    )
    max_length: int = setting(1024, "Longest sequence in text tokens.", minimum=1)
    unusable_records: Literal["leave_out", "refuse"] = unusable_records("leave_out")


@dataclass(frozen=True, kw_only=True)
class GenerateSettings:
    """Answers to prompts: benchmark answers, or several per prompt to compare."""

    sampling: SamplingSettings = SamplingSettings(temperature=0.7)
    samples_per_prompt: int = setting(1, "Responses sampled for each prompt.", minimum=1)
    batch_size: int = setting(16, "Prompts answered at once.", minimum=1)
    unusable_records: Literal["leave_out", "refuse"] = unusable_records("refuse")


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """Rewards of a trained reward model for both responses of each pair."""

    batch_size: int = setting(16, "Pairs scored at once.", minimum=1)
    labelled: bool = setting(
        True, "The pairs say which response is better, so that agreement is measured as well."
    )
    unusable_records: Literal["leave_out", "refuse"] = unusable_records("refuse")
