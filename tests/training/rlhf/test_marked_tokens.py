"""The reward model's second head: which words would people mark, and what PPO makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeLearner, MakeRun, events
from tests.training.rlhf.resuming import last_metrics
from training.rlhf.__main__ import main
from training.rlhf.contract import (
    CORRECTION,
    Kind,
    LoraSettings,
    Mark,
    OptimizerSettings,
    PreferencePair,
    PromptRecord,
    RewardSettings,
)
from training.rlhf.credit import token_rewards
from training.rlhf.data import Batch
from training.rlhf.experience import rollout
from training.rlhf.marked_tokens import area_under_curve, chances_of_tokens, marked_tokens
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prompts import ChatFormat
from training.rlhf.reward_model import ADAPTER, MARKS, RewardModel
from training.rlhf.rollout import Responses

LEARNS = {
    "batch_size": 4,
    "micro_batch_size": 2,
    "epochs": 9.0,
    "max_steps": 18,
    "evaluate_every": 9,
    "checkpoint_every": 9,
    "token_coefficient": 1.0,
    "optimizer": OptimizerSettings(learning_rate=0.01),
}


def mark_what_is_false(directory: Path) -> None:
    """In each pair both outputs were looked through, and the worse one's wrong colours marked."""
    for path in (directory / "data").glob("*.jsonl"):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        for record in records:
            record["output_1"]["marks"] = record["output_2"]["marks"] = []
            worse = record[f"output_{3 - record['preference']}"]
            wrong = worse["value"].split()[1]
            first, last = worse["value"].index(wrong), worse["value"].rindex(wrong)
            worse["marks"] = [
                {"start": start, "end": start + len(wrong), "kind": "attribute"}
                for start in (first, last)
            ]
        tiny.write_lines(path, records)


def trained(make_run: MakeRun, name: str = "reward", **changes: Any) -> Path:
    directory = make_run(Kind.REWARD, name, held_out=4, **LEARNS | changes)
    mark_what_is_false(directory)
    assert main(["reward", "--run-dir", str(directory)]) == 0
    return directory


def test_reward_model_learns_which_words_are_marked(make_run: MakeRun) -> None:
    directory = trained(make_run)
    metrics = last_metrics(events(directory))
    assert metrics[18]["train/mark_loss"] < metrics[1]["train/mark_loss"] / 2
    final = events(directory, "checkpoint")[-1]["metrics"]
    assert final["held_out/marked_tokens"] == 8  # two words of each of four worse answers
    assert final["held_out/marked_share"] == pytest.approx(8 / (4 * (3 + 7)))
    assert final["held_out/mark_auc"] > 0.9
    assert final["held_out/mark_precision"] > 2 * final["held_out/marked_share"]
    assert (directory / "final" / MARKS / "head.safetensors").is_file()


def test_micro_batches_add_up_to_the_batch(make_run: MakeRun) -> None:
    found = []
    for size in (1, 2, 4):
        changes = {"micro_batch_size": size, "max_steps": 1, "center_coefficient": 0.0}
        directory = trained(make_run, f"micro-{size}", **changes)
        found.append(last_metrics(events(directory))[1]["train/loss"])
    assert found[1:] == pytest.approx([found[0]] * 2, rel=1e-4)


def test_without_a_marked_word_there_is_nothing_to_learn(make_run: MakeRun) -> None:
    directory = make_run(Kind.REWARD, **LEARNS)
    assert main(["reward", "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    assert "0 of 12 pairs have marked words" in failure["message"]
    assert "settings.token_coefficient" in failure["message"]


@pytest.fixture
def with_marks(model: VisionLanguageModel) -> RewardModel:
    settings = RewardSettings(
        lora=LoraSettings(rank=4, alpha=4),
        facts_introduction="facts :",
        fact_format="{caption}",
        rating_prompt="rate :",
        max_length=96,
        token_coefficient=1.0,
    )
    made = RewardModel.fresh(model, settings)
    torch.manual_seed(3)
    for head in model.heads.values():
        torch.nn.init.normal_(head.weight)
    return made


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 3])
def test_each_token_is_judged_where_it_stands(
    with_marks: RewardModel, image_files: list[Path], count: int
) -> None:
    """Behind shared beginnings and in whole sequences alike: the hidden state of the very token."""
    record = PreferencePair.from_json(tiny.preference_records(["x.png"])[0])
    [image] = with_marks.model.encode_images(image_files[:1])
    texts = ["a red circle", "no", "a blue cross and a green square"][:count]
    sequences = with_marks.sequences(record.conversation, image, texts, record.captions)
    rewards, logits = with_marks.rewards_and_marks(sequences)
    rewards = rewards.squeeze(-1)
    assert rewards.tolist() == pytest.approx(with_marks.raw_rewards(sequences).tolist(), abs=1e-5)
    assert logits.shape == (count, max(len(text.split()) for text in texts))
    for sequence, text, found in zip(sequences, texts, logits, strict=True):
        place = sequence.shared
        with with_marks.model.using(ADAPTER):
            batch = Batch.pad([sequence], pad_id=0, device=with_marks.model.device, side="right")
            hidden = with_marks.model.hidden_states(batch)[0]
        words = len(text.split())
        expected = with_marks.model.head_values(MARKS, hidden[place : place + words])
        assert found[:words].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    scores, chances = with_marks.score_tokens(sequences, batch_size=2)
    assert scores.squeeze(-1).tolist() == pytest.approx(rewards.tolist(), abs=1e-5)
    for row, text in enumerate(texts):
        words = len(text.split())
        assert chances[row, :words].tolist() == pytest.approx(
            logits[row, :words].sigmoid().tolist(), abs=1e-5
        )
        assert not chances[row, words:].any()


