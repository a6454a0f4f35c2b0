"""One bad record neither ends a run later nor goes unnoticed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from annotation import texts
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.test_finite import RUNS
from training.rlhf.__main__ import main
from training.rlhf.contract import ConversationRecord, Kind, PreferencePair, PromptRecord
from training.rlhf.contract.records import is_visible
from training.rlhf.models import VisionLanguageModel
from training.rlhf.pixels import within
from training.rlhf.record_checks import LEFT_OUT

FAST: dict[str, tuple[Kind, dict[str, Any]]] = {
    name: (kind, settings | ({"steps": 1} if kind is Kind.PPO else {"max_steps": 2}))
    for name, (kind, settings, _) in RUNS.items()
    if name in ("sft", "reward", "dpo", "ppo")
}
LONG = "red " * 200


def changed(directory: Path, change: Any) -> None:
    path = directory / "data" / "train.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    change(records)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def break_one(directory: Path, name: str) -> tuple[str, str]:
    """Make the fifth record unusable: its id, and what has to be said of it."""
    if name in ("sft", "dpo"):
        changed(directory, lambda r: r[4]["conversations"][0].update(value=f"<image>\n{LONG}"))
        said = "leaves no room"
    elif name == "ppo":
        changed(directory, lambda r: r[4].update(captions=[LONG]))
        said = "leave no room"
    else:
        [picture] = (directory / "images").glob("004-*")
        picture.write_bytes(picture.read_bytes()[:40])
        said = "cannot be read as a picture"
    records = (directory / "data" / "train.jsonl").read_text().splitlines()
    return json.loads(records[4])["id"], said


@pytest.mark.parametrize("name", FAST)
def test_a_record_that_cannot_be_used_is_left_out_named_and_counted(
    make_run: MakeRun, reward_folder: Path, name: str
) -> None:
    kind, settings = FAST[name]
    reward = reward_folder if kind is Kind.PPO else None
    directory = make_run(kind, reward_model=reward, **settings)
    record, said = break_one(directory, name)
    assert main([kind.value, "--run-dir", str(directory)]) == 0
    [told] = [e["text"] for e in events(directory, "stage") if e["text"].startswith("left out")]
    assert "1 of 12" in told and record in told and said in told
    [line] = map(json.loads, (directory / LEFT_OUT).read_text().splitlines())
    assert line["id"] == record and said in line["reason"]


@pytest.mark.parametrize("name", FAST)
def test_or_it_refuses_the_run_before_the_first_step(
    make_run: MakeRun, reward_folder: Path, name: str
) -> None:
    kind, settings = FAST[name]
    reward = reward_folder if kind is Kind.PPO else None
    directory = make_run(kind, reward_model=reward, **settings, unusable_records="refuse")
    record, said = break_one(directory, name)
    assert main([kind.value, "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    assert record in failure["message"] and said in failure["message"]
    assert not events(directory, "metric")


def test_prompts_to_answer_are_all_wanted_unless_asked_otherwise(make_run: MakeRun) -> None:
    for setting, code, answered in (("refuse", 1, 0), ("leave_out", 0, 11)):
        directory = make_run(Kind.GENERATE, setting, unusable_records=setting)
        break_one(directory, "generate")
        assert main(["generate", "--run-dir", str(directory)]) == code
        path = directory / "final" / "generations.jsonl"
        assert (len(path.read_text().splitlines()) if path.exists() else 0) == answered


def test_nothing_left_is_an_error_that_says_why(make_run: MakeRun) -> None:
    directory = make_run(Kind.SFT, max_length=1)
    assert main(["sft", "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    assert failure["message"].startswith("12 of 12 conversations cannot be used: record")
    assert "and 9 more" in failure["message"]


@pytest.mark.parametrize("name", ["reward", "ppo"])
def test_facts_are_counted_and_their_absence_is_refused(
    make_run: MakeRun, reward_folder: Path, name: str
) -> None:
    kind, settings = FAST[name]
    reward = reward_folder if kind is Kind.PPO else None
    some = make_run(kind, "some", reward_model=reward, **settings)
    changed(some, lambda records: [record.update(captions=[]) for record in records[:5]])
    assert main([kind.value, "--run-dir", str(some)]) == 0
    assert "7 of 12 records have facts" in [e["text"] for e in events(some, "stage")]
    none = make_run(kind, "none", reward_model=reward, **settings)
    changed(none, lambda records: [record.update(captions=[]) for record in records])
    assert main([kind.value, "--run-dir", str(none)]) == 1
    [failure] = events(none, "error")
    assert "settings.with_facts: none of the 12 records has captions" in failure["message"]


@pytest.mark.parametrize(
    ("size", "most", "expected"), [((40, 10), 100, (20, 5)), ((9, 9), 100, (9, 9))]
)
def test_a_large_picture_is_made_smaller_in_its_own_shape(
    size: tuple[int, int], most: int, expected: tuple[int, int]
) -> None:
    assert within(Image.new("RGB", size), most).size == expected
    assert within(Image.new("RGB", size), 0).size == size


def test_what_a_processor_refuses_is_told_in_words(
    model: VisionLanguageModel, image_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise ZeroDivisionError("aspect ratio")

    refusing = replace(model.encode_images._preprocess, processor=refuse)
    monkeypatch.setattr(model.encode_images, "_preprocess", refusing)
    with pytest.raises(Exception, match=r"processor refuses 10 x 12 pixels \(aspect ratio\)"):
        model.encode_images.check(image_files[0])


def asked_nothing(record: dict[str, Any]) -> None:
    record["conversations"][0]["value"] = "<image>\n\u200b"


def answered_already(record: dict[str, Any]) -> None:
    record["conversations"].append({"from": "gpt", "value": "Red."})


NOTHING_TO_ANSWER = {
    "asks nothing": (asked_nothing, "conversations[0].value: asks nothing"),
    "answered": (answered_already, "conversations[1].value: is filled"),
}


@pytest.mark.parametrize("kind", NOTHING_TO_ANSWER)
def test_what_leaves_nothing_to_answer_is_one_rule_of_every_kind_of_run(
    make_run: MakeRun, kind: str
) -> None:
    change, said = NOTHING_TO_ANSWER[kind]

    def break_it(records: list[dict[str, Any]]) -> None:
        records[4]["conversations"] = records[4]["conversations"][:1]
        change(records[4])

    for setting, code in (("refuse", 1), ("leave_out", 0)):
        directory = make_run(Kind.GENERATE, setting, unusable_records=setting)
        changed(directory, break_it)
        assert main(["generate", "--run-dir", str(directory)]) == code
        said_by = events(directory, "error" if code else "stage")
        told = " ".join(e.get("message", "") + e.get("text", "") for e in said_by)
        assert "1 of 12" in told and said in told
        if setting == "leave_out":  # an answer is left out, a question with it
            path = directory / "final" / "generations.jsonl"
            answered = 12 if kind == "answered" else 11
            assert len(path.read_text().splitlines()) == answered


@pytest.mark.parametrize("record_type", [PromptRecord, PreferencePair, ConversationRecord])
@pytest.mark.parametrize("kind", NOTHING_TO_ANSWER)
def test_every_kind_of_record_knows_that_nothing_is_asked(record_type: Any, kind: str) -> None:
    change, said = NOTHING_TO_ANSWER[kind]
    outputs = {f"output_{n}": {"value": f"{n}."} for n in (1, 2)}
    turns = [{"from": "human", "value": "<image>\nWhat?"}]
    data = {"id": "1", "image": "a.png", "preference": 1, "conversations": turns, **outputs}
    change(data)
    if record_type is ConversationRecord and kind == "answered":
        assert not record_type.from_json(data).answers_itself  # it is the answer to learn
        return
    if record_type is ConversationRecord:
        turns.append({"from": "gpt", "value": "Red."})
    record = record_type.from_json(data)
    assert said in record.asks_nothing + record.answers_itself


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\u200b",
        "\u2800\ufe0f",
        "\u115f",
        "\x00",
        "a",
        "\u0301",
        "。",
        "\U0001f600",
        "\ue000",
    ],
)
def test_what_can_be_seen_is_the_same_to_site_and_engine(text: str) -> None:
    assert is_visible(text) == texts.is_visible(text)
