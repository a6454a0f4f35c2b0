"""The hyperparameters: they live here once, as defaults, and are saved with every run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from training.rlhf.contract.wire import ContractError


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
        source="paper's code: 3 % sft and reward, 5 steps ppo",
        minimum=0,
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
        "What asks for the rating after the response; the reward is read at its last token.",
        source="paper: other words",
    )
    center_coefficient: float = setting(
        1e-3,
        "Weight of |mean(r_better + r_worse)|, keeping rewards near zero.",
        source="paper's code: 1e-3",
        minimum=0,
    )
    use_margin: bool = setting(
        False,
        "Subtract the record's vote margin inside the sigmoid.",
        source="arXiv 2307.09288 §3.2.2",
    )
    soft_labels: bool = setting(False, "Use the share of votes as the label instead of 0 or 1.")
    epochs: float = setting(1.0, "Passes over the data.", source="paper: 1", minimum=0)
    batch_size: int = setting(32, "Pairs in an optimiser step.", source="paper: 32", minimum=1)
    micro_batch_size: int = setting(4, "Pairs in a forward pass.", minimum=1)
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
        source="paper's code: on",
    )
    max_length: int = setting(
        1024, "Longest sequence in text tokens.", source="paper's code: 2048", minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class PpoSettings:
    """PPO against the reward model plus symbolic rewards (paper §2.3 and appendix)."""

    lora: LoraSettings = LoraSettings()
    policy_optimizer: OptimizerSettings = OptimizerSettings(
        learning_rate=3e-5, schedule="cosine", warmup_steps=5
    )
    value_optimizer: OptimizerSettings = OptimizerSettings(
        learning_rate=3e-5, schedule="cosine", warmup_steps=5
    )
    joint_clipping: bool = setting(
        False, "Clip policy and value gradients as one vector.", source="paper: on"
    )
    sampling: SamplingSettings = SamplingSettings()
    steps: int = setting(
        100,
        "Rounds of rollout and update; 0 where epochs says how many.",
        source="paper: as many as make 4 passes",
        minimum=0,
    )
    epochs: float = setting(
        0.0,
        "Passes over the prompts; 0 where steps says how many rounds.",
        source="paper: 4, over 72k prompts",
        minimum=0,
    )
    rollout_batch_size: int = setting(
        512, "Responses sampled in a round.", source="paper: 512", minimum=1
    )
    responses_per_prompt: int = setting(
        1,
        "Responses sampled to each prompt of a round; they share the computation of the prompt, "
        "so several are faster, but a round sees fewer prompts.",
        source="paper: 1",
        minimum=1,
    )
    rollout_micro_batch_size: int = setting(16, "Responses sampled at once.", minimum=1)
    batch_size: int = setting(
        256, "Responses in an optimiser step.", source="paper: 256", minimum=1
    )
    micro_batch_size: int = setting(8, "Responses in a forward pass of the update.", minimum=1)
    update_epochs: int = setting(
        2, "Passes over each round's rollouts.", source="paper: 2", minimum=1
    )
    clip_range: float = setting(
        0.2, "Clipping of the probability ratio.", source="paper: 0.2", minimum=0
    )
    value_clip_range: float = setting(
        0.2, "Clipping of the value update.", source="paper: 0.2", minimum=0
    )
    value_coefficient: float = setting(
        0.1, "Weight of the value loss.", source="paper: 0.1", minimum=0
    )
    gamma: float = setting(1.0, "Discount.", source="paper: 1", minimum=0, maximum=1)
    lam: float = setting(0.95, "GAE lambda.", source="paper: 1", minimum=0, maximum=1)
    kl_coefficient: float = setting(
        0.1, "beta, the weight of the KL penalty.", source="paper: 0.1", minimum=0
    )
    kl_estimator: Literal["k1", "k1_clamped", "k3"] = setting(
        "k1", "Estimator of KL(policy || reference).", source="paper: k1_clamped"
    )
    kl_target: float = setting(
        6.0,
        "Adapt beta towards this KL per response; 0 keeps beta fixed.",
        source="arXiv 1909.08593 §2.2; paper: fixed",
        minimum=0,
    )
    kl_horizon: float = setting(
        10_000,
        "Rollouts over which beta adapts; smaller adapts faster.",
        source="arXiv 1909.08593 §2.2",
        minimum=1,
    )
    kl_stop: float = setting(
        60.0,
        "Stop when the mean KL per response passes this, ten times the target: beta has lost hold "
        "of the policy then; 0 never stops.",
        source="ours; paper: never",
        minimum=0,
    )
    score_position: Literal["last_token", "last_slot"] = setting(
        "last_token", "Where the score is added.", source="paper: last_slot"
    )
    mask_padding: bool = setting(
        True, "Average losses over response tokens only.", source="paper: all slots"
    )
    whiten_advantages: bool = setting(
        True, "Whiten advantages over each round of rollouts.", source="paper's code: on"
    )
    reward_scale: float = setting(
        1.0, "Rewards are multiplied by this.", source="paper's code: 10, instead of whitening them"
    )
    with_facts: bool = setting(
        True, "Score with the captions shown to the reward model.", source="paper: on"
    )
    symbolic_rewards: bool = setting(
        True, "Add the correctness bonus (paper §2.3).", source="paper: on"
    )
    no_end_token_penalty: float = setting(
        -8.0, "Added when the response never ends.", source="paper: -8"
    )
    length_coefficient: float = setting(
        -10.0, "Weight of tokens / response_length.", source="paper: -10"
    )
    checkpoint_every: int = setting(10, "Rounds between checkpoints.", minimum=1)
    keep_checkpoints: int = setting(
        0, "Keep so many of the newest checkpoints, and the best; 0 keeps all.", minimum=0
    )
    samples_every: int = setting(5, "Rounds between sample events for the same prompts.", minimum=1)
    sampler: Literal["transformers", "vllm"] = setting(
        "transformers", "What samples the responses; vllm needs its package and a GPU."
    )
    sampler_memory: float = setting(
        0.35, "Share of the GPU's memory that vllm may take.", minimum=0.05, maximum=0.95
    )
    importance_cap: float = setting(
        2.0,
        "With vllm: the most that a token counts for being likelier here than it was there.",
        source="Yao et al. 2025: 2",
        minimum=1,
    )

    def __post_init__(self) -> None:
        """ContractError for combinations that would train towards something else than was asked."""
        if (self.steps > 0) == (self.epochs > 0):
            raise ContractError(
                "epochs", f"is {self.epochs:g} and steps {self.steps}: one of both must be 0"
            )
        if self.sampling.temperature == 0 or self.sampling.top_p < 1:
            raise ContractError(
                "sampling",
                "PPO needs temperature above 0 and top_p 1, or the probabilities it learns from "
                "are not those the responses were drawn with",
            )
        if self.score_position == "last_slot" and self.mask_padding:
            raise ContractError("score_position", "'last_slot' needs mask_padding off")
        for name in ("rollout_batch_size", "batch_size"):
            if getattr(self, name) % self.responses_per_prompt:
                raise ContractError(name, "must be a multiple of responses_per_prompt")


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


@dataclass(frozen=True, kw_only=True)
class GenerateSettings:
    """Answers to prompts: benchmark answers, or several per prompt to compare."""

    sampling: SamplingSettings = SamplingSettings(temperature=0.7)
    samples_per_prompt: int = setting(1, "Responses sampled for each prompt.", minimum=1)
    batch_size: int = setting(16, "Prompts answered at once.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """Rewards of a trained reward model for both responses of each pair."""

    batch_size: int = setting(16, "Pairs scored at once.", minimum=1)
    labelled: bool = setting(
        True, "The pairs say which response is better, so that agreement is measured as well."
    )
