"""Every family goes through the whole engine, and means the same as in its own classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForImageTextToText

from tests.training.rlhf.conftest import SAMPLING, MakeRun, events
from tests.training.rlhf.families import FAMILIES
from training.rlhf import prefixes
from training.rlhf.__main__ import main
from training.rlhf.adapters import HEAD_WEIGHTS
from training.rlhf.contract import Kind, LoraSettings, ModelSettings, SamplingSettings, Turn
from training.rlhf.data import Batch, TokenSequence
from training.rlhf.errors import ModelError
from training.rlhf.images import joined
from training.rlhf.logprobs import token_logprobs
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prefixes import prefix_of
from training.rlhf.reward_model import RewardModel
from training.rlhf.rollout import response_hidden, sample

QUESTION = "what is there ?"
TURNS = (Turn(speaker="human", text=f"<image>\n{QUESTION}"),)


@pytest.fixture(scope="module", params=FAMILIES)
def base_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILIES[request.param](tmp_path_factory.mktemp("family") / request.param)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Three pictures of two shapes: they take different numbers of tokens where a family may."""
    sizes, files = [(10, 12), (20, 9), (10, 12)], []
    for number, size in enumerate(sizes):
        picture = Image.effect_noise(size, 90).convert("RGB")
        files.append(tmp_path / f"{number}.png")
        picture.save(files[-1])
    return files


def prompts_of(model: VisionLanguageModel, pictures: list[Path]) -> list[TokenSequence]:
    return [model.chat.prompt(TURNS, image) for image in model.encode_images(pictures)]


def family_inputs(model: VisionLanguageModel, question: str, picture: Path) -> Any:
    """What the family's own processor makes of a question about a picture."""
    content = [{"type": "image"}, {"type": "text", "text": question}]
    messages = [{"role": "user", "content": content}]
    text = model.processor.apply_chat_template(messages, add_generation_prompt=True)
    return model.processor(
        text=[text],
        images=[Image.open(picture).convert("RGB")],
        return_tensors="pt",
        add_special_tokens=False,
    )


