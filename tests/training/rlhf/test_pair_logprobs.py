from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training.rlhf.answers import answered
from training.rlhf.contract import LoraSettings, PreferencePair
from training.rlhf.images import EncodedImage
from training.rlhf.models import VisionLanguageModel
from training.rlhf.pair_logprobs import pair_logprobs


def make_pair(one: str, two: str) -> PreferencePair:
    return PreferencePair.from_json(
        {
            "id": "p",
            "image": "i",
            "conversations": [{"from": "human", "value": "<image>\nwhat is there ?"}],
            "output_1": {"from": "a", "value": one},
            "output_2": {"from": "b", "value": two},
            "preference": 1,
        }
    )


def examples(model, pair: PreferencePair, image: EncodedImage, *, max_length: int):  # type: ignore[no-untyped-def]
    outputs = (pair.output_1, pair.output_2)
    return tuple(answered(model, pair, image, outputs, max_length=max_length))


@torch.no_grad()
def test_log_probabilities_are_those_of_the_plain_model(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    model.add_adapter("policy", LoraSettings(rank=4, alpha=4))
    [image] = model.encode_images(image_files[:1])
    pair = make_pair("a red circle", "a blue cross and a green square")
    one, two = examples(model, pair, image, max_length=64)
    found = pair_logprobs(model, [(one, two)])
    for example, logprob in zip((one, two), found[0].tolist(), strict=True):
        prompt, answer = example.prompt, example.ids
        inputs = {
            "input_ids": torch.tensor([prompt.ids + answer]),
            "pixel_values": model.processor.image_processor(
                images=[str(image_files[0])], return_tensors="pt"
            )["pixel_values"],
        }
        logits = model.base(**inputs).logits[0, len(prompt.ids) - 1 : -1].log_softmax(-1)
        plain = logits.gather(1, torch.tensor(answer)[:, None]).sum()
        assert logprob == pytest.approx(float(plain), abs=1e-4)
        assert answer[-1] == model.chat.end_id


def test_answer_that_is_cut_has_no_end_token(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    [image] = model.encode_images(image_files[:1])
    pair = make_pair("a red circle", "a blue cross and a green square")
    prompt = examples(model, pair, image, max_length=64)[0].prompt
    one, two = examples(model, pair, image, max_length=model.chat.text_length(prompt) + 4)
    assert one.ids[-1] == model.chat.end_id  # three words and the end
    assert len(two.ids) == 4 and model.chat.end_id not in two.ids
