from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.rlhf import tiny
from training.rlhf.adapters import ADAPTER_WEIGHTS
from training.rlhf.contract import ModelSettings, RewardSettings, Turn
from training.rlhf.data import Batch
from training.rlhf.errors import DataError, ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.reward_model import DESCRIPTION, RewardModel

QUESTION = (Turn(speaker="human", text="<image>\nwhat is there ?"),)
FACTS = ("a red circle", "a blue cross")


def small(**changes: object) -> RewardSettings:
    defaults = {
        "facts_introduction": "facts :",
        "fact_format": "{caption} .",
        "rating_prompt": "rate :",
    }
    return RewardSettings(**{**defaults, **changes})


def words(model: VisionLanguageModel, reward_model: RewardModel, files: list[Path]) -> str:
    image = model.encode_images(files)[0]
    [sequence] = reward_model.sequences(QUESTION, image, ["a green square"], FACTS)
    text = " ".join(model.processor.tokenizer.convert_ids_to_tokens(sequence.ids))
    return text.replace("<image> <image> <image> <image>", "<image>")


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (
            small(facts_position="before_response"),
            "<s> USER: <image> what is there ? facts : a red circle . a blue cross . "
            "ASSISTANT: a green square </s> USER: rate : ASSISTANT:",
        ),
        (
            small(facts_position="after_response"),
            "<s> USER: <image> what is there ? ASSISTANT: a green square </s> "
            "USER: facts : a red circle . a blue cross . rate : ASSISTANT:",
        ),
        (
            small(with_facts=False),
            "<s> USER: <image> what is there ? ASSISTANT: a green square </s> "
            "USER: rate : ASSISTANT:",
        ),
    ],
)
def test_sequence_shows_facts_where_the_settings_say(
    model: VisionLanguageModel, image_files: list[Path], chosen: RewardSettings, expected: str
) -> None:
    assert words(model, RewardModel.fresh(model, chosen), image_files) == expected


def test_responses_share_their_prefix_when_facts_stand_before(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    reward_model = RewardModel.fresh(model, small())
    image = model.encode_images(image_files)[0]
    one, two = reward_model.sequences(QUESTION, image, ["red", "blue cross"], FACTS)
    start = one.ids.index(model.chat.response_ids("ASSISTANT:")[0])
    assert one.ids[: start + 1] == two.ids[: start + 1]
    assert one.image is two.image


def test_reward_is_read_at_the_last_token(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    reward_model = RewardModel.fresh(model, small())
    torch.nn.init.normal_(model.heads["reward"].weight)
    image = model.encode_images(image_files)[0]
    short, long = reward_model.sequences(QUESTION, image, ["red", "a blue cross and a red"], FACTS)
    with torch.no_grad():
        together = reward_model.raw_rewards([short, long])
        alone = torch.cat([reward_model.raw_rewards([short]), reward_model.raw_rewards([long])])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    with torch.no_grad(), model.using("reward"):
        batch = Batch.pad([short], pad_id=model.pad_id, device=model.device, side="right")
        last = model.head_values("reward", model.hidden_states(batch)[0, -1])
    assert together[0].item() == pytest.approx(last.item(), abs=1e-5)
    assert together[0] != together[1]
    scored = reward_model.score([short, long, short], batch_size=2)
    torch.testing.assert_close(scored, alone[[0, 1, 0]], atol=1e-5, rtol=1e-5)


def test_long_response_is_cut_but_never_the_rating_prompt(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    # 7 tokens of prompt, 5 that follow the response, so 3 are left for it
    reward_model = RewardModel.fresh(model, small(with_facts=False, max_length=15))
    image = model.encode_images(image_files)[0]
    long, short = reward_model.sequences(QUESTION, image, ["a red circle and a cross", "a"])
    rating = model.chat.following_ids(QUESTION, "rate :")
    assert model.chat.text_length(long) == 15
    assert long.ids[-len(rating) :] == short.ids[-len(rating) :] == rating


def test_no_room_for_any_response_is_an_error(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    reward_model = RewardModel.fresh(model, small(max_length=12))
    image = model.encode_images(image_files)[0]
    with pytest.raises(DataError, match="max_length"):
        reward_model.sequences(QUESTION, image, ["a"], FACTS)


def load(base: Path, folder: Path) -> RewardModel:
    model = VisionLanguageModel.load(str(base), ModelSettings(dtype="float32"))
    return RewardModel.load(model, folder)


def test_saved_reward_model_scores_as_before(base_folder: Path, reward_folder: Path) -> None:
    description = json.loads((reward_folder / DESCRIPTION).read_text())
    assert len(description["golden"]) == 5
    reward_model = load(base_folder, reward_folder)
    assert reward_model.template.rating_prompt == "rate :"
    assert reward_model.mean == description["mean"]
    raw = torch.tensor([description["mean"], description["mean"] + description["deviation"]])
    assert reward_model.normalised(raw).tolist() == pytest.approx([0, 1], abs=1e-5)


@pytest.fixture
def copied(reward_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(reward_folder, tmp_path / "reward_copy"))


def test_changed_template_is_refused(base_folder: Path, copied: Path) -> None:
    description = json.loads((copied / DESCRIPTION).read_text())
    description["template"]["rating_prompt"] = "rate ?"
    (copied / DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(ModelError, match="template was changed"):
        load(base_folder, copied)


def test_changed_weights_are_refused(base_folder: Path, copied: Path) -> None:
    weights = load_file(copied / ADAPTER_WEIGHTS)
    save_file({name: tensor * 1.5 for name, tensor in weights.items()}, copied / ADAPTER_WEIGHTS)
    with pytest.raises(ModelError, match=r"golden input \d scores"):
        load(base_folder, copied)


def test_another_base_model_is_refused(reward_folder: Path, tmp_path: Path) -> None:
    other = tiny.save_base(tmp_path / "other", seed=5)
    with pytest.raises(ModelError, match="another base model"):
        load(other, reward_folder)


def test_golden_image_outside_the_folder_is_refused(base_folder: Path, copied: Path) -> None:
    description = json.loads((copied / DESCRIPTION).read_text())
    description["golden"][0]["image"] = "../../secret.png"
    (copied / DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(DataError, match="outside"):
        load(base_folder, copied)


def test_folder_that_is_no_reward_model_is_refused(base_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a reward model"):
        load(base_folder, tmp_path)


def test_a_fresh_head_lets_the_adapter_learn(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    """Behind a head of zeros every gradient of the adapter is nothing."""
    torch.manual_seed(0)
    fresh = RewardModel.fresh(model, RewardSettings())
    assert float(model.heads["reward"].bias) == 0.0
    parameters = model.trainable("reward")
    model.train_only(parameters)
    turns = (Turn(speaker="human", text="<image>\nwhat is there ?"),)
    [image] = model.encode_images(image_files[:1])
    [sequence] = fresh.sequences(turns, image, ["a red circle"])
    fresh.raw_rewards([sequence]).sum().backward()
    raised = [p.grad for name, p in parameters.items() if "lora_B" in name]
    assert all(gradient is not None and bool(gradient.any()) for gradient in raised)


def test_rating_begins_with_words_put_into_its_mouth(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    settings = RewardSettings(rating_prompt="rate :", rating_prefix="is : a")
    said = RewardModel.fresh(model, settings)
    turns = (Turn(speaker="human", text="<image>\nwhat is there ?"),)
    [image] = model.encode_images(image_files[:1])
    [sequence] = said.sequences(turns, image, ["a red circle"])
    text = model.processor.tokenizer.decode(sequence.ids)
    assert text.endswith("</s> USER: rate : ASSISTANT: is : a")