def padded_ids(model: VisionLanguageModel, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Ids and mask of responses, right-padded."""
    said = [model.chat.response_ids(text) for text in texts]
    width = max(map(len, said))
    ids = torch.tensor([row + [model.pad_id] * (width - len(row)) for row in said])
    return ids, torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in said])


@torch.no_grad()
def test_a_padded_batch_means_what_the_family_itself_makes_of_each_picture(
    model: VisionLanguageModel, pictures: list[Path]
) -> None:
    prompts = prompts_of(model, pictures)
    batch = Batch.pad(prompts, pad_id=model.pad_id, device=model.device, side="left")
    hidden = model.hidden_states(batch)
    for row, (prompt, picture) in enumerate(zip(prompts, pictures, strict=True)):
        inputs = family_inputs(model, QUESTION, picture)
        assert inputs["input_ids"][0].tolist() == prompt.ids
        plain = model.base.model(**inputs).last_hidden_state[0]
        torch.testing.assert_close(hidden[row, -len(prompt) :], plain, atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_a_prompt_computed_once_for_several_responses_means_the_same(
    model: VisionLanguageModel, pictures: list[Path]
) -> None:
    """Positions in three dimensions, sliding windows and token types go on behind a prefix."""
    one, two, _ = prompts_of(model, pictures)
    texts = ("a red circle and a blue cross", "no", "yes", "a green square")
    ids, mask = padded_ids(model, texts)
    rows = [one, two, one, two]
    shared = response_hidden(model, None, rows, ids, mask)
    for row, prompt in enumerate(rows):
        length = int(mask[row].sum())
        alone = response_hidden(model, None, [prompt], ids[[row], :length], mask[[row], :length])
        torch.testing.assert_close(shared[row, :length], alone[0], atol=2e-5, rtol=1e-5)


PLAIN_TURNS = (Turn(speaker="human", text=QUESTION),)


def test_text_alone_is_answered_beside_rows_with_images(
    model: VisionLanguageModel, pictures: list[Path]
) -> None:
    """Let in where another has ended, it is moved by no image, and no image is moved by it."""
    shown = prompts_of(model, pictures)
    plain = [
        model.chat.prompt((Turn(speaker="human", text=" ".join([QUESTION] * count)),), joined([]))
        for count in (1, 2, 3)
    ]
    prompts = [prompt for pair in zip(shown, plain, strict=True) for prompt in pair] * 2
    settings = SamplingSettings(temperature=1.3, response_length=12)
    draws = torch.rand(12, 12, dtype=torch.float64, generator=torch.manual_seed(3))
    alone, beside = (
        sample(model, prompts, settings, adapter=None, batch_size=size, draws=draws)
        for size in (1, 4)
    )
    assert torch.equal(beside.ids, alone.ids)


@torch.no_grad()
@pytest.mark.parametrize("side", ["left", "right"])
def test_text_alone_means_the_same_beside_rows_with_images(
    model: VisionLanguageModel, pictures: list[Path], side: str
) -> None:
    """And what the family itself makes of it, whatever was run before."""
    [shown, *_], plain = prompts_of(model, pictures), model.chat.prompt(PLAIN_TURNS, joined([]))
    longer = model.chat.prompt((Turn(speaker="human", text=f"{QUESTION} {QUESTION}"),), joined([]))
    assert model.chat.image_token_id not in plain.ids
    truth = model.base.model(input_ids=torch.tensor([plain.ids])).last_hidden_state[0]
    places = slice(-len(plain), None) if side == "left" else slice(len(plain))
    for rows in ([shown, plain], [plain, longer], [plain]):
        batch = Batch.pad(rows, pad_id=model.pad_id, device=model.device, side=side)
        hidden = model.hidden_states(batch)[rows.index(plain)]
        torch.testing.assert_close(hidden[places], truth, atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_behind_a_prefix_text_alone_means_the_same_beside_rows_with_images(
    model: VisionLanguageModel, pictures: list[Path]
) -> None:
    [shown, *_], plain = prompts_of(model, pictures), model.chat.prompt(PLAIN_TURNS, joined([]))
    ids, mask = padded_ids(model, ["yes", "a green square", "no"])
    mixed = response_hidden(model, None, [shown, plain, plain], ids, mask)
    alone = response_hidden(model, None, [plain, plain], ids[1:], mask[1:])
    whole = torch.tensor([plain.ids + ids[1, : int(mask[1].sum())].tolist()])
    truth = model.base.model(input_ids=whole).last_hidden_state[0, len(plain) - 1 : -1]
    for hidden in (mixed[1:], alone):
        torch.testing.assert_close(hidden[0, : len(truth)], truth, atol=2e-5, rtol=1e-5)
        assert hidden[1, :1].isfinite().all()


LONG_TURNS = (Turn(speaker="human", text="<image>\n" + "is there a red cross ? " * 22),)


def test_long_prompts_are_run_apart_and_mean_what_the_family_itself_makes_of_them(
    model: VisionLanguageModel, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hidden states behind keys and values, and gradients through them, as in whole sequences."""
    model.add_adapter("policy", LoraSettings(rank=2, alpha=2))
    adapter = model.trainable("policy")
    with torch.no_grad():
        for parameter in adapter.values():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.train_only(adapter)
    images = model.encode_images(pictures)
    prompts = [model.chat.prompt(LONG_TURNS, image) for image in images]
    assert prefixes.runs_apart(model, [len(prompt) - 1 for prompt in prompts])
    ids, mask = padded_ids(model, ["a red circle and a blue cross", "no", "a green square"])

    def found() -> tuple[Tensor, Sequence[Tensor]]:
        hidden = response_hidden(model, "policy", prompts, ids, mask)[mask.bool()]
        weights = torch.linspace(-1, 1, hidden.numel()).view_as(hidden)
        return hidden, torch.autograd.grad((hidden * weights).sum(), list(adapter.values()))

    apart, gradients = found()
    monkeypatch.setattr(prefixes, "_LONG", 10_000)
    whole, expected = found()
    torch.testing.assert_close(apart, whole, atol=1e-4, rtol=1e-4)
    for one, two in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, two, atol=2e-3, rtol=1e-3)

    own = []
    for row, (prompt, picture) in enumerate(zip(prompts, pictures, strict=True)):
        inputs = family_inputs(model, LONG_TURNS[0].text.removeprefix("<image>\n"), picture)
        said = ids[[row], : int(mask[row].sum())]
        assert inputs["input_ids"][0].tolist() == prompt.ids
        more = {"input_ids": said, "attention_mask": torch.ones_like(said)}
        grown = {
            name: torch.cat([value, more.get(name, torch.zeros_like(said))], dim=1)
            for name, value in inputs.items()
            if value.shape == inputs["input_ids"].shape
        }
        with model.using("policy"):
            output = model.base.model(**inputs | grown).last_hidden_state[0]
        own.append(output[len(prompt) - 1 : -1])
    torch.testing.assert_close(apart, torch.cat(own), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_what_follows_long_prompts_is_rated_apart_as_it_is_whole(
    model: VisionLanguageModel, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reward model's way: the last token of each sequence, all prompts different."""
    images = model.encode_images(pictures)
    prompts = [model.chat.prompt(LONG_TURNS, image) for image in images]
    endings = ("a red circle rate :", "no rate :", "yes and a green square rate :")
    rows = [
        TokenSequence(prompt.ids + model.chat.response_ids(text), prompt.image, len(prompt))
        for prompt, text in zip(prompts, endings, strict=True)
    ]
    last = []
    for shortest in (128, 10_000):
        monkeypatch.setattr(prefixes, "_LONG", shortest)
        hidden, lengths = prefixes.hidden_behind_prefixes(model, rows, [0, 1, 2])
        assert hidden.shape[1] < 128 or shortest > 128
        last.append(hidden[torch.arange(3), lengths - 1])
    torch.testing.assert_close(*last, atol=1e-4, rtol=1e-4)


TWO_PICTURES = (
    Turn(speaker="human", text="<image>\nwhat is there ? <image>"),
    Turn(speaker="gpt", text="a red circle"),
    Turn(speaker="human", text="is there a cross ?"),
)


@torch.no_grad()
def test_several_pictures_and_turns_are_those_of_the_family_itself(
    model: VisionLanguageModel, pictures: list[Path]
) -> None:
    if type(model.base).__name__ == "LlavaOnevisionForConditionalGeneration":
        with pytest.raises(ModelError, match="takes one image"):
            model.encode_images([tuple(pictures[:2])])
        return
    [image] = model.encode_images([tuple(pictures[:2])])
    prompt = model.chat.prompt(TWO_PICTURES, image)
    asked = [{"type": "image"}, {"type": "text", "text": "what is there ?"}, {"type": "image"}]
    messages = [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": [{"type": "text", "text": "a red circle"}]},
        {"role": "user", "content": [{"type": "text", "text": "is there a cross ?"}]},
    ]
    text = model.processor.apply_chat_template(messages, add_generation_prompt=True)
    inputs = model.processor(
        text=[text],
        images=[[Image.open(picture).convert("RGB") for picture in pictures[:2]]],
        return_tensors="pt",
        add_special_tokens=False,
    )
    assert inputs["input_ids"][0].tolist() == prompt.ids
    plain = model.base.model(**inputs).last_hidden_state[0]
    shorter = prompts_of(model, pictures)[2]
    batch = Batch.pad([prompt, shorter], pad_id=model.pad_id, device=model.device, side="left")
    torch.testing.assert_close(
        model.hidden_states(batch)[0, -len(prompt) :], plain, atol=2e-5, rtol=1e-5
    )


def test_layers_computed_again_teach_the_same(
    model: VisionLanguageModel, pictures: list[Path]
) -> None:
    """Of equal prompts, too, whose keys and values nothing shares then."""
    first, second, _ = prompts_of(model, pictures)
    ids, mask = padded_ids(model, ["a red circle", "no", "yes"])
    model.train_only(model.language_parameters())

    def learnt() -> tuple[Tensor, ...]:
        hidden = response_hidden(model, None, [first, second, first], ids, mask)
        told = (model.logits(hidden) * mask[..., None]).square().sum()
        return torch.autograd.grad(told, list(model.language_parameters().values()))

    expected = learnt()
    model.compute_again()
    with pytest.raises(ModelError, match="gradient checkpointing"):
        prefix_of(model, [first])
    for one, two in zip(learnt(), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5 * float(two.abs().max()))


@torch.no_grad()
def test_pictures_make_a_difference(model: VisionLanguageModel, pictures: list[Path]) -> None:
    first, _, third = prompts_of(model, pictures)
    assert first.ids == third.ids
    batch = Batch.pad([first, third], pad_id=model.pad_id, device=model.device, side="left")
    last = model.hidden_states(batch)[:, -1]
    assert float((last[0] - last[1]).abs().max()) > 1e-3


@torch.no_grad()
def test_the_most_probable_token_is_the_same_in_sampling_and_in_scoring(
    model: VisionLanguageModel, pictures: list[Path]
) -> None:
    """Positions, masks and token types of a growing sequence are those of the finished one."""
    prompts = prompts_of(model, pictures)
    greedy = SamplingSettings(temperature=0.0, response_length=8)
    responses = sample(model, prompts, greedy, adapter=None, batch_size=3)
    hidden = response_hidden(model, None, prompts, responses.ids, responses.mask)
    best = model.logits(hidden).argmax(-1)
    assert torch.equal(best * responses.mask, responses.ids * responses.mask)
    logprobs = token_logprobs(model, hidden, responses.ids, responses.mask, temperature=1.0)
    assert bool((logprobs <= 0).all())


TWO_STEPS = {"batch_size": 2, "micro_batch_size": 2, "max_steps": 2}
TWO_ROUNDS = {
    "steps": 2,
    "rollout_batch_size": 4,
    "rollout_micro_batch_size": 4,
    "batch_size": 4,
    "micro_batch_size": 2,
    "update_epochs": 1,
    "samples_every": 2,
    "sampling": SAMPLING,
}


@pytest.mark.parametrize(
    "base_folder",
    sorted(FAMILIES.keys() - {"llava"}),  # the base of all other tests
    indirect=True,
)
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # PEFT's own
def test_whole_engine_and_plain_peft(
    make_run: MakeRun, base_folder: Path, pictures: list[Path]
) -> None:
    lora = LoraSettings(rank=2, alpha=2)
    sft = make_run(Kind.SFT, "sft", lora=lora, **TWO_STEPS)
    assert main(["sft", "--run-dir", str(sft)]) == 0, events(sft, "error")
    reward = make_run(Kind.REWARD, "reward", lora=lora, held_out=2, **TWO_STEPS)
    assert main(["reward", "--run-dir", str(reward)]) == 0, events(reward, "error")
    ppo = make_run(
        Kind.PPO, "ppo", policy=sft / "final", reward_model=reward / "final", **TWO_ROUNDS
    )
    assert main(["ppo", "--run-dir", str(ppo)]) == 0, events(ppo, "error")
    dpo = make_run(Kind.DPO, "dpo", policy=sft / "final", **TWO_STEPS)
    assert main(["dpo", "--run-dir", str(dpo)]) == 0, events(dpo, "error")
    before = load_file(sft / "final" / "adapter_model.safetensors")
    for trained in (ppo, dpo):
        after = load_file(trained / "final" / "adapter_model.safetensors")
        assert before.keys() == after.keys()
        assert not any("vision" in key or "visual" in key for key in after)
        assert any(not torch.equal(before[key], after[key]) for key in after)
    assert_plain_peft_gives_equal_scores(base_folder, reward / "final", pictures)


@torch.no_grad()
def assert_plain_peft_gives_equal_scores(
    base_folder: Path, folder: Path, pictures: list[Path]
) -> None:
    from peft import PeftModel

    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    reward_model = RewardModel.load(model, folder)
    images = model.encode_images(pictures)
    sequences = [
        sequence
        for image in images
        for sequence in reward_model.sequences(TURNS, image, ["a red circle", "no"], ["yes"])
    ]
    scores = reward_model.score(sequences, batch_size=4)
    assert len(set(scores.tolist())) > 1

    base = AutoModelForImageTextToText.from_pretrained(base_folder, dtype=torch.float32)
    elsewhere = PeftModel.from_pretrained(base, folder).eval()
    head = load_file(folder / HEAD_WEIGHTS)
    for sequence, score in zip(sequences, scores.tolist(), strict=True):
        batch = Batch.pad([sequence], pad_id=model.pad_id, device=model.device, side="right")
        hidden = elsewhere.base_model.model.model(**model.model_inputs(batch)).last_hidden_state
        alone = hidden[0, -1] @ head["weight"][0] + head["bias"][0]
        assert float(alone) == pytest.approx(score, abs=1e-4)
