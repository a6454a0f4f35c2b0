"""The architecture of the small world's base model: a LLaVA of about 0.8 million weights.

An ordinary ``LlavaForConditionalGeneration`` with processor and chat template, so the engine
treats it like any other. Only the sizes differ: one vision patch covers one cell of the picture,
and the tokenizer knows whole words, about eighty.
"""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from benchmark.small_world import BACKGROUNDS, COLORS, NUMBERS, POSITIONS, SHAPES
from demo.scenes import CELL_PIXELS, GRID

PAD, BOS, EOS, UNKNOWN, IMAGE = "<pad>", "<bos>", "<eos>", "<unk>", "<image>"
USER, ASSISTANT = "<user>", "<assistant>"
PICTURE_PIXELS = GRID * CELL_PIXELS
IMAGE_TOKENS = GRID * GRID

_SPECIAL = (PAD, BOS, EOS, UNKNOWN, IMAGE)
_MARKS = (".", "?", ":", "-")
_CAPTION_WORDS = ("describe", "the", "image", "and", "facts")
_QUESTION_WORDS = ("what", "where", "how", "many", "are", "is", "at", "color", "background", "like")
_COMPARING_WORDS = ("there", "more", "or", "same", "wrong", "objects")
_ANSWER_WORDS = ("yes", "no", "nothing")
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
    *_PLURALS,
    *BACKGROUNDS,
    *NUMBERS,
)

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
    """One token a word, case ignored; ``top-left`` is one word, marks stand alone."""
    ids = {word: index for index, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    word = Regex(r"<[a-z]+>|[a-z]+(?:-[a-z]+)?|[^\sa-z]")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(word, behavior="removed", invert=True)
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
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


def build_model() -> LlavaForConditionalGeneration:
    """Fresh weights from torch's global random state."""
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
    return LlavaForConditionalGeneration(config)
