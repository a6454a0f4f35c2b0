"""A whole vision-language model of 27,000 random weights, made in memory, plus its data.

The classes are the published LLaVA-1.5 ones, so a test that passes here passes on the real thing
up to size: the vocabulary is word level, the image is 8 x 8 pixels of four patches.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
WORDS = [
    *(
        [
            "what",
            "is",
            "there",
            "a",
            "red",
            "blue",
            "green",
            "circle",
            "square",
            "cross",
            "no",
            "yes",
            "and",
            ".",
            "?",
        ]
    ),
    *(["USER:", "ASSISTANT:", "facts", "rate", ":", "top", "left", "right"]),
]
IMAGE_SIZE = 8
PATCH_SIZE = 4

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ ' ' + message['role'].upper() + ': ' }}"
    "{% for item in message['content'] %}"
    "{% if item['type'] == 'image' %}{{ '<image> ' }}{% else %}{{ item['text'] }}{% endif %}"
    "{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}"
)


def tokenizer(*, pad_token: str = "<pad>") -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token=pad_token,
        extra_special_tokens={"image_token": "<image>"},
    )


def processor(*, pad_token: str = "<pad>", image_size: int = IMAGE_SIZE) -> LlavaProcessor:
    size = {"height": image_size, "width": image_size}
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size=size, crop_size=size),
        tokenizer=tokenizer(pad_token=pad_token),
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def model(
    *,
    seed: int = 0,
    hidden_size: int = 32,
    layers: int = 2,
    image_size: int = IMAGE_SIZE,
    vocabulary: int = len(SPECIAL) + len(WORDS),
) -> LlavaForConditionalGeneration:
    torch.manual_seed(seed)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=image_size,
            patch_size=PATCH_SIZE,
        ),
        text_config=LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=hidden_size,
            intermediate_size=2 * hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            initializer_range=0.2,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        ),
        image_token_id=SPECIAL.index("<image>"),
        vision_feature_select_strategy="default",
        vision_feature_layer=-2,
        image_seq_length=(image_size // PATCH_SIZE) ** 2,
        initializer_range=0.2,
    )
    return LlavaForConditionalGeneration(config).eval()


def save_base(folder: Path, *, seed: int = 0) -> Path:
    """Write model and processor as a Hugging Face folder; returns ``folder``."""
    model(seed=seed).save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220), "green": (40, 180, 60)}
SHAPES = ("circle", "square", "cross")


def save_images(folder: Path, *, count: int) -> list[str]:
    """Write ``count`` plain pictures; returns their names, which carry their colour."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(count):
        colour = list(COLOURS)[number % len(COLOURS)]
        name = f"{number:03d}-{colour}.png"
        Image.new("RGB", (10, 12), COLOURS[colour]).save(folder / name)
        names.append(name)
    return names


def wire_turns(question: str = "what is there ?", answer: str = "") -> list[dict[str, str]]:
    return [
        {"from": "human", "value": f"<image>\n{question}"},
        {"from": "gpt", "value": answer},
    ]


def preference_records(names: list[str], *, seed: int = 0) -> list[dict[str, Any]]:
    """Pairs in which the better output names the colour of the image."""
    generator = random.Random(seed)
    records = []
    for number, name in enumerate(names):
        colour = name.rpartition("-")[2].removesuffix(".png")
        wrong = generator.choice([other for other in COLOURS if other != colour])
        preference = generator.choice([1, 2])
        better, worse = f"a {colour} circle", f"a {wrong} circle and a {wrong} cross"
        outputs = (better, worse) if preference == 1 else (worse, better)
        records.append(
            {
                "id": f"pair-{number}",
                "image": name,
                "conversations": wire_turns(),
                "output_1": {"from": "a", "value": outputs[0]},
                "output_2": {"from": "b", "value": outputs[1]},
                "preference": preference,
                "captions": [f"a {colour} circle", f"there is a {colour} circle", "yes"],
                "votes": {"1": 2, "2": 1, "tie": 0},
                "margin": 0.33,
            }
        )
    return records


def text_alone(record: dict[str, Any]) -> dict[str, Any]:
    """The record without its image and the place of it."""
    turns = [{**t, "value": t["value"].replace("<image>", "")} for t in record["conversations"]]
    return {name: record[name] for name in record if name != "image"} | {"conversations": turns}


def prompt_records(names: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"prompt-{number}",
            "image": name,
            "conversations": wire_turns("what is there ?" if number % 2 else "is there a cross ?"),
            "captions": ["a red circle"],
            "caption_type": 1 if number % 2 else 6,
        }
        for number, name in enumerate(names)
    ]


def conversation_records(names: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"conversation-{number}",
            "image": name,
            "conversations": wire_turns(answer="yes" if number % 3 else "a red circle and a cross"),
        }
        for number, name in enumerate(names)
    ]


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
