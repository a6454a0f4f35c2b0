from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.rlhf import tiny
from training.rlhf.contract import PpoSettings, PromptRecord, SamplingSettings
from training.rlhf.models import VisionLanguageModel
from training.rlhf.reward_model import RewardModel
from training.rlhf.rollout import Responses
from training.rlhf.scoring import score

SETTINGS = PpoSettings(sampling=SamplingSettings(response_length=10))


@pytest.fixture
def reward_model(model: VisionLanguageModel, reward_folder: Path) -> RewardModel:
    return RewardModel.load(model, reward_folder)


def records(*caption_types: int, length_bonus: float = 1.0) -> list[PromptRecord]:
    return [
        PromptRecord.from_json(record | {"caption_type": kind, "length_bonus": length_bonus})
        for record, kind in zip(tiny.prompt_records(["x.png"] * 9), caption_types, strict=False)
    ]


def responses(*texts: str, finished: list[bool]) -> Responses:
    lengths = [len(text.split()) + end for text, end in zip(texts, finished, strict=True)]
    mask = torch.tensor([[int(n < length) for n in range(10)] for length in lengths])
    return Responses(torch.zeros_like(mask), mask, finished, list(texts))


def test_symbolic_rewards_of_the_paper(reward_model: RewardModel, image_files: list[Path]) -> None:
    model = reward_model.model
    prompts = [
        model.chat.prompt(record.conversation, image)
        for record, image in zip(records(6, 6, 1), model.encode_images(image_files), strict=True)
    ]
    answers = responses("no", "yes a cross", "a red circle", finished=[True, True, False])
    found = score(reward_model, SETTINGS, records(6, 6, 1), prompts, answers)
    assert found.symbolic.tolist() == [1.0, -1.0, 0.0]
    assert found.no_end.tolist() == [0.0, 0.0, -8.0]
    assert found.length.tolist() == pytest.approx([-2.0, -4.0, -3.0])
    assert torch.equal(found.total, found.reward + found.symbolic + found.length + found.no_end)


def test_rewards_are_normalised_and_each_its_own_response(
    reward_model: RewardModel, image_files: list[Path]
) -> None:
    model = reward_model.model
    [record] = records(1)
    image = model.encode_images(image_files)[0]
    prompt = model.chat.prompt(record.conversation, image)
    texts = ("a red circle", "a blue cross and a cross")
    found = score(
        reward_model, SETTINGS, [record] * 2, [prompt] * 2, responses(*texts, finished=[True] * 2)
    )
    for number, text in enumerate(texts):
        sequences = reward_model.sequences(record.conversation, image, [text], record.captions)
        raw = float(reward_model.score(sequences, batch_size=1)[0])
        expected = (raw - reward_model.mean) / reward_model.deviation
        assert float(found.reward[number]) == pytest.approx(expected, abs=1e-4)


def test_negative_length_bonus_rewards_length(
    reward_model: RewardModel, image_files: list[Path]
) -> None:
    [record] = records(1, length_bonus=-0.5)
    image = reward_model.model.encode_images(image_files)[0]
    prompt = reward_model.model.chat.prompt(record.conversation, image)
    found = score(reward_model, SETTINGS, [record], [prompt], responses("a", finished=[True]))
    assert found.length.tolist() == pytest.approx([1.0])


def test_facts_are_shuffled_by_round_and_alike_for_all_answers(
    reward_model: RewardModel, image_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    [record] = [replace(one, captions=("a", "red", "blue", "cross")) for one in records(1)]
    image = reward_model.model.encode_images(image_files)[0]
    prompt = reward_model.model.chat.prompt(record.conversation, image)
    shown: list[tuple[str, ...]] = []
    original = RewardModel.sequences

    def sequences(self, conversation, image, responses, captions=()):  # type: ignore[no-untyped-def]
        shown.append(tuple(captions))
        return original(self, conversation, image, responses, captions)

    monkeypatch.setattr(RewardModel, "sequences", sequences)
    for number in range(8):
        answers = responses("a", "no", finished=[True] * 2)
        score(reward_model, SETTINGS, [record] * 2, [prompt] * 2, answers, order=f"round {number}")
    assert all(one == two for one, two in zip(shown[::2], shown[1::2], strict=True))
    assert len(set(shown)) > 2
    assert {tuple(sorted(one)) for one in shown} == {("a", "blue", "cross", "red")}
