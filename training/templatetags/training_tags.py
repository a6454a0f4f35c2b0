"""Filters of the training pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import template

from training.figures import curves
from training.rlhf.contract import IMAGE_TOKEN
from training.runs import kinds

register = template.Library()


@register.filter
def kind_title(name: str) -> str:
    """The title of a run kind; its name when the app that brought it is gone."""
    try:
        return kinds.get(name).title
    except KeyError:
        return name


@register.filter
def clock(length: timedelta | None) -> str:
    """ "3 s", "4 min 05 s", "2 h 07 min": a length of time with its unit."""
    if length is None:
        return "-"
    seconds = max(0, round(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


@register.filter
def figure(value: Any) -> str:
    """A figure with four significant digits; anything else as text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


@register.filter
def words(name: str) -> str:
    """A slash path or field name in words."""
    return name.replace("_", " ").replace("/", " ")


@register.filter
def by_importance(figures: dict[str, float]) -> list[tuple[str, float]]:
    return curves.by_importance(figures)


@register.filter
def without_image(prompt: str) -> str:
    """A turn for people: where the image stands in it is the model's business."""
    return prompt.replace(IMAGE_TOKEN, "").strip()
