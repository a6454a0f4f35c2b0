"""What templates of annotation need beyond Django's own filters.

Text that people or models wrote reaches a page either escaped, or through ``markdown``, which
keeps a short list of tags, or through ``annotation.markup``, which escapes; nothing else may be
marked safe.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import nh3
from django import template
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from annotation import access, blindness, corrections, marks, markup
from annotation.access import Permission
from annotation.models import Comparison, Judgment
from annotation.notices import choosing
from annotation.texts import without_placeholder, word_count
from annotation.views.login import ways_in

register = template.Library()

SAFE_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "strong", "em", "code", "pre", "blockquote"),
    *("ul", "ol", "li", "a", "table", "thead", "tbody", "tr", "th", "td"),
}


@register.filter
@lru_cache(maxsize=64)
def markdown(text: str) -> SafeString:
    """Markdown as HTML, with everything but plain text structure taken out.

    Rendered once for each text and process: what is written to take long takes long once.
    """
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    # nh3 has the last word: the renderer's output is not trusted to be free of scripts.
    clean = nh3.clean(html, tags=SAFE_TAGS, attributes={"a": {"href"}}, url_schemes={"https"})
    return mark_safe(clean)


@register.filter
def turns(conversation: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation for people: [{"asked": bool, "text": safe HTML}], without the image's mark.

    That stands in the first turn alone; in any other it is text that somebody wrote.
    """
    texts = [turn["value"] for turn in conversation]
    texts[:1] = [without_placeholder(text) for text in texts[:1]]
    return [
        {"asked": turn["from"] == "human", "text": mark_safe(markup.with_controls(text.strip()))}
        for turn, text in zip(conversation, texts, strict=True)
    ]


@register.filter
def with_controls(text: str) -> SafeString:
    """Text of people or models, in which controls of direction are named."""
    return mark_safe(markup.with_controls(text))


@register.filter
def laid_out(text: str) -> SafeString:
    """An answer as it is read; a browser keeps every character, so that offsets into it hold."""
    return mark_safe(markup.html(text))


@register.filter
def has_markup(texts: list[tuple[str, int, str]]) -> bool:
    """Whether any of the responses is written in Markdown."""
    return any(not markup.layout(text).is_plain for _, _, text in texts)


@register.filter
def words(text: str) -> int:
    """Words in any script."""
    return word_count(text)


@register.simple_tag
def reviews_something(user: Any) -> bool:
    """Whether a person sees models anywhere: annotators have no training and no benchmarks."""
    return bool(user.is_superuser) or access.projects_where(user, Permission.REVIEW).exists()


@register.simple_tag
def provider_of_log_in() -> str:
    """What people call the provider of single sign-on; "" where there is none."""
    return str(ways_in()["provider"])


@register.simple_tag
def unread_notices(user: Any) -> int:
    """How many notices wait in somebody's inbox."""
    return choosing.unread(user)


@register.filter
def share(part: float | None, whole: float | None) -> str:
    """ "37 %" of a part and a whole; "no data" without a whole."""
    if not whole or part is None:
        return "no data"
    return f"{100 * part / whole:.0f} %"


@register.filter
def percent(value: float | None) -> str:
    """ "37 %" of 0.37."""
    return "none" if value is None else f"{100 * value:.0f} %"


@register.filter
def percent_precisely(value: float | None) -> str:
    """ "4.1 %" of 0.0408, in three digits at most."""
    return "none" if value is None else f"{100 * value:.3g} %"


@register.filter
def sides(comparison: Comparison) -> list[tuple[str, int, str]]:
    """("A", 1, text) and ("B", 2, text), for what is not shown in an order of its own."""
    return [("A", 1, comparison.response_1), ("B", 2, comparison.response_2)]


@register.filter
def kind_of_mark(kind: str) -> str:
    """What is wrong with marked words, in a word."""
    return marks.kind_name(kind)


@register.filter
def longest_correction(text: str) -> int:
    """How many characters a correction of a response may have."""
    return corrections.longest(text)


@register.inclusion_tag("annotation/_corrections.html")
def corrected(comparison: Comparison, given: list[dict[str, Any]]) -> dict[str, Any]:
    """What one person corrected, as changes of the responses."""
    texts = {1: comparison.response_1, 2: comparison.response_2}
    found = [
        (one["response"], corrections.pieces(texts[one["response"]], one["text"])) for one in given
    ]
    return {
        "corrections": [
            (number, pieces, any(piece.change for piece in pieces)) for number, pieces in found
        ]
    }


@register.filter
def told(judgment: Judgment) -> dict[str, Any]:
    """What it names, as its annotator saw it."""
    return blindness.told(judgment)


@register.simple_tag
def marked_text(text: str, number: int, spans: list[dict[str, Any]]) -> SafeString:
    """The text of response ``number``, laid out, with the marks of ``spans`` drawn in."""
    return mark_safe(markup.html(text, [one for one in spans if one["response"] == number]))


@register.inclusion_tag("annotation/_mark_list.html")
def mark_list(comparison: Comparison, spans: list[dict[str, Any]]) -> dict[str, Any]:
    """What one person marked, in words."""
    texts = {1: comparison.response_1, 2: comparison.response_2}
    found = [
        (
            span["response"],
            marks.words(texts[span["response"]], span),
            marks.kind_name(span["kind"]),
        )
        for span in spans
    ]
    return {"marks": found}
