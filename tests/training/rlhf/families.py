"""Today's families of vision-language models with tiny random weights, as folders on disk.

Each has the family's own model, image processor and processor classes; only sizes and vocabulary
are small. Image processors are those without torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3Processor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.utils import is_torchvision_available

from tests.training.rlhf import tiny
from training.rlhf.library_internals import images_only

PATCH = 4
SIDE = 8
"""Pixels of a tile: two patches wide and high."""

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 2048,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
SIGHT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
}


def _tokenizer(**special: str) -> PreTrainedTokenizerFast:
    extra = [token for token in special.values() if token not in tiny.SPECIAL]
    words = [*tiny.SPECIAL, *tiny.WORDS, *extra]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokens = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokens.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens=special,
    )


def _template(image: str) -> str:
    return tiny.CHAT_TEMPLATE.replace("<image>", image)


def _save(base: Any, processor: Any, folder: Path) -> Path:
    base.eval().save_pretrained(folder)
    with images_only():
        processor.save_pretrained(folder)
    return folder


def llava(folder: Path) -> Path:
    return tiny.save_base(folder)


def llava_onevision(folder: Path) -> Path:
    tokenizer = _tokenizer(image_token="<image>", video_token="<video>")
    with images_only():
        processor = LlavaOnevisionProcessor(
            image_processor=LlavaOnevisionImageProcessorPil(
                size={"height": SIDE, "width": SIDE},
                image_grid_pinpoints=[[SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, SIDE]],
            ),
            tokenizer=tokenizer,
            num_image_tokens=(SIDE // PATCH) ** 2,
            vision_feature_select_strategy="full",
            chat_template=_template("<image>"),
        )
    torch.manual_seed(0)
    config = LlavaOnevisionConfig(
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **SIGHT},
        text_config={"model_type": "qwen2", "vocab_size": len(tokenizer), **TEXT},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<video>"),
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        image_grid_pinpoints=[[SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, SIDE]],
        initializer_range=0.2,
        tie_word_embeddings=False,
    )
    return _save(LlavaOnevisionForConditionalGeneration(config), processor, folder)


_QWEN_TOKENS = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start": "<|vision_start|>",
    "vision_end": "<|vision_end|>",
}
_QWEN_TEMPLATE = _template("<|vision_start|><|image_pad|><|vision_end|>")


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    return {
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }


def _qwen_processor(cls: Any, tokenizer: Any) -> Any:
    videos = {}
    if is_torchvision_available():  # then the class insists on its part for videos
        from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
        from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

        kind = Qwen3VLVideoProcessor if cls is Qwen3VLProcessor else Qwen2VLVideoProcessor
        videos = {"video_processor": kind(patch_size=PATCH, merge_size=2, temporal_patch_size=2)}
    with images_only():
        return cls(
            image_processor=Qwen2VLImageProcessorPil(
                patch_size=PATCH,
                merge_size=2,
                temporal_patch_size=2,
                size={"shortest_edge": 4 * SIDE * SIDE, "longest_edge": 8 * SIDE * SIDE},
            ),
            tokenizer=tokenizer,
            chat_template=_QWEN_TEMPLATE,
            **videos,
        )


def _wider(head: int) -> dict[str, int]:
    """``TEXT`` with attention heads so wide: programs with kernels of their own need 32."""
    return TEXT | {"hidden_size": 4 * head, "head_dim": head}


def _mrope(head: int) -> list[int]:
    return [head // 4, head // 8, head // 8]


def qwen2_5_vl(folder: Path, *, head: int = 8) -> Path:
    tokenizer = _tokenizer(**_QWEN_TOKENS)
    torch.manual_seed(0)
    rope = {"rope_type": "default", "mrope_section": _mrope(head), "rope_theta": 10_000.0}
    config = Qwen2_5_VLConfig(
        text_config={"vocab_size": len(tokenizer), "rope_parameters": rope, **_wider(head)},
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 4 * head,
            "patch_size": PATCH,
            "window_size": 2 * SIDE,
            "fullatt_block_indexes": [1],
            "initializer_range": 0.2,
        },
        **_qwen_ids(tokenizer),
        tie_word_embeddings=False,
    )
    base = Qwen2_5_VLForConditionalGeneration(config)
    return _save(base, _qwen_processor(Qwen2_5_VLProcessor, tokenizer), folder)


def qwen3_vl(folder: Path, *, head: int = 8) -> Path:
    tokenizer = _tokenizer(**_QWEN_TOKENS)
    torch.manual_seed(0)
    rope = {
        "rope_type": "default",
        "mrope_section": _mrope(head),
        "mrope_interleaved": True,
        "rope_theta": 10_000.0,
    }
    config = Qwen3VLConfig(
        text_config={"vocab_size": len(tokenizer), "rope_parameters": rope, **_wider(head)},
        vision_config={
            "depth": 3,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 4 * head,
            "patch_size": PATCH,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0, 1],
            "initializer_range": 0.2,
        },
        **_qwen_ids(tokenizer),
        tie_word_embeddings=False,
    )
    base = Qwen3VLForConditionalGeneration(config)
    return _save(base, _qwen_processor(Qwen3VLProcessor, tokenizer), folder)


def gemma3(folder: Path) -> Path:
    tokenizer = _tokenizer(
        boi_token="<start_of_image>",
        eoi_token="<end_of_image>",
        image_token="<image_soft_token>",
    )
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE}),
        tokenizer=tokenizer,
        image_seq_length=(SIDE // PATCH) ** 2,
        chat_template=_template("<start_of_image>"),
    )
    torch.manual_seed(0)
    config = Gemma3Config(
        text_config={
            "vocab_size": len(tokenizer),
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"],
            "query_pre_attn_scalar": 8,
            **TEXT,
        },
        vision_config={"vision_use_head": False, **SIGHT},
        mm_tokens_per_image=(SIDE // PATCH) ** 2,
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
        initializer_range=0.2,
    )
    base = Gemma3ForConditionalGeneration(config)
    torch.nn.init.normal_(base.model.multi_modal_projector.mm_input_projection_weight)
    return _save(base, processor, folder)


def _idefics_parts() -> tuple[Any, Any]:
    rows = {f"row_{r}_{c}": f"<row_{r}_col_{c}>" for r in (1, 2) for c in (1, 2)}
    tokenizer = _tokenizer(
        image_token="<image>",
        fake_image_token="<fake_token_around_image>",
        global_image_token="<global-img>",
        end_of_utterance_token="<end_of_utterance>",
        **rows,
    )
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessorPil(
            size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}
        ),
        tokenizer=tokenizer,
        image_seq_len=1,
        chat_template=_template("<image>"),
    )
    return tokenizer, processor


def _idefics_config(cls: Any, tokenizer: Any) -> Any:
    return cls(
        vision_config=SIGHT | {"initializer_range": 0.2},
        text_config={"model_type": "llama", "vocab_size": len(tokenizer), **TEXT},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
        initializer_range=0.2,
    )


def idefics3(folder: Path) -> Path:
    tokenizer, processor = _idefics_parts()
    torch.manual_seed(0)
    config = _idefics_config(Idefics3Config, tokenizer)
    return _save(Idefics3ForConditionalGeneration(config), processor, folder)


def smolvlm(folder: Path) -> Path:
    """SmolVLM's model; its processor is Idefics3's, as in its first release."""
    tokenizer, processor = _idefics_parts()
    torch.manual_seed(0)
    config = _idefics_config(SmolVLMConfig, tokenizer)
    return _save(SmolVLMForConditionalGeneration(config), processor, folder)


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "llava": llava,
    "llava_onevision": llava_onevision,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "gemma3": gemma3,
    "idefics3": idefics3,
    "smolvlm": smolvlm,
}
