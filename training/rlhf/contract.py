"""What the engine and the rest of FactLoop say to each other: specs, records, events.

Everything here is frozen, JSON-able and free of torch and Django, so a web process may import
it. A *run directory* is the only channel:

    spec.json              a RunSpec
    base/                  the base model (when RunSpec.base_model is "base")
    adapters/NAME/         adapters to begin from (RunSpec.policy_adapter, .reward_model)
    data/train.jsonl       PreferencePair, PromptRecord or ConversationRecord, one a line
    data/held_out.jsonl    the same, never trained on
    images/                the files that the records name
    events.jsonl           written by the engine: one Event a line (also on its stdout)
    checkpoints/step-N/    written by the engine, atomically
    final/                 written by the engine when it has succeeded
"""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

IMAGE_TOKEN = "<image>"

DataclassT = typing.TypeVar("DataclassT")


class ContractError(ValueError):
    """A record or spec that does not follow the contract; ``field`` names the part at fault."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Kind(enum.StrEnum):
    """What an engine process is asked to do; also the subcommand of ``python -m training.rlhf``."""

    SFT = "sft"
    GENERATE = "generate"
    REWARD = "reward"
    SCORE = "score"
    PPO = "ppo"
    DPO = "dpo"


# --------------------------------------------------------------------------------------------
# Settings: the hyperparameters live here once, as defaults, and are saved with every run.
# --------------------------------------------------------------------------------------------


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
        source="paper: 1e-4 sft, 2e-5 reward, 3e-5 ppo",
        minimum=0,
    )
    schedule: Literal["constant", "cosine", "linear"] = setting(
        "constant",
        "What the learning rate does after warm-up.",
        source="paper: cosine, reward constant",
    )
    warmup_steps: int = setting(
        0, "Optimiser steps of linear warm-up.", source="paper: 3 % reward, 5 steps ppo", minimum=0
    )
    weight_decay: float = setting(0.0, "Decoupled weight decay.", minimum=0)
    gradient_norm: float = setting(
        1.0, "Gradients are clipped to this norm.", source="paper: 1", minimum=0
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
    epochs: float = setting(1.0, "Passes over the data.", source="paper: 1", minimum=0)
    batch_size: int = setting(32, "Conversations in an optimiser step.", minimum=1)
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
    max_length: int = setting(1024, "Longest sequence in text tokens; longer ones are cut.")
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
    max_length: int = setting(1024, "Longest sequence in text tokens.", minimum=1)


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
        100, "Rounds of rollout and update.", source="paper: 288k rollouts in 4 passes", minimum=1
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
        True, "Whiten advantages over each round of rollouts.", source="paper: off"
    )
    reward_scale: float = setting(
        1.0, "Rewards are multiplied by this.", source="paper: 10, instead of whitening"
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


Settings = (
    SftSettings | RewardSettings | PpoSettings | DpoSettings | GenerateSettings | ScoreSettings
)

SETTINGS: dict[Kind, type[Settings]] = {
    Kind.SFT: SftSettings,
    Kind.REWARD: RewardSettings,
    Kind.PPO: PpoSettings,
    Kind.DPO: DpoSettings,
    Kind.GENERATE: GenerateSettings,
    Kind.SCORE: ScoreSettings,
}


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How the base model is loaded."""

    dtype: Literal["float32", "bfloat16"] = setting(
        "bfloat16", "Type of the base weights.", source="paper: bfloat16"
    )
    quantization: Literal["none", "nf4"] = setting(
        "none",
        "4-bit base (NF4, double quantised); needs bitsandbytes and a GPU.",
        source="paper: nf4",
    )
    pad_images_to_square: bool = setting(
        False, "Pad an image to a square before resizing.", source="paper: on"
    )


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One engine run, complete: the same spec and data give the same result (CPU, one process)."""

    kind: Kind
    settings: Settings
    base_model: str = "base"
    """Folder in the run directory, absolute path, or hub id."""
    policy_adapter: str | None = None
    """Folder in the run directory: the policy to begin from, or to sample (generate)."""
    reward_model: str | None = None
    """Folder in the run directory: the reward model (ppo, score)."""
    reward_base: str | None = None
    """The reward model's base where it is another than ``base_model`` (ppo): both are loaded."""
    model: ModelSettings = ModelSettings()
    preset: str = "default"
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        return to_json(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Raises ContractError that names the first unknown, missing or ill-typed field."""
        try:
            kind = Kind(data["kind"])
        except KeyError:
            raise ContractError("kind", "is missing") from None
        except ValueError:
            raise ContractError("kind", f"is {data['kind']!r}, not one of {list(Kind)}") from None
        return _build(cls, data, "", overrides={"settings": SETTINGS[kind], "kind": Kind})


# --------------------------------------------------------------------------------------------
# Records
# --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Turn:
    speaker: Literal["human", "gpt"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """What all records share: an image and the conversation about it, ending with a human turn.

    The wire format ends ``conversations`` with an empty ``gpt`` turn, as the paper's does. Where
    ``image`` is a list there, the conversation has an ``<image>`` for each, in their order.
    """

    id: str
    image: str
    conversation: tuple[Turn, ...]
    captions: tuple[str, ...] = ()
    more_images: tuple[str, ...] = ()
    """The images after the first."""

    @property
    def images(self) -> tuple[str, ...]:
        return (self.image, *self.more_images)

    @property
    def _image_json(self) -> str | list[str]:
        return list(self.images) if self.more_images else self.image


@dataclass(frozen=True, kw_only=True)
class ResponsePair(Record):
    """Two responses to score; nobody need have said which is better."""

    output_1: str
    output_2: str

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**_shared(data), **_outputs(data))


@dataclass(frozen=True, kw_only=True)
class PreferencePair(ResponsePair):
    """One line of a release in the ``llava_rlhf`` format: the paper's own, and more."""

    model_1: str = ""
    model_2: str = ""
    preference: Literal[1, 2]
    """The better output."""
    hallucination: bool = True
    """True when honesty decided, False when helpfulness did."""
    votes: dict[str, int] = field(default_factory=dict)
    margin: float = 0.0
    """(votes for the better - votes for the worse) / votes, in 0..1."""

    @property
    def better(self) -> str:
        return self.output_1 if self.preference == 1 else self.output_2

    @property
    def worse(self) -> str:
        return self.output_2 if self.preference == 1 else self.output_1

    @property
    def share_for_better(self) -> float:
        """Share of the votes for the better output, a tie counting half; 1 without votes."""
        total = sum(self.votes.values())
        if not total:
            return 1.0
        return (self.votes.get(str(self.preference), 0) + 0.5 * self.votes.get("tie", 0)) / total

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "image": self._image_json,
            "conversations": _turns_to_json(self.conversation, answer=""),
            "output_1": {"from": self.model_1 or "llava", "value": self.output_1},
            "output_2": {"from": self.model_2 or "llava", "value": self.output_2},
            "preference": self.preference,
            "hallucination": self.hallucination,
            "captions": list(self.captions),
            "votes": self.votes,
            "margin": self.margin,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        shared = _shared(data)
        preference = _require(data, "preference", int)
        if preference not in (1, 2):
            raise ContractError("preference", f"is {preference}, not 1 or 2")
        outputs = _outputs(data)
        models: dict[str, Any] = {
            f"model_{n}": str(data[f"output_{n}"].get("from", "")) for n in (1, 2)
        }
        return cls(
            **shared,
            **outputs,
            **models,
            preference=preference,
            hallucination=bool(data.get("hallucination", True)),
            votes=dict(data.get("votes", {})),
            margin=float(data.get("margin", 0.0)),
        )


@dataclass(frozen=True, kw_only=True)
class PromptRecord(Record):
    """A prompt to answer: for PPO, for sampling pairs, and for benchmarks."""

    caption_type: int = 1
    """1 general; 2-5 multiple choice with truth A-D; 6 yes/no with truth No; 7 with truth Yes."""
    length_bonus: float = 1.0
    """Multiplier of the length penalty; negative turns it into a bonus."""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "image": self._image_json,
            "conversations": _turns_to_json(self.conversation, answer=""),
            "captions": list(self.captions),
            "caption_type": self.caption_type,
            "length_bonus": self.length_bonus,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        caption_type = data.get("caption_type", 1)
        if caption_type not in range(1, 8):
            raise ContractError(
                "caption_type", f"is {caption_type!r}, not a whole number from 1 to 7"
            )
        try:
            length_bonus = float(data.get("length_bonus", 1.0))
        except (TypeError, ValueError):
            raise ContractError("length_bonus", "is not a number") from None
        return cls(**_shared(data), caption_type=caption_type, length_bonus=length_bonus)


@dataclass(frozen=True, kw_only=True)
class ConversationRecord(Record):
    """A conversation with its answer, for supervised fine-tuning."""

    answer: str
    all_answers: bool = False
    """Learn every gpt turn, not only the last: for conversations of which all is worth learning."""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "image": self._image_json,
            "conversations": _turns_to_json(self.conversation, answer=self.answer),
            "captions": list(self.captions),
            "all_answers": self.all_answers,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        turns = _require(data, "conversations", list)
        if not turns or not isinstance(turns[-1], dict) or turns[-1].get("from") != "gpt":
            raise ContractError("conversations", "does not end with a gpt turn")
        answer = _text(turns[-1], "value", f"conversations[{len(turns) - 1}]")
        if not answer.strip():
            raise ContractError(f"conversations[{len(turns) - 1}].value", "is empty")
        all_answers = data.get("all_answers", False)
        if not isinstance(all_answers, bool):
            raise ContractError("all_answers", "is neither true nor false")
        return cls(**_shared(data), answer=answer, all_answers=all_answers)


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One line of ``final/generations.jsonl``: the responses to one prompt."""

    id: str
    responses: tuple[str, ...]
    finished: tuple[bool, ...]
    """Whether each response ended by itself."""

    def to_json(self) -> dict[str, Any]:
        return to_json(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return _build(cls, data, "")


def _shared(data: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ContractError("record", f"is {type(data).__name__}, not an object")
    turns = _require(data, "conversations", list)
    conversation: list[Turn] = []
    for position, turn in enumerate(turns):
        name = f"conversations[{position}]"
        if not isinstance(turn, dict):
            raise ContractError(name, "is not an object with 'from' and 'value'")
        speaker = turn.get("from")
        if speaker not in ("human", "gpt"):
            raise ContractError(f"{name}.from", f"is {speaker!r}, not 'human' or 'gpt'")
        conversation.append(Turn(speaker=speaker, text=_text(turn, "value", name)))
    if conversation and conversation[-1].speaker == "gpt":
        conversation.pop()
    if not conversation or conversation[-1].speaker != "human":
        raise ContractError("conversations", "has no human turn to answer")
    captions = data.get("captions") or []
    if not isinstance(captions, list) or not all(isinstance(c, str) for c in captions):
        raise ContractError("captions", "is not a list of texts")
    images = _images(data, conversation)
    return {
        "id": str(_require(data, "id", (str, int))),
        "image": images[0],
        "more_images": tuple(images[1:]),
        "conversation": tuple(conversation),
        "captions": tuple(captions),
    }


def _images(data: dict[str, Any], conversation: list[Turn]) -> list[str]:
    named = _require(data, "image", (str, list))
    if isinstance(named, str):
        return [named]
    if not named or not all(isinstance(name, str) for name in named):
        raise ContractError("image", "is neither a text nor a list of texts")
    places = sum(turn.text.count(IMAGE_TOKEN) for turn in conversation)
    if len(named) > 1 and places != len(named):
        raise ContractError(
            "image", f"names {len(named)} images, but the conversations have {places} {IMAGE_TOKEN}"
        )
    return named


def _outputs(data: dict[str, Any]) -> dict[str, Any]:
    names = ("output_1", "output_2")
    return {name: _text(_require(data, name, dict), "value", name) for name in names}


def _turns_to_json(turns: tuple[Turn, ...], *, answer: str) -> list[dict[str, str]]:
    wire = [{"from": turn.speaker, "value": turn.text} for turn in turns]
    return [*wire, {"from": "gpt", "value": answer}]


def _require(data: dict[str, Any], name: str, types_: type | tuple[type, ...]) -> Any:
    if not isinstance(data, dict):
        raise ContractError("record", f"is {type(data).__name__}, not an object")
    if name not in data:
        raise ContractError(name, "is missing")
    if not isinstance(data[name], types_) or isinstance(data[name], bool):
        raise ContractError(name, f"is {type(data[name]).__name__}, which is not expected here")
    return data[name]


def _text(data: dict[str, Any], name: str, where: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise ContractError(f"{where}.{name}", "is missing" if value is None else "is not a text")
    return value


# --------------------------------------------------------------------------------------------
# Events: what a running engine says, one JSON object a line
# --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events; ``event`` on the wire tells them apart."""

    name: ClassVar[str]
    time: float
    """Seconds since the epoch."""

    def to_json(self) -> dict[str, Any]:
        return {"event": self.name, **to_json(self)}


@dataclass(frozen=True, kw_only=True)
class Stage(Event):
    """What the engine is doing now, for people to read: "loading the base model"."""

    name: ClassVar[str] = "stage"
    text: str


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """How far the run is; ``unit`` is what is counted ("step", "prompt")."""

    name: ClassVar[str] = "progress"
    done: int
    total: int
    unit: str = "step"


@dataclass(frozen=True, kw_only=True)
class Metric(Event):
    """Figures of one step; names are slash paths such as "train/loss" or "ppo/kl"."""

    name: ClassVar[str] = "metric"
    step: int
    values: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Sample(Event):
    """A response worth looking at, with the reward it got and the facts that were shown."""

    name: ClassVar[str] = "sample"
    step: int
    prompt_id: str
    image: str
    prompt: str
    response: str
    reward: float | None = None
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event):
    """A complete checkpoint lies at ``path`` (relative to the run directory)."""

    name: ClassVar[str] = "checkpoint"
    step: int
    path: str
    final: bool = False
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Failure(Event):
    """The run ends without success; ``message`` is meant for the person who asked for it."""

    name: ClassVar[str] = "error"
    message: str
    detail: str = ""


