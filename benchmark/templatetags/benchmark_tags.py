"""How figures are written: the same digits and units wherever a score stands."""

from __future__ import annotations

from typing import Any

from django import template

from benchmark import protocols
from benchmark.protocols.shown import Shown, Style

register = template.Library()

NOTHING = "–"  # noqa: RUF001


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
    """ "1.98 to 3.10"; "no spread" where all questions gave the same, of which the bootstrap can
    say nothing; why a figure is not defined; nothing where the bounds are not known."""
    if estimate and estimate.get("undefined"):
        return f"not defined: {estimate['undefined']}"
    if not estimate or estimate.get("low") is None:
        return ""
    if estimate["low"] == estimate["high"]:
        return "no spread"
    low, high = figure(estimate["low"], shown), figure(estimate["high"], shown)
    return f"{low.removesuffix(' %')} to {high}"


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
