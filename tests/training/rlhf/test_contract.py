from __future__ import annotations

import json
from typing import Any

import pytest

from tests.training.rlhf import tiny
from training.rlhf.contract import (
    SETTINGS,
    ContractError,
    ConversationRecord,
    Generation,
    Kind,
    PreferencePair,
    PromptRecord,
    RunSpec,
    parse_event,
)
from training.rlhf.presets import preset_spec, presets_of


@pytest.mark.parametrize(("kind", "preset"), [(k, p) for k in Kind for p in presets_of(k)])
def test_every_preset_survives_json(kind: Kind, preset: str) -> None:
    spec = preset_spec(kind, preset)
    assert isinstance(spec.settings, SETTINGS[kind])
    assert RunSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("kind",), "dance", "kind: is 'dance'"),
        (("settings", "epoch"), 1, r"settings\.epoch: is not a known field"),
        (("settings", "batch_size"), 0, r"settings\.batch_size: is 0, below 1"),
        (("settings", "batch_size"), "8", r"settings\.batch_size: is '8', not of type int"),
        (("settings", "with_facts"), 1, r"settings\.with_facts: is 1, not of type bool"),
        (("settings", "lora", "dropout"), 2, r"settings\.lora\.dropout: is 2.*above 0\.9"),
        (("settings", "facts_position"), "middle", r"settings\.facts_position: is 'middle'"),
        (("model", "dtype"), "int8", r"model\.dtype: is 'int8'"),
    ],
)
def test_bad_spec_names_the_field(path: tuple[str, ...], value: Any, message: str) -> None:
    data = preset_spec(Kind.REWARD, "default").to_json()
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ContractError, match=message):
        RunSpec.from_json(data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampling": {"temperature": 0.0}}, r"settings\.sampling: PPO needs temperature above 0"),
        ({"sampling": {"top_p": 0.9}}, "top_p 1"),
        ({"score_position": "last_slot"}, r"settings\.score_position: .* needs mask_padding off"),
        ({"responses_per_prompt": 3}, r"settings\.rollout_batch_size: must be a multiple"),
        ({"responses_per_prompt": 512}, r"settings\.batch_size: must be a multiple"),
        ({"epochs": 4.0}, r"settings\.epochs: is 4 and steps 100: one of both must be 0"),
        (
            {"rollout_ahead": True, "sampler": "vllm"},
            r"settings\.rollout_ahead: needs sampler 'vllm_servers'",
        ),
        (
            {"rollout_ahead": True, "sampler": "vllm_servers", "importance_cap": 0.0},
            r"settings\.rollout_ahead: needs importance_cap",
        ),
        ({"steps": 0}, r"settings\.epochs: is 0 and steps 0: one of both must be 0"),
    ],
)
def test_settings_of_ppo_that_do_not_go_together_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        RunSpec.from_json({"kind": "ppo", "settings": changes})


