"""A LLaVA with random weights in the proportions of LLaVA-1.5-7B, small enough for a CPU.

Vision tower and vocabulary cost about the share of the language model's work that they do there (5
and 2 %), an image is 441 tokens, and so many tokens end a response that responses take a sixth of
the slots on average, as 150 of the paper's 896 do.
"""

from __future__ import annotations

import random
from pathlib import Path

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

from tests.training.rlhf.tiny import CHAT_TEMPLATE, SPECIAL
from training.rlhf.contract import LoraSettings
from training.rlhf.models import VisionLanguageModel

IMAGE_SIZE, PATCH_SIZE = 84, 4
PHRASES = ("USER:", "ASSISTANT:", "rate", "facts")
LORA = LoraSettings(rank=16, alpha=16)


def model(*, hidden: int, layers: int, vocabulary: int, slots: int) -> VisionLanguageModel:
    """On the CPU, in float32."""
    torch.manual_seed(0)
    words = [f"w{number}" for number in range(vocabulary - len(SPECIAL) - len(PHRASES))]
    base = LlavaForConditionalGeneration(_config(hidden, layers, vocabulary)).eval()
    made = VisionLanguageModel(base, _processor([*PHRASES, *words]), device=torch.device("cpu"))
    ending = max(vocabulary * 6 // slots, 1)  # tokens that end a response
    made.stop_ids = (SPECIAL.index("</s>"), *range(vocabulary - ending, vocabulary))
    return made


def disturb(parameters: dict[str, torch.nn.Parameter]) -> None:
    """Make an adapter matter: its B matrices start at zero."""
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(torch.randn_like(parameter) * 0.02)


def images(folder: Path, count: int) -> list[Path]:
    """Pictures of one colour each."""
    files = []
    for number in range(count):
        files.append(folder / f"{number}.png")
        colour = (number * 37 % 256, 80, 160)
        Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), colour).save(files[-1])
    return files


def text(words: int, vocabulary: int, seed: int) -> str:
    """Random words that the model knows and that end no response."""
    generator = random.Random(seed)
    return " ".join(f"w{generator.randrange(vocabulary // 2)}" for _ in range(words))


def _config(hidden: int, layers: int, vocabulary: int) -> LlavaConfig:
    # 7B: 32 layers 4096 wide behind a tower of 24 layers 1024 wide
    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=hidden // 4,
            intermediate_size=hidden,
            num_hidden_layers=max(layers * 3 // 4, 2),
            num_attention_heads=2,
            image_size=IMAGE_SIZE,
            patch_size=PATCH_SIZE,
        ),
        text_config=LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=hidden,
            intermediate_size=hidden * 43 // 16,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=4096,
            initializer_range=0.06,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        ),
        image_token_id=SPECIAL.index("<image>"),
        vision_feature_select_strategy="default",
        vision_feature_layer=-2,
        image_seq_length=(IMAGE_SIZE // PATCH_SIZE) ** 2,
    )


def _processor(words: list[str]) -> LlavaProcessor:
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size=size, crop_size=size),
        tokenizer=PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            bos_token="<s>",
            eos_token="</s>",
            unk_token="<unk>",
            pad_token="<pad>",
            extra_special_tokens={"image_token": "<image>"},
        ),
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
