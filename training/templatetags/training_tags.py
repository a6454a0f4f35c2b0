"""Filters of the training pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import template
from django.http import QueryDict

from annotation.quality.shares import Share
from training.figures import curves
from training.figures.run_table import Order
from training.figures.seeds import Estimate
from training.rlhf.contract import without_placeholder
from training.runs import kinds

register = template.Library()

PAIRS = "held_out/pairs"
FEWEST_PAIRS = 50
"""Below it the interval of a share is wider than 27 points at one half."""


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


@register.simple_tag
def sort_query(query: str, key: str, order: Order, *, down_first: bool = False) -> str:
    """The address part that sorts a table by ``key``; once more turns it round."""
    parameters = QueryDict(query, mutable=True)
    down = not order.down if order.key == key else down_first
    parameters["sort"] = str(Order(key, down))
    return parameters.urlencode()


@register.simple_tag
def query_with(query: str, name: str, value: str) -> str:
    """``query`` with one parameter set, or left out where ``value`` is empty."""
    parameters = QueryDict(query, mutable=True)
    parameters.pop(name, None)
    if value:
        parameters[name] = value
    return parameters.urlencode()


@register.filter
def between(estimate: Estimate) -> str:
    """ "0.68 to 0.74, n = 3"; of one seed, or of seeds that are alike, only that."""
    if not estimate.has_interval:
        return "one seed" if estimate.n == 1 else f"n = {estimate.n}, all alike"
    return f"{figure(estimate.low)} to {figure(estimate.high)}, n = {estimate.n}"


@register.filter
def words(name: str) -> str:
    """A slash path or field name in words."""
    return name.replace("_", " ").replace("/", " ")


@register.filter
def by_importance(figures: dict[str, float]) -> list[dict[str, str]]:
    """The figures of a checkpoint in words, the most telling first: a share of few pairs is said
    with how many and with its interval."""
    pairs = round(figures.get(PAIRS) or 0)
    told = {name: value for name, value in figures.items() if name != PAIRS}
    shares = {curves.label(name) for name in told if name.startswith("held_out/accuracy")}
    found = curves.by_importance(told)
    return [
        {
            "name": one.label,
            "value": accuracy_of(one.value, pairs)
            if pairs and one.label in shares
            else f"{figure(one.value)} {one.unit}".rstrip(),
            "about": one.about,
        }
        for one in found
    ]


def accuracy_of(accuracy: float, pairs: int) -> str:
    """ "5 of 6 pairs (44 to 97 %)"; pairs with equal rewards count as half right."""
    right = accuracy * pairs
    low, high = Share(right, pairs).interval
    return f"{round(right, 1):g} of {pairs} pairs ({100 * low:.0f} to {100 * high:.0f} %)"


@register.filter
def too_few_pairs(figures: dict[str, float]) -> int:
    """How many held-out pairs the figures rest on, where that is too few to tell models apart."""
    pairs = round(figures.get(PAIRS) or 0)
    return pairs if pairs < FEWEST_PAIRS else 0


@register.filter
def without_image(prompt: str) -> str:
    """A turn for people: where the image stands in it is the model's business."""
    return without_placeholder(prompt)
