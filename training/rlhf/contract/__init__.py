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

from training.rlhf.contract.combinations import check_reward_model
from training.rlhf.contract.events import (
    EVENTS,
    CheckpointSaved,
    Doubt,
    Event,
    Failure,
    Metric,
    Progress,
    Sample,
    Stage,
    parse_event,
)
from training.rlhf.contract.halves import divide_held_out
from training.rlhf.contract.pairs import (
    CORRECTION,
    Correction,
    Mark,
    PreferencePair,
    ResponsePair,
)
from training.rlhf.contract.ppo_settings import PpoSettings
from training.rlhf.contract.records import (
    IMAGE_TOKEN,
    ConversationRecord,
    Generation,
    PromptRecord,
    Record,
    Turn,
    without_placeholder,
)
from training.rlhf.contract.settings import (
    DpoSettings,
    GenerateSettings,
    LoraSettings,
    OptimizerSettings,
    RewardSettings,
    SamplingSettings,
    ScoreSettings,
    SftSettings,
    setting,
)
from training.rlhf.contract.spec import (
    SETTINGS,
    Kind,
    ModelSettings,
    RunSpec,
    Settings,
    settings_from_json,
)
from training.rlhf.contract.weights import instead_of_weights
from training.rlhf.contract.wire import ContractError, dataclass_from_json, to_json

__all__ = [
    "CORRECTION",
    "EVENTS",
    "IMAGE_TOKEN",
    "SETTINGS",
    "CheckpointSaved",
    "ContractError",
    "ConversationRecord",
    "Correction",
    "Doubt",
    "DpoSettings",
    "Event",
    "Failure",
    "GenerateSettings",
    "Generation",
    "Kind",
    "LoraSettings",
    "Mark",
    "Metric",
    "ModelSettings",
    "OptimizerSettings",
    "PpoSettings",
    "PreferencePair",
    "Progress",
    "PromptRecord",
    "Record",
    "ResponsePair",
    "RewardSettings",
    "RunSpec",
    "Sample",
    "SamplingSettings",
    "ScoreSettings",
    "Settings",
    "SftSettings",
    "Stage",
    "Turn",
    "check_reward_model",
    "dataclass_from_json",
    "divide_held_out",
    "instead_of_weights",
    "parse_event",
    "setting",
    "settings_from_json",
    "to_json",
    "without_placeholder",
]