EVENTS: dict[str, type[Event]] = {
    cls.name: cls for cls in (Stage, Progress, Metric, Sample, CheckpointSaved, Failure)
}


def parse_event(line: str) -> Event:
    """Read one line of ``events.jsonl``; raises ContractError for anything else."""
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise ContractError("event", f"is not JSON ({error})") from None
    cls = EVENTS.get(str(data.get("event"))) if isinstance(data, dict) else None
    if cls is None:
        raise ContractError("event", f"is none of {sorted(EVENTS)}")
    return _build(cls, {key: value for key, value in data.items() if key != "event"}, "")


# --------------------------------------------------------------------------------------------
# Dataclass <-> JSON
# --------------------------------------------------------------------------------------------


def to_json(value: Any) -> Any:
    """Plain JSON types of a contract dataclass; enums become their values, tuples lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    return value


def settings_from_json(kind: Kind, data: dict[str, Any]) -> Settings:
    """Settings of ``kind`` with defaults for what is absent; ContractError names a bad field."""
    return _build(SETTINGS[kind], data, "settings")


def dataclass_from_json(cls: type[DataclassT], data: Any) -> DataclassT:
    """A dataclass of ``setting`` fields from JSON; ContractError names the first bad field."""
    built: DataclassT = _build(cls, data, "")
    return built


def _build(cls: type, data: Any, path: str, overrides: dict[str, Any] | None = None) -> Any:
    if not isinstance(data, dict):
        raise ContractError(path or cls.__name__, "is not an object")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    hints = {**typing.get_type_hints(cls), **(overrides or {})}
    for name in data:
        if name not in fields:
            raise ContractError(_join(path, name), "is not a known field")
    values = {}
    for name, spec in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], _join(path, name))
            _check_bounds(spec, values[name], _join(path, name))
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            if not dataclasses.is_dataclass(hints[name]):
                raise ContractError(_join(path, name), "is missing")
            values[name] = hints[name]()
    return cls(**values)


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, path)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, path)
    if origin is Literal:
        if value not in args:
            raise ContractError(path, f"is {value!r}, not one of {', '.join(map(repr, args))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise ContractError(path, "is not a list")
        return tuple(_convert(args[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise ContractError(path, "is not an object")
        return {key: _convert(args[1], item, _join(path, key)) for key, item in value.items()}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ContractError(path, f"is {value!r}, not of type {hint.__name__}")
    return value


def _check_bounds(spec: dataclasses.Field[Any], value: Any, path: str) -> None:
    low, high = spec.metadata.get("minimum"), spec.metadata.get("maximum")
    if low is not None and value < low:
        raise ContractError(path, f"is {value}, below {low}")
    if high is not None and value > high:
        raise ContractError(path, f"is {value}, above {high}")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
