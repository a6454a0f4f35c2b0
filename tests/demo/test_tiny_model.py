"""The tiny LLaVA is an ordinary one: tokens, pictures and turns go where the engine expects."""

from random import Random

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from demo.lessons import FACTS_INTRODUCTION, RATING_PROMPT
from demo.scenes import random_scene, render
from demo.tiny_model import IMAGE, IMAGE_TOKENS, VOCABULARY, build_model, build_processor
from demo.world import questions


@pytest.fixture(scope="module")
def processor():
    return build_processor()


def tokens(processor, text: str) -> list[str]:
    tokenizer = processor.tokenizer
    return tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])


def test_vocabulary_has_no_word_twice() -> None:
    assert len(set(VOCABULARY)) == len(VOCABULARY)


def test_tokenizer_takes_whole_words_and_marks(processor) -> None:
    assert tokens(processor, "Top-left red circle.") == ["top-left", "red circle", "."]
    assert tokens(processor, "red circles? blue") == ["red", "circles", "?", "blue"]


def test_tokenizer_knows_every_word_of_the_world(processor) -> None:
    texts = [FACTS_INTRODUCTION, RATING_PROMPT, "- "]
    texts += [text for q in questions(20, seed=0) for text in (q["question"], q["gt_answer"])]
    assert not any("<unk>" in tokens(processor, text) for text in texts)
    assert tokens(processor, "purple") == ["<unk>"]


def test_tokenizer_gives_a_caption_back(processor) -> None:
    text = "top-left red circle and bottom blue square."
    ids = processor.tokenizer(text)["input_ids"]
    assert processor.tokenizer.decode(ids, skip_special_tokens=True) == text


def test_chat_template_marks_turns_and_image(processor) -> None:
    messages = [
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": "Describe the image."}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "top red circle."}]},
        {"role": "user", "content": RATING_PROMPT},
    ]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    expected = "<bos> <user> <image> describe the image . <assistant> top red_circle . <eos> "
    expected += "<user> how many are wrong ? <assistant>"
    assert tokens(processor, text) == [word.replace("_", " ") for word in expected.split()]


def test_processor_shrinks_shown_pictures_to_what_was_taught(processor) -> None:
    scene = random_scene(Random(0))
    small, large = (
        processor(images=render(scene, cell_pixels=size), text=IMAGE, return_tensors="pt")
        for size in (18, 72)
    )
    assert small["pixel_values"].shape == (1, 3, 54, 54)
    assert small["input_ids"].shape[1] == IMAGE_TOKENS
    assert (small["pixel_values"] - large["pixel_values"]).abs().mean() < 0.01


def test_model_and_processor_survive_a_folder(tmp_path, processor) -> None:
    torch.manual_seed(0)
    model = build_model()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 5_000_000
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    inputs = again(
        images=render(random_scene(Random(1))),
        text=f"<bos><user>{IMAGE} describe",
        return_tensors="pt",
    )
    with torch.no_grad():
        before, after = model(**inputs).logits, loaded(**inputs).logits
    assert torch.equal(before, after)
    assert before.shape == (1, IMAGE_TOKENS + 3, len(VOCABULARY))
