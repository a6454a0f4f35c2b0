from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from tests.shared import shared_data
from tests.training.rlhf import tiny
from training.rlhf.contract import PreferencePair, PromptRecord
from training.rlhf.data import (
    Batch,
    EndlessOrder,
    TokenSequence,
    batches,
    by_length,
    length_batches,
    read_records,
)
from training.rlhf.errors import DataError
from training.rlhf.images import EncodedImage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.save_images(tmp_path / "images", count=2)
    return tmp_path


def write(folder: Path, *lines: str) -> Path:
    path = folder / "data" / "train.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines))
    return path


def good(**changes: object) -> str:
    record = tiny.preference_records(["000-red.png"])[0] | changes
    return json.dumps({key: value for key, value in record.items() if value is not None})


def test_records_are_read_and_blank_lines_skipped(folder: Path) -> None:
    path = write(folder, good(), "", good(id="second", preference=2))
    first, second = read_records(path, PreferencePair, images=folder / "images")
    assert second.id == "second"
    assert second.better == second.output_2
    assert first.conversation[-1].text == "<image>\nwhat is there ?"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"data/train\.jsonl, line 2: is not JSON"),
        ("[]", "line 2: record: is not an object"),
        (good(output_2=None), "line 2: output_2: is missing"),
        (good(output_2={"from": "b"}), r"line 2: output_2\.value: is missing"),
        (good(preference=3), "line 2: preference: is 3, not 1 or 2"),
        (good(preference=None), "line 2: preference: is missing"),
        (good(conversations=[]), "line 2: conversations: has no human turn"),
        (good(image="none.png"), r"line 2: image: 'none\.png' is not in the images folder"),
        (good(image="../secret.png"), "line 2: image: .* is outside the images folder"),
        (good(image="/etc/hostname"), "line 2: image: .* is outside the images folder"),
        (good(captions="a"), "line 2: captions: is not a list of texts"),
    ],
)
def test_bad_line_is_named(folder: Path, line: str, message: str) -> None:
    (folder / "secret.png").write_bytes(b"x")
    path = write(folder, good(), line)
    with pytest.raises(DataError, match=message):
        read_records(path, PreferencePair, images=folder / "images")


def test_missing_and_empty_files_are_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"data/none\.jsonl is missing"):
        read_records(folder / "data" / "none.jsonl", PreferencePair, images=folder)
    with pytest.raises(DataError, match=r"data/train\.jsonl has no records"):
        read_records(write(folder, ""), PreferencePair, images=folder)


def test_published_ppo_record_is_read(folder: Path) -> None:
    [data] = json.loads(shared_data("llava_rlhf", "llava_ppo50k_record_issue34.json").read_text())
    path = write(folder, json.dumps(data | {"image": "000-red.png"}))
    [record] = read_records(path, PromptRecord, images=folder / "images")
    assert (record.caption_type, record.length_bonus) == (1, -0.5)
    assert len(record.captions) == 5
    assert [turn.speaker for turn in record.conversation] == ["human"]


def test_batches_and_lengths() -> None:
    assert list(batches([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert by_length([3, 9, 5]) == [1, 2, 0]
    assert list(length_batches([3, 9, 5, 3, 2], 2)) == [[1, 2], [0, 3], [4]]
    assert list(length_batches([3, 9, 5, 3, 2], 3, tokens=8)) == [[1], [2], [0, 3], [4]]
    assert list(length_batches([], 2, tokens=8)) == []


def test_order_visits_each_item_once_an_epoch_from_any_position() -> None:
    order = EndlessOrder(10, seed=3)
    taken = order.slice(0, 25)
    assert sorted(i for epoch, i in taken if epoch == 0) == list(range(10))
    assert sorted(i for epoch, i in taken if epoch == 1) == list(range(10))
    assert order.slice(7, 9) == taken[7:16]
    assert order.epoch(0) != order.epoch(1)
    assert order.epoch(0) != EndlessOrder(10, seed=4).epoch(0)


def test_an_epoch_is_shuffled_once_however_many_steps_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shuffles = 0
    shuffle = random.Random.shuffle

    def counted(self: random.Random, items: list[int]) -> None:
        nonlocal shuffles
        shuffles += 1
        shuffle(self, items)

    monkeypatch.setattr(random.Random, "shuffle", counted)
    order = EndlessOrder(97, 12345)
    steps = [order.slice(step * 8, 8) for step in range(30)]  # two and a half epochs
    assert shuffles == 3
    assert [pair for step in steps for pair in step] == order.slice(0, 240)


@pytest.mark.parametrize(
    ("side", "ids", "mask"),
    [
        ("left", [[0, 5, 6], [7, 8, 9]], [[0, 1, 1], [1, 1, 1]]),
        ("right", [[5, 6, 0], [7, 8, 9]], [[1, 1, 0], [1, 1, 1]]),
    ],
)
def test_batch_pads_on_the_side_asked_for(
    side: str, ids: list[list[int]], mask: list[list[int]]
) -> None:
    images = [EncodedImage(torch.full((1, 2), float(n)), [4], {}) for n in range(2)]
    sequences = [TokenSequence([5, 6], images[0]), TokenSequence([7, 8, 9], images[1])]
    batch = Batch.pad(sequences, pad_id=0, device=torch.device("cpu"), side=side)
    assert batch.input_ids.tolist() == ids
    assert batch.attention_mask.tolist() == mask
    assert batch.images == images
