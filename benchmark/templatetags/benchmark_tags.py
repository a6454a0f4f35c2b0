"""How figures are written: the same digits and units wherever a score stands."""

from __future__ import annotations

from typing import Any

from django import template

from benchmark import protocols
from benchmark.protocols.figure_display import Shown, Style
from benchmark.statistics import INTERVALS

register = template.Library()

NOTHING = "–"  # noqa: RUF001
FEW = 50
"""Below it a share is said to be of few: at half right, its interval spans 27 points or more."""


@register.filter
def figure(value: float | str | None, shown: Shown | Style) -> str:
    """A score as "2.53", a rate as "57 %", as the figure (or a bare style) says; a dash for
    nothing."""
    if not isinstance(value, (int, float)):  # A template gives "" for what is not there.
        return NOTHING
    style = shown.style if isinstance(shown, Shown) else shown
    scaled = 100 * value if style.startswith("share") else value
    digits = 1 if style.endswith("tenths") else 0
    return f"{value:.2f}" if style == "number" else f"{scaled:.{digits}f} %"


@register.filter
def difference(value: float, shown: Shown | Style) -> str:
    """What lies between two figures, with its sign: "+0.75", "−12 points"."""  # noqa: RUF002
    return f"{'−' if value < 0 else '+'}{distance(abs(value), shown)}"  # noqa: RUF001


@register.filter
def distance(value: float, shown: Shown | Style) -> str:
    """The same without a sign; between percentages lie points, not percent."""
    written = figure(value, shown)
    return f"{written.removesuffix(' %')} points" if written.endswith(" %") else written


@register.filter
def interval(estimate: dict[str, Any] | None, shown: Shown | Style) -> str:
    """ "1.98 to 3.10"; why a figure is not defined; nothing where the bounds are not known. "No
    spread" of a figure that was stored when nothing but the bootstrap was known, or on no scale."""
    if estimate and estimate.get("undefined"):
        return f"not defined: {estimate['undefined']}"
    if not estimate or estimate.get("low") is None:
        return ""
    if estimate["low"] == estimate["high"]:
        return "no spread"
    low, high = figure(estimate["low"], shown), figure(estimate["high"], shown)
    return f"{low.removesuffix(' %')} to {high}"


@register.simple_tag
def counted(estimate: dict[str, Any] | None, shown: Shown | Style, asked: int | str = "") -> str:
    """ "5 of 6" for a share of answers that are counted one by one, else "". ``asked`` is of how
    many it is where it has no count of its own; a tie is half of one. A share of nouns or of
    objects has in "whole" what it divides by."""
    if not estimate or estimate.get("value") is None:
        return ""
    style = shown.style if isinstance(shown, Shown) else shown
    whole = whole_of(estimate, shown, asked)
    if not whole:
        return ""
    share = estimate["value"] / (100 if style.startswith("percent") else 1)
    return f"{round(4 * share * int(whole)) / 4:.10g} of {whole}"


def whole_of(
    estimate: dict[str, Any], shown: Shown | Style, asked: int | str = ""
) -> int | str | None:
    """What a share divides by: the yes answers, the nouns; None for a figure that is no share."""
    if estimate.get("value") is None:
        return None
    one_by_one = "whole" in estimate or not isinstance(shown, Shown) or shown.counts
    return (estimate.get("whole") or estimate.get("count") or asked) if one_by_one else None


@register.simple_tag
def intervals() -> str:
    """How intervals are made, for the foot of a page."""
    return INTERVALS


@register.simple_tag
def number(estimate: dict[str, Any] | None, shown: Shown, asked: int | str = "") -> str:
    """Of how many answers a figure is: "n = 183" of a part of them; "over 14216 answers" for one
    made of counts, which is no share of the answers themselves."""
    if not estimate or estimate.get("value") is None:
        return ""
    count = estimate.get("count")
    if shown.pooled:
        over = count or asked
        return f"over {over} answer{'' if over == 1 else 's'}" if over else ""
    return f"n = {count}" if count else ""


@register.filter
def are_few(count: int | str | None) -> bool:
    """Whether a share of so many has an interval too wide to choose a model by."""
    return bool(count) and int(count or 0) < FEW


@register.filter
def inside(title: str) -> str:
    """A title as it stands within a sentence: "hallucination rate", but "AMBER score" and "F1"."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


@register.filter
def p_value(value: float) -> str:
    """ "p = 0.034", and "p < 0.001" below what the resampling can tell."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


@register.filter
def lookup(mapping: dict[str, Any] | None, key: str) -> Any:
    """An entry of a mapping, or None."""
    return (mapping or {}).get(key)


@register.filter
def type_title(name: str) -> str:
    """A question type for people: "Conversation" for "conv"."""
    return protocols.type_title(name)


@register.filter
def points(value: float | None) -> str:
    """A judge's score or rating as it was given: "8" and "8.5"."""
    return NOTHING if value is None else f"{value:g}"


@register.filter
def short_hash(digest: str) -> str:
    """The beginning of a digest, enough to tell two apart."""
    return digest[:8]
