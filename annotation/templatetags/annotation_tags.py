"""What templates of annotation need beyond Django's own filters.

Text that people or models wrote reaches a page either escaped, or through ``markdown``, which
keeps a short list of tags; nothing else may be marked safe.
"""

from __future__ import annotations

from typing import Any

import nh3
from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

register = template.Library()

IMAGE_TOKEN = "<image>"
SAFE_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "strong", "em", "code", "pre", "blockquote"),
    *("ul", "ol", "li", "a", "table", "thead", "tbody", "tr", "th", "td"),
}


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as HTML, with everything but plain text structure taken out."""
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    # nh3 has the last word: the renderer's output is not trusted to be free of scripts.
    clean = nh3.clean(html, tags=SAFE_TAGS, attributes={"a": {"href"}}, url_schemes={"https"})
    return mark_safe(clean)


@register.filter
def turns(conversation: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation for people: [{"asked": bool, "text": str}], without image placeholders."""
    return [
        {"asked": turn["from"] == "human", "text": turn["value"].replace(IMAGE_TOKEN, "").strip()}
        for turn in conversation
    ]


@register.filter
def exact(text: str) -> SafeString:
    """Escaped text of which a browser keeps every character, so that offsets into it hold.

    HTML turns a carriage return into a line feed unless it is written as a reference.
    """
    return mark_safe(escape(text).replace("\r", "&#13;"))


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
