"""Small questions about text that people send."""

from __future__ import annotations

import re
import unicodedata

from config.sanitising import normalized

LONGEST_TEXT = 100_000
"""Characters of a turn, an answer or a correction."""

# Families of models whose name in a response would tell an annotator what they are judging.
MODEL_NAME = re.compile(
    r"\b(llava|gpt-?\s?[345]\w*|chatgpt|openai|claude|anthropic|gemini|bard|idefics|instructblip"
    r"|blip-?2|minigpt-?4|qwen\S*|minicpm\S*|internvl\S*|vicuna|llama|mistral|kosmos-?\d?|fuyu"
    r"|smolvlm|gemma)\b",
    re.IGNORECASE,
)
_FAMILIES = (
    *("llava", "gpt", "openai", "claude", "anthropic", "gemini", "bard", "idefics", "blip"),
    *("qwen", "minicpm", "internvl", "vicuna", "llama", "mistral", "kosmos", "fuyu", "smolvlm"),
    "gemma",
)
"""What a name of one holds at least: looked for first, which takes a tenth of the time."""

# What shows as nothing, though it is no white space and no format character: fillers and joiners.
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_INVISIBLE = frozenset(("Cc", "Cf", "Zs", "Zl", "Zp"))
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SPECIAL_TOKEN = re.compile(
    r"(?:</?s>|<\uff5c[a-z\u2581]{2,28}\uff5c>|<(?:bos|eos|pad|unk|mask)>|<\|[A-Za-z][A-Za-z0-9_]{1,28}\|>|<(?:start|end)_of_[a-z]{1,12}>"
    r"|<fake_token_around_image>|<row_\d{1,2}_col_\d{1,2}>|<global-img>|\[/?(?:INST|EOS|PAD)\])\Z",
    re.IGNORECASE,
)
_LONGEST_TOKEN = 34
_TOKEN_BEFORE = re.compile(
    r"\s{0,9}(<(?:s|bos)>|<\uff5cbegin\u2581of\u2581sentence\uff5c>|<\|begin_of_text\|>|\[BOS\])",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"\s{0,9}(?:<\|[a-z_]{1,20}\|>\s{0,3}|#{1,6} {0,3}|\*\*)?"
    r"((?:assistant|gpt|chatbot|bot|human|user)\b(?=[*|>]{0,2} {0,2}:|\n)"
    r"|<\|(?:assistant|im_start)\|>)",
    re.IGNORECASE,
)
_MEDIA = re.compile(
    r"</?(?:image|video|audio|speech|img)(?:[ _]?[0-9]{1,3})?>|<ImageHere>|\[IMG\]"
    r"|<\|(?:image|video|audio|vision)(?:_[0-9a-z]{1,8})?\|>|<start_of_image>|<image_soft_token>",
    re.IGNORECASE,
)


def is_visible(text: str) -> bool:
    """Whether there is anything to see in ``text``."""
    return any(
        character not in _BLANK_LETTERS
        and not "\ufe00" <= character <= "\ufe0f"
        and unicodedata.category(character) not in _INVISIBLE
        for character in text
    )


def turns_direction(text: str) -> bool:
    """Whether it holds controls of direction, which can show its words in another order."""
    return not text.isascii() and _DIRECTION.search(text) is not None


def look_alike(one: str, other: str) -> bool:
    """Whether a reader sees no difference: not in letters, signs or words."""
    return one == other or _seen(one) == _seen(other)


def _seen(text: str) -> str:
    if text.isascii():
        return " ".join(text.split())
    return " ".join(normalized(text, "NFC").translate(_UNSEEN).split())


def special_token(text: str) -> str | None:
    """The token of a model's vocabulary that ``text`` ends with, as answers that were cut badly.

    Those of LLaVA, Qwen, Gemma, Idefics, SmolVLM, Llama and Mistral, by their forms.
    """
    found = _SPECIAL_TOKEN.search(text.rstrip()[-_LONGEST_TOKEN:])
    return found.group(0) if found else None


def token_before(text: str) -> str | None:
    """The token that ``text`` begins with, which some tokenizers put before every text."""
    found = _TOKEN_BEFORE.match(text)
    return found[1] if found else None


def role_named(text: str) -> str | None:
    """The role that ``text`` begins by naming, as answers that were cut badly ("ASSISTANT: ")."""
    found = _ROLE.match(text)
    return found[1] if found else None


def place_of_media(text: str) -> str | None:
    """The first sign in ``text`` that some model's template takes for a picture, video or sound."""
    found = _MEDIA.search(text) if "<" in text or "[IMG]" in text else None
    return found.group(0) if found else None


def names_a_model(text: str, *names: str) -> str | None:
    """The first model that ``text`` names: of a known family, or one of ``names``."""
    lowered = text.lower()
    if any(family in lowered for family in _FAMILIES):
        found = MODEL_NAME.search(text)
        if found:
            return found.group(0)
    return next((name for name in names if len(name) > 3 and name.lower() in lowered), None)


# Scripts written without spaces: one character says about as much as a word (Brysbaert 2019 gives
# 260 characters a minute for Chinese beside 238 words for English).
_WITHOUT_SPACES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
_SPACED = rf"[^\W_{_WITHOUT_SPACES}]+"
_WORD = re.compile(rf"[{_WITHOUT_SPACES}]|{_SPACED}(?:['\u2019-]{_SPACED})*")


_WORD_OR_SIGN = re.compile(rf"{_WORD.pattern}|\S")


def words_and_signs(text: str) -> list[tuple[int, int]]:
    """Where each word and each sign between words begins and ends: all but white space."""
    return [found.span() for found in _WORD_OR_SIGN.finditer(text)]


def word_count(text: str) -> int:
    """Words of ``text`` in any script; where there are no spaces, each character is one."""
    return sum(1 for _ in _WORD.finditer(text))


IMAGE_MARK = "<image>"


def without_placeholder(text: str) -> str:
    """The first turn of a conversation without the image's mark, as people read it.

    The mark stands at the beginning or the end, be it repeated; where it stands at neither, the
    first within is it. The same characters anywhere else are what somebody wrote. The engine has
    the same rule (``training.rlhf.contract.without_placeholder``).
    """
    text = text.strip()
    bare = text
    while bare.startswith(IMAGE_MARK):
        bare = bare.removeprefix(IMAGE_MARK).lstrip()
    while bare.endswith(IMAGE_MARK):
        bare = bare.removesuffix(IMAGE_MARK).rstrip()
    return bare if bare != text else text.replace(IMAGE_MARK, "", 1).strip()
