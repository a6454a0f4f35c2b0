"""The hyperparameters of PPO and of its relatives without a critic, RLOO and GRPO."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from training.rlhf.contract.settings import (
    LoraSettings,
    OptimizerSettings,
    SamplingSettings,
    micro_batch_tokens,
    setting,
    unusable_records,
)
from training.rlhf.contract.wire import ContractError

_OPTIMIZER = OptimizerSettings(learning_rate=3e-5, schedule="cosine", warmup_steps=5)


@dataclass(frozen=True, kw_only=True)
class PpoSettings:
    """PPO against the reward model plus symbolic rewards (paper §2.3 and appendix).

    With another ``advantage`` than "gae" it is RLOO or GRPO: there is no critic, and what is said
    here of values is not used.
    """

    lora: LoraSettings = field(default=LoraSettings())
    policy_optimizer: OptimizerSettings = field(default=_OPTIMIZER)
    value_optimizer: OptimizerSettings = field(default=_OPTIMIZER)
    advantage: Literal["gae", "leave_one_out", "group"] = setting(
        "gae",
        "What a response is compared with: gae, what a critic expected (PPO); leave_one_out, the "
        "other responses to its prompt (RLOO); group, all of them, over their deviation (GRPO). "
        "The last two have no critic and need responses_per_prompt above 1.",
        source="arXiv 2402.14740 (RLOO), 2402.03300 (GRPO); paper: gae",
    )
    rate_per: Literal["step", "round"] = setting(
        "step",
        "What warm-up and schedule of the learning rates count: optimiser steps, or rounds.",
        source="paper's code: rounds",
    )
    critic_on: Literal["policy", "reward"] = setting(
        "policy",
        "Whose base the critic is trained on where the reward model has another than the policy. "
        "On that of the reward model it begins as its adapter; on the policy's, as the policy's.",
        source="paper: reward",
    )
    joint_clipping: bool = setting(
        False, "Clip policy and value gradients as one vector.", source="paper: on"
    )
    sampling: SamplingSettings = field(default=SamplingSettings())
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
    image_workers: int = setting(
        -1,
        "Processes that decode the next round's images while this round updates; -1 is 4 beside a "
        "GPU and none on a CPU, which the updates need.",
        minimum=-1,
        maximum=64,
    )
    batch_size: int = setting(
        256, "Responses in an optimiser step.", source="paper: 256", minimum=1
    )
    micro_batch_size: int = setting(8, "Responses in a forward pass of the update.", minimum=1)
    micro_batch_tokens: int = micro_batch_tokens()
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
    reduction: Literal["tokens", "sequences"] = setting(
        "tokens",
        "Average the policy's loss over all tokens, or first within a response and then over "
        "responses.",
        source="arXiv 2402.03300: sequences; paper: tokens",
    )
    divide_by_deviation: bool = setting(
        True,
        "With group: divide by the deviation of the group's rewards; off is Dr. GRPO.",
        source="arXiv 2402.03300: on; 2503.20783: off",
    )
    gamma: float = setting(1.0, "Discount.", source="paper: 1", minimum=0, maximum=1)
    lam: float = setting(0.95, "GAE lambda.", source="paper: 1", minimum=0, maximum=1)
    kl_coefficient: float = setting(
        0.1, "beta, the weight of the KL penalty.", source="paper: 0.1", minimum=0
    )
    kl_in: Literal["reward", "loss"] = setting(
        "reward",
        "Where the KL penalty acts: taken from the rewards, or as a term of the loss, which is "
        "always k3 there.",
        source="arXiv 2402.03300: loss; paper: reward",
    )
    kl_estimator: Literal["k1", "k1_clamped", "k3"] = setting(
        "k1",
        "Estimator of KL(policy || reference) in the rewards and in the figures.",
        source="paper: k1_clamped",
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
        True,
        "Whiten advantages over each round of rollouts; gae only, the others compare within a "
        "prompt.",
        source="paper's code: on",
    )
    reward_scale: float = setting(
        1.0, "Rewards are multiplied by this.", source="paper's code: 10, instead of whitening them"
    )
    token_reward_coefficient: float = setting(
        0.0,
        "Taken from the reward at each token, times the chance that people would mark it as "
        "hallucinated; needs a reward model that was trained on marked words.",
        source="ours; after arXiv 2312.00849",
        minimum=0,
    )
    ensemble_pessimism: float = setting(
        0.0,
        "Taken from the reward model's word, times the spread of its heads, so that an answer "
        "about which they differ earns less; needs a reward model with an ensemble.",
        source="after arXiv 2310.02743; paper: one head",
        minimum=0,
    )
    with_facts: bool = setting(
        True, "Score with the captions shown to the reward model.", source="paper: on"
    )
    symbolic_rewards: bool = setting(
        True, "Add the correctness bonus (paper §2.3).", source="paper: on"
    )
    bonus_match: Literal["word", "start"] = setting(
        "word",
        "A yes or no that is checked is the first word, in any case; or the answer starts with "
        "these characters, so that Nothing is a No and no is none.",
        source="paper's code: start",
    )
    cut_at: str = setting(
        "",
        "Cut an answer behind the first token that is this text; it counts as one without an end.",
        source="paper's code: ?",
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
    unusable_records: Literal["leave_out", "refuse"] = unusable_records("leave_out")
    sampler: Literal["transformers", "vllm", "vllm_servers"] = setting(
        "transformers",
        "What samples the responses: the model itself; vllm in the run's process, which needs its "
        "package, in an environment of its own; or vllm in servers, which SAMPLER_SERVERS names in "
        "the worker's environment.",
    )
    sampler_memory: float = setting(
        0.35, "Share of the GPU's memory that vllm may take.", minimum=0.05, maximum=0.95
    )
    sampler_rows: int = setting(
        256, "Responses that vllm samples at once, as memory for keys and values allows.", minimum=1
    )
    rollout_ahead: bool = setting(
        False,
        "Sample the next round while this one updates, with the policy before the update; "
        "importance_cap corrects for that. Needs vllm_servers.",
        source="arXiv 2410.18252 (one step off); paper: off",
    )
    importance_cap: float = setting(
        2.0,
        "The most that a token counts for being likelier to the policy than to its sampler, whose "
        "rounding differs; 0 does not correct for that.",
        source="Yao et al. 2025: 2; paper's code: no correction",
        minimum=0,
    )
    sampler_gap_limit: float = setting(
        0.1,
        "Alarm when log-probabilities of policy and sampler are further apart than this, in nats "
        "per token. Rounding in bfloat16 makes 0.01 to 0.03. The first round ends the run, with a "
        "float32 base from a hundredth of this on. 0 never alarms.",
        minimum=0,
    )

    @property
    def has_critic(self) -> bool:
        """Whether there are values: an adapter, a pass over the responses, an optimiser."""
        return self.advantage == "gae"

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
        if self.advantage != "gae" and self.responses_per_prompt < 2:
            raise ContractError(
                "responses_per_prompt",
                f"is {self.responses_per_prompt}: advantage {self.advantage!r} compares the "
                "responses to one prompt with each other, so it must be at least 2",
            )
        if 0 < self.importance_cap < 1:
            raise ContractError("importance_cap", f"is {self.importance_cap:g}, neither 0 nor >= 1")
        if self.rollout_ahead and self.sampler != "vllm_servers":
            raise ContractError(
                "rollout_ahead",
                "needs sampler 'vllm_servers': the run's own process cannot sample while it "
                "updates",
            )
        if self.rollout_ahead and not self.importance_cap:
            raise ContractError(
                "rollout_ahead", "needs importance_cap above 0: answers are a round old"
            )
        for name in ("rollout_batch_size", "batch_size"):
            if getattr(self, name) % self.responses_per_prompt:
                raise ContractError(name, "must be a multiple of responses_per_prompt")
