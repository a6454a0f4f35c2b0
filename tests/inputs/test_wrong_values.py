"""Every member of a file that people write by hand, with every value that is none for it.

Whatever stands there, the reader takes it for what it is, or refuses it in its own words, which
name the file and the member.
"""

import copy
import json

import pytest

from benchmark.protocols import by_id, files
from benchmark.protocols.protocol import Refused
from tests.training.checkpoints.test_bases import make_base_folder
from training.checkpoints import bases
from training.rlhf.contract import ConversationRecord, PreferencePair, PromptRecord
from training.rlhf.data import read_records
from training.rlhf.errors import DataError, ModelError
from training.rlhf.foreign_adapters import read_config
from training.rlhf.mixture import read_mixture

WRONG = {
    "NaN": "NaN",
    "infinity": "1e999",
    "6,000 digits": "9" * 6000,
    "a text": '"\\u00e9x"',
    "a list": "[]",
    "an object": "{}",
    "null": "null",
    "true": "true",
    "2.0": "2.0",
}
HERE = "\N{OBJECT REPLACEMENT CHARACTER}here"


def places(value, path=()):
    """The path of each member, and of each part of a list."""
    if isinstance(value, dict):
        inside = value.items()
    else:
        inside = enumerate(value) if isinstance(value, list) else ()
    for name, one in inside:
        yield (*path, name)
        yield from places(one, (*path, name))


def with_wrong(value, path, raw):
    """The JSON of ``value`` in which ``raw`` stands at ``path``."""
    changed = copy.deepcopy(value)
    parent = changed
    for name in path[:-1]:
        parent = parent[name]
    parent[path[-1]] = HERE
    return json.dumps(changed).replace(json.dumps(HERE), raw)


def same_kind(old, new):
    number = type(old) in (int, float) and type(new) in (int, float)
    return type(old) is type(new) or (number and type(old) is float)


def check(read, error, file, value, path, taken):
    """``taken``: members that are right with null, or with a kind of their own."""
    name = next(part for part in reversed(path) if isinstance(part, str))
    old = value
    for part in path:
        old = old[part]
    for kind, raw in WRONG.items():
        try:
            read(with_wrong(value, path, raw))
        except error as refused:
            said = str(refused)
            assert file in said and name in said and len(said) < 500, (path, kind, said)
            assert not any(word in said for word in ("Traceback", "NoneType", "<class")), said
        else:
            new = json.loads(raw) if kind != "6,000 digits" else 0
            finite = kind not in ("NaN", "infinity", "6,000 digits")
            right = (finite and same_kind(old, new)) or kind in taken.get(name, ())
            assert right, f"{path} is taken with {kind}"


TURNS = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": ""}]
MARK = {"start": 0, "end": 1, "kind": "object"}
RECORD = {"id": "a", "image": "a.png", "conversations": TURNS, "captions": ["A card."]}
RECORDS = {
    PromptRecord: {**RECORD, "caption_type": 1, "length_bonus": 1.5},
    ConversationRecord: {
        **RECORD,
        "conversations": [TURNS[0], {"from": "gpt", "value": "A card."}],
        "all_answers": False,
    },
    PreferencePair: {
        **RECORD,
        "output_1": {"from": "m", "value": "A card.", "marks": [MARK]},
        "output_2": {"from": "m", "value": "A dog.", "marks": [MARK]},
        "preference": 1,
        "hallucination": True,
        "votes": {"1": 2, "2": 1},
        "margin": 0.5,
        "corrections": [{"output": 2, "value": "A cat.", "marks": [MARK], "replaced": [MARK]}],
    },
}
NULL = {"null"}
IN_RECORDS = {
    **dict.fromkeys(("captions", "marks", "corrections", "votes", "hallucination"), NULL),
    "from": NULL,  # of an output
}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_is_right_or_refused_by_its_member(kind, tmp_path):
    path = tmp_path / "train.jsonl"

    def read(text):
        path.write_text(text)
        return read_records(path, kind, images=tmp_path)

    (tmp_path / "a.png").touch()
    (tmp_path / "éx").touch()
    read(json.dumps(RECORDS[kind]))
    for place in places(RECORDS[kind]):
        check(read, DataError, "train.jsonl, line 1", RECORDS[kind], place, IN_RECORDS)


