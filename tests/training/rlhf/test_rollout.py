from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers.masking_utils import find_packed_sequence_indices

from tests.training.rlhf import tiny
from training.rlhf.contract import LoraSettings, SamplingSettings, Turn
from training.rlhf.data import Batch, TokenSequence
from training.rlhf.errors import ModelError
from training.rlhf.logprobs import token_entropy, token_logprobs
from training.rlhf.models import VisionLanguageModel
from training.rlhf.rollout import (
    cut_at_stop,
    prompt_prefix,
    response_hidden,
    sample,
    widened,
)

PAD, BEGIN, END, _, IMAGE = range(5)


def prompts_for(model: VisionLanguageModel, files: list[Path]) -> list[TokenSequence]:
    questions = ["what ?", "is there a red circle and a cross ?", "what is there ?"]
    return [
        model.chat.prompt((Turn(speaker="human", text=f"<image>\n{question}"),), image)
        for question, image in zip(questions, model.encode_images(files), strict=True)
    ]


def settings(**changes: float) -> SamplingSettings:
    return SamplingSettings(**{"temperature": 1.0, "response_length": 12, **changes})


def test_what_follows_the_first_stop_token_is_padding(model: VisionLanguageModel) -> None:
    model.stop_ids = (END, 22)
    red, blue = model.chat.response_ids("red blue")
    ids = torch.tensor(
        [
            [red, END, blue, 22, blue],
            [red, 22, END, PAD, PAD],
            [END, PAD, PAD, PAD, PAD],
            [red, blue, red, blue, PAD],
        ]
    )
    found = cut_at_stop(model, ids[:, :4])
    assert found.finished == [True, True, True, False]
    assert found.lengths.tolist() == [2, 2, 1, 4]
    assert found.mask.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]
    assert found.ids[0].tolist() == [red, END, PAD, PAD]
    assert found.texts == ["red", "red", "", "red blue red blue"]


def test_responses_are_as_wide_as_the_longest(model: VisionLanguageModel) -> None:
    found = cut_at_stop(model, torch.tensor([[END, 0, 0], [9, END, 0]]))
    assert found.ids.shape == (2, 2)
    wide = widened(found, 5, pad_id=PAD)
    assert wide.ids.shape == wide.mask.shape == (2, 5)
    assert wide.lengths.tolist() == [1, 2]
    assert wide.ids[:, 2:].sum() == 0


def test_end_token_counts_when_it_is_also_the_padding(model: VisionLanguageModel) -> None:
    model.pad_id = END
    found = cut_at_stop(model, torch.tensor([[9, END, END], [9, 9, END]]))
    assert found.lengths.tolist() == [2, 3]


