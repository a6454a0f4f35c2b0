"""Small questions about text that people send."""

from __future__ import annotations

import re

# Families of models whose name in a response would tell an annotator what they are judging.
MODEL_NAME = re.compile(
    r"\b(llava|gpt-?\s?[345]\w*|chatgpt|openai|claude|anthropic|gemini|bard|idefics|instructblip"
    r"|blip-?2|minigpt-?4|qwen\S*|minicpm\S*|internvl\S*|vicuna|llama|mistral|kosmos-?\d?|fuyu"
    r"|smolvlm|gemma)\b",
    re.IGNORECASE,
)


def names_a_model(text: str, *names: str) -> str | None:
    """The first model that ``text`` names: of a known family, or one of ``names``."""
    found = MODEL_NAME.search(text)
    if found:
        return found.group(0)
    lowered = text.lower()
    return next((name for name in names if len(name) > 3 and name.lower() in lowered), None)