MIXTURE = {
    "seed": 1,
    "held_out": 0.25,
    "sources": [
        {
            "format": "llava",
            "files": {"conversations": "c.json"},
            "images": "i",
            "name": "ours",
            "weight": 0.5,
            "limit": 3,
        }
    ],
}


@pytest.mark.parametrize("place", [*places(MIXTURE)], ids=str)
def test_a_mixture_is_right_or_refused_by_its_member(place, tmp_path):
    path = tmp_path / "mixture.json"

    def read(text):
        path.write_text(text)
        return read_mixture(path)

    check(read, DataError, "mixture.json", MIXTURE, place, {})


BASE = {
    "config.json": {"model_type": "llava", "architectures": ["Llava"], "vision_config": {"a": 1}},
    "processor_config.json": {"chat_template": "{{ messages }}"},
    "tokenizer_config.json": {"chat_template": "{{ messages }}"},
    bases.INDEX: {"weight_map": {"a": "model.safetensors"}},
}
IN_BASES = {
    "a": set(WRONG),  # within the vision's configuration: for the trial of the base
    "architectures": NULL,
    "chat_template": {"a list", "an object", "null"},
}


@pytest.mark.parametrize("name", BASE)
def test_a_base_is_right_or_refused_by_file_and_member(name, tmp_path):
    folder = make_base_folder(tmp_path / "base")

    def read(text):
        (folder / name).write_text(text)
        return bases.check_folder(folder)

    for place in places(BASE[name]):
        taken = IN_BASES if "weight_map" not in place else {}
        check(read, bases.BaseRefused, name, BASE[name], place, taken)
    for kind, raw in WRONG.items():
        if kind != "an object" or name in ("config.json", bases.INDEX):
            with pytest.raises(bases.BaseRefused, match=name):
                read(raw)
    with pytest.raises(bases.BaseRefused, match=rf"{name} has 'a' twice"):
        read('{"a": 1, "a": 2}')


ADAPTER = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "base",
    "r": 4,
    "lora_alpha": 8.0,
    "lora_dropout": 0.25,
    "target_modules": ["q_proj"],
    "rank_pattern": {"x": 2},
    "alpha_pattern": {"x": 2.0},
    "bias": "none",
    "use_rslora": False,
    "use_dora": False,
    "fan_in_fan_out": False,
    "inference_mode": True,
    "modules_to_save": ["head"],
    "layers_to_transform": [1],
    "layers_pattern": ["layers"],
    "init_lora_weights": True,
    "loftq_config": {},
}
IN_ADAPTERS = {
    "target_modules": {"a text", "null"},
    "layers_pattern": {"a text", "null"},
    **dict.fromkeys(("task_type", "base_model_name_or_path", "modules_to_save"), NULL),
    **dict.fromkeys(("rank_pattern", "alpha_pattern"), NULL),
}


@pytest.mark.parametrize("place", [*places(ADAPTER)], ids=str)
def test_an_adapter_is_right_or_refused_by_its_setting(place, tmp_path):
    path = tmp_path / "adapter_config.json"

    def read(text):
        path.write_text(text)
        return read_config("theirs", path)

    check(read, ModelError, "theirs", ADAPTER, place, IN_ADAPTERS)


ANSWERS = {
    '"-5"': "is below 0",
    "-5": "is below 0",
    "-1": "is below 0",
    '"' + "9" * 6000 + '"': "is above",
    "9" * 19: "is above",
    '""': "is not a whole number",
    '"²"': "is not a whole number",
    "[]": "is not a whole number",
    "{}": "is not a whole number",
    "true": "is not a whole number",
    "2.5": "is not a whole number",
    "NaN": "is not a whole number",
    "null": "is missing",
}


@pytest.mark.parametrize("raw", ANSWERS, ids=lambda raw: raw[:20])
def test_the_number_of_an_answer_is_right_or_refused_by_line(raw, tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text(f'{{"question_id": 1, "text": "no"}}\n{{"question_id": {raw}, "text": "yes"}}')
    with pytest.raises(Refused) as refused:
        by_id.read_lines(path)
    said = str(refused.value)
    assert said.startswith("answers.jsonl, line 2: ") and f"(question_id {ANSWERS[raw]}" in said


@pytest.mark.parametrize(("value", "number"), [(3, 3), (3.0, 3), (" 3 ", 3), ("0003", 3), (0, 0)])
def test_a_number_may_be_written_as_tables_write_it(value, number):
    assert files.number({"id": value}, "id", "a") == number