def test_tokens_that_break_a_forward_pass_are_never_sampled(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    prompts = prompts_for(model, image_files) * 40
    with torch.no_grad():  # make the forbidden ones the likeliest by far
        model.base.lm_head.weight[[PAD, BEGIN, IMAGE]] *= 50
    torch.manual_seed(0)
    found = sample(model, prompts, settings(), adapter=None, batch_size=50)
    sampled = found.ids[found.mask.bool()]
    assert not torch.isin(sampled, torch.tensor([PAD, BEGIN, IMAGE])).any()
    hidden = response_hidden(model, None, prompts, found.ids, found.mask)
    assert hidden.shape == (*found.ids.shape, model.hidden_size)


def test_greedy_responses_do_not_depend_on_company_or_order(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    prompts = prompts_for(model, image_files)
    greedy = settings(temperature=0.0)
    together = sample(model, prompts, greedy, adapter=None, batch_size=3)
    for number, prompt in enumerate(prompts):
        alone = sample(model, [prompt], greedy, adapter=None, batch_size=1)
        assert alone.texts == [together.texts[number]]
    two = sample(model, prompts, greedy, adapter=None, batch_size=2)
    assert two.texts == together.texts


def test_greedy_tokens_are_the_likeliest(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    prompts = prompts_for(model, image_files)
    found = sample(model, prompts, settings(temperature=0.0), adapter=None, batch_size=2)
    with torch.no_grad():
        hidden = response_hidden(model, None, prompts, found.ids, found.mask)
        likeliest = model.logits(hidden).argmax(-1)
    assert torch.equal(likeliest[found.mask.bool()], found.ids[found.mask.bool()])


@torch.no_grad()
def test_logprobs_are_those_of_a_plain_forward_pass(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    prompts = prompts_for(model, image_files)
    torch.manual_seed(0)
    found = sample(model, prompts, settings(), adapter=None, batch_size=3)
    hidden = response_hidden(model, None, prompts, found.ids, found.mask)
    logprobs = token_logprobs(model, hidden, found.ids, found.mask, temperature=0.7)
    entropy = token_entropy(model, hidden, found.mask, temperature=0.7)

    plain = tiny.model()
    for row, (prompt, file) in enumerate(zip(prompts, image_files, strict=True)):
        length = int(found.lengths[row])
        pixels = model.processor.image_processor(Image.open(file), return_tensors="pt")
        ids = torch.tensor([prompt.ids + found.ids[row, :length].tolist()])
        logits = plain(input_ids=ids, pixel_values=pixels["pixel_values"]).logits[0] / 0.7
        logits[:, [PAD, BEGIN, IMAGE]] = -torch.inf
        expected = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1]
        chosen = expected.gather(1, found.ids[row, :length, None]).squeeze(1)
        torch.testing.assert_close(logprobs[row, :length], chosen, atol=1e-4, rtol=1e-4)
        kept = expected[:, [i for i in range(logits.shape[1]) if i not in (PAD, BEGIN, IMAGE)]]
        assert torch.allclose(
            entropy[row, :length], -(kept.exp() * kept).sum(-1), atol=1e-4, rtol=1e-4
        )
        assert logprobs[row, length:].abs().sum() == 0


def test_sampling_follows_the_adapter(model: VisionLanguageModel, image_files: list[Path]) -> None:
    prompts = prompts_for(model, image_files)
    model.add_adapter("policy", LoraSettings(rank=4, alpha=8))
    greedy = settings(temperature=0.0)
    bare = sample(model, prompts, greedy, adapter=None, batch_size=3)
    assert sample(model, prompts, greedy, adapter="policy", batch_size=3).texts == bare.texts
    with torch.no_grad():
        for parameter in model.trainable("policy").values():
            parameter.add_(torch.randn_like(parameter))
    assert sample(model, prompts, greedy, adapter="policy", batch_size=3).texts != bare.texts


def test_sampling_frequencies_match_the_probabilities(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    prompts = prompts_for(model, image_files)[:1] * 2000
    torch.manual_seed(0)
    found = sample(
        model, prompts, settings(response_length=1, temperature=2.0), adapter=None, batch_size=2000
    )
    one = torch.ones((1, 1), dtype=torch.long)
    with torch.no_grad():
        hidden = response_hidden(model, None, prompts[:1], found.ids[:1], one)
        probabilities = torch.softmax(model.logits(hidden, temperature=2.0)[0, 0], -1)
    counts = torch.bincount(found.ids[:, 0], minlength=len(probabilities)) / 2000
    assert float((counts - probabilities).abs().max()) < 0.035


def test_sampling_can_be_given_up(model: VisionLanguageModel, image_files: list[Path]) -> None:
    class GivenUp(Exception):
        pass

    def give_up() -> None:
        raise GivenUp

    with pytest.raises(GivenUp):
        sample(
            model,
            prompts_for(model, image_files),
            settings(),
            adapter=None,
            batch_size=1,
            before_batch=give_up,
        )


def test_an_answer_that_asks_back_is_cut_and_has_no_end(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    [ask] = model.chat.ids_that_are("?")
    model.cut_ids = (ask,)
    ids = torch.tensor([[9, ask, 9, END], [9, END, ask, 9], [9, 9, 9, ask], [9, 9, 9, 9]])
    found = cut_at_stop(model, ids)
    assert found.finished == [False, True, False, False]
    assert found.lengths.tolist() == [2, 2, 4, 4]
    assert found.texts[0].endswith("?") and not found.texts[1].endswith("?")
    # Sampling stops there too, and draws what it would have drawn.
    prompts = prompts_for(model, image_files) * 8
    torch.manual_seed(3)
    cut = sample(model, prompts, settings(), adapter=None, batch_size=24)
    model.cut_ids = ()
    torch.manual_seed(3)
    whole = sample(model, prompts, settings(), adapter=None, batch_size=24)
    model.cut_ids = (ask,)
    again = cut_at_stop(model, whole.ids)
    assert torch.equal(again.ids, cut.ids)
    assert any((row == ask).any() for row in cut.ids)
    with pytest.raises(ModelError, match="no token for 'nonsense'"):
        model.chat.ids_that_are("nonsense")


def test_positions_of_padding_are_not_those_of_packed_sequences(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    """transformers takes repeated positions without a mask for several sequences in one row."""
    prompts = prompts_for(model, image_files)
    batch = Batch.pad(prompts, pad_id=PAD, device=model.device, side="right")
    inputs = model.positioned_inputs(batch)
    assert inputs["attention_mask"] is None
    assert find_packed_sequence_indices(inputs["position_ids"]) is None


def test_padding_that_counts_has_one_hidden_state(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    """In measuring, behind a prefix, and in updating, whatever the length of the prompts."""
    prompts = prompts_for(model, image_files)
    ids = torch.full((3, 6), PAD)
    ids[0, :3], ids[1, :5], ids[2, :1] = 9, 10, 11
    mask, slots = (ids != PAD).long(), torch.ones(3, 6, dtype=torch.long)
    updating = response_hidden(model, None, prompts, ids, mask, slots=slots)
    prefix = prompt_prefix(model, None, prompts)
    measuring = response_hidden(model, None, prompts, ids, mask, slots=slots, prefix=prefix)
    torch.testing.assert_close(updating, measuring, rtol=0, atol=1e-6)
    for row, prompt in enumerate(prompts):  # and that of a plain pass over the padded row
        batch = Batch.pad([prompt], pad_id=PAD, device=model.device, side="right")
        inputs = model.model_inputs(batch)
        inputs["input_ids"] = torch.cat([batch.input_ids, ids[row : row + 1]], dim=1)
        inputs["attention_mask"] = torch.cat([batch.attention_mask, mask[row : row + 1]], dim=1)
        plain = model.run(**inputs, use_cache=False)[0, len(prompt) - 1 : -1]
        torch.testing.assert_close(updating[row], plain, rtol=0, atol=1e-5)
