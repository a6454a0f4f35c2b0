"""LLaVAs with random weights: one for a GPU, and small ones in the same proportions.

The small one's vision tower and vocabulary cost about the share of the language model's work that
they do in LLaVA-1.5-7B (5 and 2 %). In all of them so many tokens end
a response that responses take a sixth of the slots on average, as 150 of the paper's 896 do.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
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
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from tests.training.rlhf.tiny import CHAT_TEMPLATE, SPECIAL
from training.rlhf.contract import LoraSettings
from training.rlhf.models import VisionLanguageModel

PHRASES = ("USER:", "ASSISTANT:")
LORA = LoraSettings(rank=16, alpha=16)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a LLaVA; those left out are those of LLaVA-1.5-7B."""

    hidden: int = 4096
    intermediate: int = 11008
    layers: int = 32
    heads: int = 32
    vocabulary: int = 32064
    vision_hidden: int = 1024
    vision_layers: int = 24
    vision_heads: int = 16
    image_size: int = 336
    patch_size: int = 14

    @classmethod
    def small(cls, *, hidden: int, layers: int, vocabulary: int, image_size: int = 84) -> Shape:
        """In patches of 4 pixels: 441 tokens an image of 84, 576, as in the paper, one of 96."""
        return cls(
            hidden=hidden,
            intermediate=hidden * 43 // 16,
            layers=layers,
            heads=4,
            vocabulary=vocabulary,
            vision_hidden=hidden // 4,
            vision_layers=max(layers * 3 // 4, 2),
            vision_heads=2,
            image_size=image_size,
            patch_size=4,
        )

    @property
    def image_tokens(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    def config(self) -> LlavaConfig:
        return LlavaConfig(
            vision_config=CLIPVisionConfig(
                hidden_size=self.vision_hidden,
                intermediate_size=4 * self.vision_hidden,
                num_hidden_layers=self.vision_layers,
                num_attention_heads=self.vision_heads,
                image_size=self.image_size,
                patch_size=self.patch_size,
            ),
            text_config=LlamaConfig(
                vocab_size=self.vocabulary,
                hidden_size=self.hidden,
                intermediate_size=self.intermediate,
                num_hidden_layers=self.layers,
                num_attention_heads=self.heads,
                max_position_embeddings=4096,
                initializer_range=0.02 if self.hidden > 1000 else 0.06,
                bos_token_id=1,
                eos_token_id=2,
                pad_token_id=0,
            ),
            image_token_id=SPECIAL.index("<image>"),
            vision_feature_select_strategy="default",
            vision_feature_layer=-2,
            image_seq_length=self.image_tokens,
        )

    def base(self) -> LlavaForConditionalGeneration:
        """Random weights on torch's default device and in its default type."""
        torch.manual_seed(0)
        return LlavaForConditionalGeneration(self.config()).eval()

    def processor(self) -> LlavaProcessor:
        """Word level: each token is ``wN``."""
        words = [f"w{number}" for number in range(self.vocabulary - len(SPECIAL) - len(PHRASES))]
        vocabulary = {word: number for number, word in enumerate([*SPECIAL, *PHRASES, *words])}
        tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
        tokenizer.pre_tokenizer = WhitespaceSplit()
        size = {"height": self.image_size, "width": self.image_size}
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
            patch_size=self.patch_size,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
            chat_template=CHAT_TEMPLATE,
        )


def qwen_32b() -> Qwen2_5_VLForConditionalGeneration:
    """In the shape of Qwen2.5-VL-32B, on torch's default device and in its default type."""
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 5120,
            "intermediate_size": 27648,
            "num_hidden_layers": 64,
            "num_attention_heads": 40,
            "num_key_value_heads": 8,
            "vocab_size": 152064,
            "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24]},
        },
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3456,
            "num_heads": 16,
            "out_hidden_size": 5120,
        },
        tie_word_embeddings=False,
    )
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def llava_34b() -> LlavaForConditionalGeneration:
    """In the shape of LLaVA-1.6-34B, whose language model is a Yi-34B."""
    config = Shape(hidden=7168, intermediate=20480, layers=60, heads=56, vocabulary=64064).config()
    config.text_config.num_key_value_heads = 8
    return LlavaForConditionalGeneration(config).eval()


LARGE = {"qwen2.5-vl-32b": qwen_32b, "llava-34b": llava_34b}
"""Bases that fit no GPU of 80 GiB together with what training takes."""


def model(shape: Shape) -> VisionLanguageModel:
    """On the CPU, in float32."""
    return VisionLanguageModel(shape.base(), shape.processor(), device=torch.device("cpu"))


def shorten(made: VisionLanguageModel, shape: Shape, *, slots: int) -> None:
    """Let so many tokens end a response that it takes a sixth of ``slots`` on average."""
    ending = max(shape.vocabulary * 6 // slots, 1)
    first = shape.vocabulary - ending
    made.stop_ids = (SPECIAL.index("</s>"), *range(first, shape.vocabulary))


def disturb(parameters: dict[str, torch.nn.Parameter]) -> None:
    """Make an adapter matter: its B matrices start at zero."""
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(torch.randn_like(parameter) * 0.02)


def images(folder: Path, count: int, size: int) -> list[Path]:
    """Pictures of one colour each."""
    files = []
    for number in range(count):
        files.append(folder / f"{number}.png")
        colour = (number * 37 % 256, 80, 160)
        Image.new("RGB", (size, size), colour).save(files[-1])
    return files


def text(words: int, vocabulary: int, seed: int) -> str:
    """Random words that the model knows and that end no response."""
    generator = random.Random(seed)
    return " ".join(f"w{generator.randrange(vocabulary // 2)}" for _ in range(words))