@pytest.mark.parametrize(
    ("kind", "changes", "model", "message"),
    [
        ("sft", {}, {"sharded": True, "quantization": "nf4"}, r"model\.sharded: a base in 4 bits"),
        (
            "ppo",
            {"sampler": "vllm"},
            {"sharded": True},
            r"settings\.sampler: .* base whole on each",
        ),
        ("ppo", {"sampler": "vllm"}, {"quantization": "nf4"}, r"settings\.sampler: .* in 4 bits"),
        ("sft", {"full_model": True}, {"dtype": "bfloat16"}, r"settings\.full_model: small steps"),
        ("sft", {"mixed_precision": True}, {}, r"settings\.mixed_precision: is for full_model"),
        (
            "sft",
            {"full_model": True},
            {"dtype": "float32", "quantization": "nf4"},
            r"settings\.full_model: a 4-bit base cannot",
        ),
    ],
)
def test_settings_and_models_that_do_not_go_together_are_refused(
    kind: str, changes: dict[str, Any], model: dict[str, Any], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        RunSpec.from_json({"kind": kind, "settings": changes, "model": model})


@pytest.mark.parametrize("model", [{"sharded": True}, {"quantization": "nf4"}])
def test_servers_sample_for_any_way_of_loading_the_base(model: dict[str, Any]) -> None:
    settings = {"sampler": "vllm_servers"}
    assert RunSpec.from_json({"kind": "ppo", "settings": settings, "model": model})


@pytest.mark.parametrize(
    ("record_type", "make"),
    [
        (PreferencePair, tiny.preference_records),
        (PromptRecord, tiny.prompt_records),
        (ConversationRecord, tiny.conversation_records),
    ],
)
def test_records_survive_json(record_type: Any, make: Any) -> None:
    for data in make(["000-red.png", "001-blue.png"]):
        record = record_type.from_json(data)
        assert record_type.from_json(record.to_json()) == record


def test_a_caption_in_which_nothing_is_to_be_seen_is_no_fact() -> None:
    [data] = tiny.prompt_records(["000-red.png"])
    for captions, facts in (([""], ()), (["\u200b", "a red circle", " "], ("a red circle",))):
        record = PromptRecord.from_json(data | {"captions": captions})
        assert record.captions == facts


def test_generation_survives_json() -> None:
    generation = Generation(id="a", responses=("x", ""), finished=(True, False))
    assert Generation.from_json(json.loads(json.dumps(generation.to_json()))) == generation


def test_answer_of_a_conversation_must_be_there() -> None:
    [data] = tiny.conversation_records(["000-red.png"])
    data["conversations"][1]["value"] = " "
    with pytest.raises(ContractError, match=r"conversations\[1\]\.value: is empty"):
        ConversationRecord.from_json(data)


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"event": "party"}', '{"event": ["metric"]}'])
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ContractError):
        parse_event(line)


def test_votes_make_soft_labels() -> None:
    def pair(preference: int, **votes: int) -> PreferencePair:
        return PreferencePair(
            id="a",
            image="i",
            conversation=(),
            output_1="x",
            output_2="y",
            preference=preference,
            votes={key.strip("_"): count for key, count in votes.items()},
        )

    assert pair(1, _1=2, _2=1, tie=1).share_for_better == pytest.approx(2.5 / 4)
    assert pair(2, _1=1, _2=3).share_for_better == pytest.approx(0.75)
    assert pair(2).share_for_better == 1.0


@pytest.mark.parametrize("said", [{}, {"image": None}, {"image": ""}, {"image": []}])
@pytest.mark.parametrize(
    ("record_type", "records"),
    [
        (PreferencePair, tiny.preference_records),
        (ConversationRecord, tiny.conversation_records),
    ],
)
def test_what_is_learnt_from_may_be_text_alone(
    record_type: Any, records: Any, said: dict[str, Any]
) -> None:
    [record] = records(["a.png"])
    del record["image"]
    with pytest.raises(
        ContractError, match="image: is missing, and the conversations have <image>"
    ):
        record_type.from_json(record | said)
    found = record_type.from_json(tiny.text_alone(record) | said)
    assert (found.images, found.subject) == ((), found.id)
    assert record_type.from_json(found.to_json()) == found


def test_a_prompt_to_answer_has_an_image() -> None:
    [record] = tiny.prompt_records(["a.png"])
    with pytest.raises(ContractError, match="image: is missing"):
        PromptRecord.from_json(tiny.text_alone(record))


def test_several_images_have_a_place_each() -> None:
    [record] = tiny.prompt_records(["a.png"])
    record["image"] = ["a.png", "b.png"]
    with pytest.raises(ContractError, match="names 2 images, but the conversations have 1 <image>"):
        PromptRecord.from_json(record)
    record["conversations"] = tiny.wire_turns("and <image> ?")
    found = PromptRecord.from_json(record)
    assert found.images == ("a.png", "b.png")
    assert PromptRecord.from_json(found.to_json()) == found
    for wrong in ([], ["a.png", 1], 3):
        with pytest.raises(ContractError, match="image"):
            PromptRecord.from_json(record | {"image": wrong})
