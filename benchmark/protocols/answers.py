"""What of a reply is its final answer: the rule for judges, yes or no, and all other protocols.

Models think aloud before they answer, between tags of several spellings, and the template of a
chat often swallows the opening tag. A thought is no answer, however much it looks like one: what
counts stands after the last closing tag, and where a thought never ends there is no answer at all.

Every pattern here is looked for at fixed places and has no part that repeats another, so that a
text of any length is read in time proportional to it.
"""

from __future__ import annotations

import re

_NAMES = (
    r"(?:seed:)?(?:(?:ant_?)?think(?:ing)?|thoughts?|reasoning|analysis|reflection|scratchpad"
    r"|rationale|cot|inner_monologue|deliberation)"
)
_TAG = re.compile(
    rf"(?:<\|?(?P<angle>/?)\|?{_NAMES} ?\|?>|◁(?P<kimi>/?)think▷|\[(?P<square>/?)THINK\]"
    r"|<\|(?P<word>begin|end)_of_thought\|>|<\|(?P<cohere>start|end)_thinking\|>"
    r"|<unused(?P<gemma>9[45])>)",
    re.IGNORECASE,
)
_ESCAPED = re.compile(r"&(?:amp;)?(?:(?P<less>lt)|gt);|\\u003(?:(?P<c>c)|e)", re.IGNORECASE)
"""Angle brackets of a reply that came by way of a page, or of a JSON text in a JSON text."""
_CHANNEL = re.compile(r"<\|channel\|>\s?(?P<name>[a-z]+)[^<]{0,40}<\|message\|>")
_CHANNEL_ENDS = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_RESPONSE_BEGINS = re.compile(r"\s{0,9}<\|START_RESPONSE\|>")
_END_OF_TEXT = re.compile(
    r"(?:</s>|<\|(?:END_RESPONSE|im_end|endoftext|eot_id|end|return)\|>|<eos>)"
)
_ANOTHER_TURN = re.compile(
    r"\n(?:[#* ]{0,5}(?:human|user)\b[* ]{0,3}:|<\|im_start\|>)", re.IGNORECASE
)

FRAMES = (
    re.compile(r"\"(?:final[_ ]?)?answer\" ?: ?\"([^\"\n]{0,200})\""),
    re.compile(r"<(?:final[_ ]?)?(?:answer|conclusion|verdict|solution)>([^<]{0,200})"),
    re.compile(r"\\boxed\{(?:\\[a-z]{2,8}\{){0,3}([^{}]{0,200})"),
    re.compile(r"<\|begin_of_(?:box|solution)\|>([^<]{0,200})"),
)
"""In which an answer stands alone, in small letters."""

_STRUCK_OUT = re.compile(r"~~.*?~~", re.DOTALL)


def without_struck_out(text: str) -> str:
    """The text without what Markdown shows with a line through it."""
    return _STRUCK_OUT.sub(" ", text)


def framed(text: str) -> str | None:
    """What stands in the last frame of the first kind that there is; None without one."""
    for frame in FRAMES:
        found = frame.findall(text.lower())
        if found:
            return str(found[-1]).strip()
    return None


def final_answer(text: str) -> str | None:
    """What stands after the last thought, without surrounding white space; the whole text where
    nothing was thought aloud, and None where a thought began and never ended."""
    text = _ESCAPED.sub(lambda bracket: "<" if bracket["less"] or bracket["c"] else ">", text)
    channels = list(_CHANNEL.finditer(text))
    if channels:
        final = [match for match in channels if match["name"] == "final"]
        if not final:
            return None
        text = _CHANNEL_ENDS.split(text[final[-1].end() :], maxsplit=1)[0]
    start, opened = 0, False
    for tag in _TAG.finditer(text):
        closes = "/" in (tag["angle"], tag["kimi"], tag["square"]) or tag["gemma"] == "95"
        closes = closes or "end" in (str(tag["word"]).lower(), str(tag["cohere"]).lower())
        opened = not closes
        start = tag.end() if closes else start
    if opened:
        return None
    return _one_turn(_RESPONSE_BEGINS.sub("", text[start:], count=1)).strip()


def _one_turn(text: str) -> str:
    """What stands before the reply ends, or goes on with a further turn of its own making."""
    for end in (_END_OF_TEXT, _ANOTHER_TURN):
        parts = end.split(text)
        text = next((part for part in parts if part.strip()), parts[0])
    return text
