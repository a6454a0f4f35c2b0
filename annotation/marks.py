"""Hallucinated words that people marked; annotation.markup draws them into the text."""

from __future__ import annotations

from typing import Any


def words(text: str, span: dict[str, Any]) -> str:
    """The words that a mark covers."""
    return text[span["start"] : span["end"]]