def test_only_what_was_looked_through_is_known(
    with_marks: RewardModel, image_files: list[Path]
) -> None:
    pair = PreferencePair.from_json(tiny.preference_records(["x.png"])[0])
    pair = replace(
        pair,
        output_1="a red circle",
        output_2="a blue cross",
        marks_1=(Mark(start=2, end=5), Mark(start=6, end=12, kind=CORRECTION)),
        marks_2=None,
    )
    [image] = with_marks.model.encode_images(image_files[:1])
    both = with_marks.sequences(pair.conversation, image, [pair.output_1, pair.output_2])
    marked, known = marked_tokens(with_marks, [pair], [(both[0], both[1])])
    assert marked.tolist() == [[0, 1, 0], [0, 0, 0]]  # what replaced a word is not false
    assert known.tolist() == [[1, 1, 1], [0, 0, 0]]


def test_area_under_the_curve_is_the_share_of_right_couples() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 6, (40,), generator=generator).double()
    truth = torch.rand(40, generator=generator) < 0.3
    couples = scores[truth][:, None] - scores[~truth][None]
    expected = ((couples > 0).double() + 0.5 * (couples == 0).double()).mean()
    assert area_under_curve(scores, truth) == pytest.approx(float(expected), abs=1e-9)


def test_chances_go_to_the_tokens_that_were_sampled(
    with_marks: RewardModel, image_files: list[Path]
) -> None:
    chat = with_marks.model.chat
    record = PreferencePair.from_json(tiny.preference_records(["x.png"])[0])
    [image] = with_marks.model.encode_images(image_files[:1])
    text = "a red circle"
    sequences = with_marks.sequences(record.conversation, image, [text])
    chances = torch.tensor([[0.1, 0.7, 0.2]])
    ids = torch.tensor([[*chat.response_ids(text), chat.end_id]])
    sampled = Responses(ids, torch.ones_like(ids), [True], [text])
    same = chances_of_tokens(chat, sampled, chat, sequences, chances)
    assert same.tolist() == [pytest.approx([0.1, 0.7, 0.2, 0.0])]
    # another tokenizer: the characters say which token is which
    other = tiny.processor()
    foreign = ChatFormat(other, image_token="<image>", stop_ids=[2])
    assert chances_of_tokens(foreign, sampled, chat, sequences, chances).tolist() == same.tolist()


def test_marked_tokens_cost_where_they_stand(make_learner: MakeLearner) -> None:
    learner = make_learner()
    trajectory, scores = rollout(learner, learner.run.records(PromptRecord)[:3])
    kl = torch.zeros_like(trajectory.logprobs)
    plain = token_rewards(learner, trajectory, scores, kl)
    marked = torch.rand(trajectory.slots.shape) * trajectory.slots
    learner.settings = replace(learner.settings, token_reward_coefficient=2.0, reward_scale=3.0)
    costly = token_rewards(learner, trajectory, replace(scores, marked=marked), kl)
    assert torch.allclose(3 * plain - costly, 3 * 2 * marked, atol=1e-5)


def test_ppo_takes_the_word_for_each_token(make_run: MakeRun) -> None:
    reward = trained(make_run, max_steps=4)
    small = {"steps": 1, "epochs": 0.0, "rollout_batch_size": 4, "batch_size": 4}
    directory = make_run(
        Kind.PPO, "ppo", reward_model=reward / "final", token_reward_coefficient=1.0, **small
    )
    assert main(["ppo", "--run-dir", str(directory)]) == 0
    assert 0 < last_metrics(events(directory))[1]["ppo/marked_tokens"] < 1


def test_ppo_refuses_a_reward_model_that_knows_no_marks(
    make_run: MakeRun, reward_folder: Path
) -> None:
    directory = make_run(
        Kind.PPO, reward_model=reward_folder, token_reward_coefficient=1.0, steps=1, epochs=0.0
    )
    assert main(["ppo", "--run-dir", str(directory)]) == 1
    assert "trained on marked words" in events(directory, "error")[0]["message"]
