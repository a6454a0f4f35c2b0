from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.training.rlhf import tiny
from training.rlhf.adapters import ADAPTER_WEIGHTS
from training.rlhf.contract import LoraSettings, ModelSettings, Turn
from training.rlhf.data import Batch, TokenSequence
from training.rlhf.errors import ModelError
from training.rlhf.models import VisionLanguageModel

LORA = LoraSettings(rank=4, alpha=8)
QUESTION = (Turn(speaker="human", text="<image>\nwhat is there ?"),)
LONG_QUESTION = (Turn(speaker="human", text="<image>\nis there a red circle and a blue cross ?"),)


def batch_of(
    model: VisionLanguageModel, files: list[Path], *, side: str = "right", long: bool = False
) -> Batch:
    images = model.encode_images(files)
    prompts = [model.chat.prompt(QUESTION, image) for image in images]
    if long:
        prompts.append(model.chat.prompt(LONG_QUESTION, images[0]))
    return Batch.pad(prompts, pad_id=model.pad_id, device=model.device, side=side)


def disturb(model: VisionLanguageModel, name: str) -> None:
    """Make an adapter matter: its B matrices start at zero."""
    with torch.no_grad():
        for parameter in model.trainable(name).values():
            parameter.add_(torch.randn_like(parameter) * 0.3)


