"""The architecture of the small world's base model: a LLaVA of about 0.8 million weights.

An ordinary ``LlavaForConditionalGeneration`` with processor and chat template, so the engine
treats it like any other. Only the sizes differ: one vision patch covers one cell of the picture,
and the tokenizer knows 83 whole words, "red circle" and its like among them. With colour and shape
as two words, finding the second means going back over the first to the place before it; that took
the tiny model longer to learn than everything else together.
"""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from benchmark.protocols.small_world import BACKGROUNDS, COLORS, NUMBERS, POSITIONS, SHAPES
from demo.questions import LETTERS
from demo.scenes import CELL_PIXELS, GRID

PAD, BOS, EOS, UNKNOWN, IMAGE = "<pad>", "<bos>", "<eos>", "<unk>", "<image>"
USER, ASSISTANT = "<user>", "<assistant>"
PICTURE_PIXELS = GRID * CELL_PIXELS
IMAGE_TOKENS = GRID * GRID
LOOK_BACK_SIZE = 6.0
HANDED_SIZE = 0.3
MATCH_SIZE = 2.0
LEAST_SHARP_FREQUENCY = 0.1

_SPECIAL = (PAD, BOS, EOS, UNKNOWN, IMAGE)
_MARKS = (".", "?", ":", "-")
_CAPTION_WORDS = ("describe", "the", "image", "and", "facts")
_QUESTION_WORDS = ("what", "where", "how", "many", "are", "is", "at", "color", "background", "like")
_COMPARING_WORDS = ("there", "more", "or", "same", "wrong", "objects")
_ANSWER_WORDS = ("yes", "no", "nothing")
_LOOKS = tuple(f"{color} {shape}" for color in COLORS for shape in SHAPES)
_PLURALS = tuple(f"{shape}s" for shape in SHAPES)
VOCABULARY = (
    *_SPECIAL,
    USER,
    ASSISTANT,
    *_MARKS,
    *_CAPTION_WORDS,
    *_QUESTION_WORDS,
    *_COMPARING_WORDS,
    *_ANSWER_WORDS,
    *POSITIONS,
    *COLORS,
    *SHAPES,
    *_LOOKS,
    *_PLURALS,
    *BACKGROUNDS,
    *NUMBERS,
)

LATER_WORDS = ("behind", "so", "correct", "option", *LETTERS)
"""What answers in claims need; the base learns them after its schooling."""

# The turn marks are ordinary words: a response that contains one shows it, and is not a caption.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message.role == 'user' %}<user> {% else %}<assistant> {% endif %}"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>\n{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message.role == 'user' %}\n{% else %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, case ignored; ``top-left`` and ``red circle`` are words, marks too."""
    ids = {word: index for index, word in enumerate((*VOCABULARY, *LATER_WORDS))}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    look = rf"(?:{'|'.join(COLORS)}) (?:{'|'.join(SHAPES)})\b"
    word = Regex(rf"<[a-z]+>|{look}|[a-z]+(?:-[a-z]+)?|[^\sa-z]")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(word, behavior="removed", invert=True)
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    # The letters of options stay capital, for the rule that rewards them is strict about it.
    tokenizer.add_tokens([AddedToken(x, single_word=True, normalized=False) for x in LETTERS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        additional_special_tokens=[IMAGE],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def build_processor() -> LlavaProcessor:
    """Pictures of any size become 54 pixels square; each gives nine image tokens."""
    images = CLIPImageProcessorPil(
        size={"height": PICTURE_PIXELS, "width": PICTURE_PIXELS},
        crop_size={"height": PICTURE_PIXELS, "width": PICTURE_PIXELS},
        do_center_crop=False,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=build_tokenizer(),
        patch_size=CELL_PIXELS,
        vision_feature_select_strategy="default",
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
        num_additional_image_tokens=1,
    )


def add_later_words(model: LlavaForConditionalGeneration) -> None:
    """Fresh embeddings for the words after the schooling, from torch's global random state."""
    model.resize_token_embeddings(len(VOCABULARY) + len(LATER_WORDS), mean_resizing=False)


def build_model() -> LlavaForConditionalGeneration:
    """Fresh weights from torch's global random state; ``LATER_WORDS`` are not among them yet."""
    vision = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=PICTURE_PIXELS,
        patch_size=CELL_PIXELS,
        projection_dim=64,
    )
    text = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        attention_bias=True,
        tie_word_embeddings=True,
        initializer_range=0.05,  # 0.02 of larger models leaves tied embeddings too small to learn
        pad_token_id=VOCABULARY.index(PAD),
        bos_token_id=VOCABULARY.index(BOS),
        eos_token_id=VOCABULARY.index(EOS),
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=VOCABULARY.index(IMAGE),
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    _start_with_copying_heads(model.model.language_model.layers, config.text_config)
    return model


@torch.no_grad()
def _start_with_copying_heads(layers: Any, config: Any) -> None:
    """Lets three heads begin as the chain that checks a word against what was said before.

    The first head of the first layer hands every token the word before it. The first head of the
    second layer attends from a word to tokens that were handed the same word, and so finds what
    followed it before. The first head of the third layer looks back one token, to compare what
    was found with what came. Language models form such heads by themselves, but one this small
    needs thousands of steps for it, and cannot check anything against written facts until it has.
    """
    words, handed = _two_subspaces(config.hidden_size, config.head_dim // 2)
    back, match = layers[0].self_attn, layers[1].self_attn
    for attention in (back, layers[2].self_attn):
        _attend_to_previous_token(attention, config)
    head, half = slice(config.head_dim), config.head_dim // 2
    back.v_proj.weight[head] = 0
    back.o_proj.weight[:, head] = 0
    back.v_proj.weight[:half] = words
    back.o_proj.weight[:, :half] = HANDED_SIZE * handed.T
    slow = [row for row in range(config.head_dim) if row % half >= half // 2]  # hardly rotated
    for projection, subspace in ((match.q_proj, words), (match.k_proj, handed)):
        projection.weight[head] = 0
        projection.weight[slow] = MATCH_SIZE * subspace


def _attend_to_previous_token(attention: Any, config: Any) -> None:
    """Constant queries and keys whose score is greatest one token back.

    Rotary position ``n`` turns the pair ``(i, i + width / 2)`` by ``n f_i``. With queries
    ``(a, 0)`` and keys ``(a cos f_i, a sin f_i)`` a token ``d`` places back scores the sum of
    ``a^2 cos((d - 1) f_i)``.
    """
    half = config.head_dim // 2
    frequencies = config.rope_parameters["rope_theta"] ** (-torch.arange(half) / half)
    sharp = frequencies > LEAST_SHARP_FREQUENCY
    rows, angles = torch.arange(half)[sharp], frequencies[sharp]
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight[: config.head_dim] = 0
        projection.bias[: config.head_dim] = 0
    attention.q_proj.bias[rows] = LOOK_BACK_SIZE
    attention.k_proj.bias[rows] = LOOK_BACK_SIZE * angles.cos()
    attention.k_proj.bias[rows + half] = LOOK_BACK_SIZE * angles.sin()


def _two_subspaces(width: int, size: int) -> tuple[Tensor, Tensor]:
    """Two random projections ``[size, width]`` with orthonormal rows, orthogonal to each other."""
    rows = torch.linalg.qr(torch.randn(width, 2 * size))[0].T
    return rows[:size], rows[size:]