@torch.no_grad()
def test_hidden_states_equal_those_from_pixels(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    batch = batch_of(model, image_files[:1])
    inputs = model.processor(
        text="<s> USER: <image> what is there ? ASSISTANT:",
        images=[Image.open(image_files[0])],
        return_tensors="pt",
        add_special_tokens=False,
    )
    assert batch.input_ids.tolist() == inputs["input_ids"].tolist()
    expected = tiny.model()(**inputs).logits
    assert torch.equal(model.base.lm_head(model.hidden_states(batch)), expected)


@torch.no_grad()
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_hidden_state(
    model: VisionLanguageModel, image_files: list[Path], side: str
) -> None:
    alone = model.hidden_states(batch_of(model, image_files[:1]))[0]
    batch = batch_of(model, image_files[:1], side=side, long=True)
    padded = model.hidden_states(batch)[0]
    real = padded[batch.attention_mask[0].bool()]
    torch.testing.assert_close(real, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_positions_do_not_count_padding(
    model: VisionLanguageModel, image_files: list[Path], side: str
) -> None:
    """Rotary embeddings would not notice: only what is asked for tells."""
    batch = batch_of(model, image_files[:1], side=side, long=True)
    positions = model.positioned_inputs(batch)["position_ids"]
    for row, mask in zip(positions, batch.attention_mask, strict=True):
        assert row[mask.bool()].tolist() == list(range(int(mask.sum())))


def test_adapters_leave_the_vision_tower_alone(model: VisionLanguageModel) -> None:
    model.add_adapter("policy", LORA)
    names = list(model.trainable("policy"))
    assert all(name.startswith("model.language_model.layers.") for name in names)
    projections = {name.split(".")[-4] for name in names}
    assert projections == {
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    }


@torch.no_grad()
def test_fresh_adapter_changes_nothing_and_a_trained_one_does(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    bare = model.hidden_states(batch_of(model, image_files))
    model.add_adapter("policy", LORA)
    with model.using("policy"):
        assert torch.equal(model.hidden_states(batch_of(model, image_files)), bare)
    disturb(model, "policy")
    with model.using("policy"):
        assert not torch.allclose(model.hidden_states(batch_of(model, image_files)), bare)
    with model.using(None):
        assert torch.equal(model.hidden_states(batch_of(model, image_files)), bare)


@torch.no_grad()
def test_reference_is_a_frozen_copy_and_not_the_base(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    model.add_adapter("policy", LORA)
    disturb(model, "policy")
    model.copy_adapter("policy", "reference")
    batch = batch_of(model, image_files)
    with model.using("policy"):
        policy = model.hidden_states(batch)
    disturb(model, "policy")
    with model.using("reference"):
        assert torch.equal(model.hidden_states(batch), policy)
    with model.using(None):
        assert not torch.allclose(model.hidden_states(batch), policy)


def test_switching_adapters_never_changes_what_is_trained(model: VisionLanguageModel) -> None:
    model.add_adapter("policy", LORA)
    model.add_adapter("value", LORA)
    model.add_head("value")
    model.train_only(model.trainable("policy"))
    trained = {name for name, p in model.base.named_parameters() if p.requires_grad}
    assert trained == set(model.trainable("policy"))
    for adapter in ("value", "policy", None):
        with model.using(adapter):
            assert {n for n, p in model.base.named_parameters() if p.requires_grad} == trained
    assert not any(p.requires_grad for p in model.heads.parameters())


@torch.no_grad()
def test_using_restores_the_adapter_after_an_error(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    for name in ("policy", "value"):
        model.add_adapter(name, LORA)
        disturb(model, name)
    batch = batch_of(model, image_files)
    with model.using("policy"):
        before = model.hidden_states(batch)
        with pytest.raises(RuntimeError), model.using("value"):
            raise RuntimeError
        assert torch.equal(model.hidden_states(batch), before)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # PEFT's own
@torch.no_grad()
def test_saved_adapter_is_read_by_plain_peft(
    model: VisionLanguageModel, base_folder: Path, image_files: list[Path], tmp_path: Path
) -> None:
    from peft import PeftModel

    model.add_adapter("policy", LORA)
    disturb(model, "policy")
    model.save_adapter("policy", tmp_path / "adapter")
    with model.using("policy"):
        hidden = model.hidden_states(batch_of(model, image_files))
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base_folder)

    elsewhere = PeftModel.from_pretrained(tiny.model(), tmp_path / "adapter")
    inputs = model.model_inputs(batch_of(model, image_files))
    logits = elsewhere(**inputs).logits
    torch.testing.assert_close(logits, model.base.lm_head(hidden), atol=1e-5, rtol=1e-5)


def test_saved_adapter_and_head_are_read_back(model: VisionLanguageModel, tmp_path: Path) -> None:
    model.add_adapter("reward", LORA)
    model.add_head("reward")
    disturb(model, "reward")
    model.save_adapter("reward", tmp_path)
    model.save_head("reward", tmp_path)
    saved = {name: p.detach().clone() for name, p in model.trainable("reward").items()}
    model.load_adapter("again", tmp_path)
    model.load_head("again", tmp_path)
    again = {name.replace(".again.", ".reward."): p for name, p in model.trainable("again").items()}
    assert saved.keys() == again.keys()
    assert all(torch.equal(saved[name], again[name]) for name in saved)


def test_adapter_with_other_tensors_is_refused(model: VisionLanguageModel, tmp_path: Path) -> None:
    model.add_adapter("policy", LORA)
    model.save_adapter("policy", tmp_path)
    weights = load_file(tmp_path / ADAPTER_WEIGHTS)
    weights.pop(sorted(weights)[0])
    save_file(weights, tmp_path / ADAPTER_WEIGHTS)
    with pytest.raises(ModelError, match=r"lacks .*lora_A.* it holds \d+"):
        model.load_adapter("other", tmp_path)


def test_folder_without_an_adapter_is_refused(model: VisionLanguageModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"adapter_config\.json"):
        model.load_adapter("policy", tmp_path)


def test_missing_base_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        VisionLanguageModel.load(str(tmp_path / "nowhere"), ModelSettings(dtype="float32"))


def test_what_a_forward_pass_is_handed_is_never_handed_out_again(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    """transformers writes into the list of features when it repeats rows for several samples."""
    batch = batch_of(model, image_files)
    first = model.model_inputs(batch)["mm_encoder_outputs"]["image"]
    kept = [image.features.clone() for image in batch.images]
    first.pooler_output.reverse()
    first.pooler_output.pop()
    second = model.model_inputs(batch)["mm_encoder_outputs"]["image"]
    for given, image, features in zip(second.pooler_output, batch.images, kept, strict=True):
        assert given is image.features
        assert torch.equal(given, features)


def test_images_are_encoded_once(
    model: VisionLanguageModel, image_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_of(model, image_files)
    monkeypatch.setattr(model.base.model, "vision_tower", None)
    batch = batch_of(model, [*image_files, image_files[0]])
    assert model.hidden_states(batch).shape[0] == 4


def test_hidden_states_build_no_logits(
    model: VisionLanguageModel, image_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the language head was used")

    monkeypatch.setattr(model.base.lm_head, "forward", refuse)
    model.add_head("reward")
    hidden = model.hidden_states(batch_of(model, image_files))
    assert model.head_values("reward", hidden).shape == hidden.shape[:2]


def test_logits_exclude_image_pad_and_begin_tokens_and_divide_by_temperature(
    model: VisionLanguageModel,
) -> None:
    hidden = torch.randn(2, 3, model.hidden_size)
    logits = model.logits(hidden, temperature=0.5)
    excluded = [tiny.SPECIAL.index(token) for token in ("<pad>", "<s>", "<image>")]
    assert model.suppressed_ids == excluded
    assert float(torch.softmax(logits, -1)[..., excluded].sum()) == 0
    plain = model.logits(hidden, suppress=False)
    kept = [i for i in range(plain.shape[-1]) if i not in excluded]
    torch.testing.assert_close(logits[..., kept], 2 * plain[..., kept])


def test_end_token_stays_samplable_when_it_is_also_the_padding(base_folder: Path) -> None:
    processor = tiny.processor(pad_token="</s>")
    model = VisionLanguageModel(tiny.model(), processor, device=torch.device("cpu"))
    end = tiny.SPECIAL.index("</s>")
    assert model.pad_id == end
    assert model.stop_ids == (end,)
    assert end not in model.suppressed_ids


def test_whole_model_is_saved_with_its_generation_defaults(
    model: VisionLanguageModel, tmp_path: Path
) -> None:
    model.save_base(tmp_path, {})
    again = VisionLanguageModel.load(str(tmp_path), ModelSettings(dtype="float32"))
    assert again.stop_ids == model.stop_ids
    assert json.loads((tmp_path / "generation_config.json").read_text())["eos_token_id"] == 2
    for (name, one), (_, two) in zip(
        model.base.named_parameters(), again.base.named_parameters(), strict=True
    ):
        assert torch.equal(one, two), name


def test_language_parameters_cover_all_but_the_eyes(model: VisionLanguageModel) -> None:
    trained = {id(p) for p in model.language_parameters().values()}
    left = {n for n, p in model.base.named_parameters() if id(p) not in trained}
    assert left
    assert all(n.startswith(("model.vision_tower.", "model.multi_modal_projector")) for n in left)


def test_token_sequence_length_counts_the_image(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    prompt = model.chat.prompt(QUESTION, model.encode_images(image_files)[0])
    assert isinstance(prompt, TokenSequence)
    assert len(prompt) == 11
    assert model.chat.text_length(prompt) == 7
    assert model.chat.prompt_text_length(QUESTION) == 7
