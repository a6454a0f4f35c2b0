"""LLaVA's conversations: ``llava_instruct_*.json``, ``conversation_58k.json``, ``detail_23k.json``.

They were written by a language model that saw captions and boxes only, so they hallucinate; that is
why the paper mixes them with what people wrote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.rlhf.contract import ConversationRecord, without_placeholder
from training.rlhf.converters.reading import Entry, conversation, entries
from training.rlhf.errors import DataError

_SPEAKERS = ("human", "gpt")
_CALLED = {"user": "human", "assistant": "gpt"}
"""The speakers in files of other programs."""


def llava(files: Mapping[str, Path], dropped: Counter[str]) -> Iterator[ConversationRecord]:
    """One conversation an entry of ``conversations``, with all its rounds."""
    for entry in entries(files["conversations"]):
        images = entry.data.get("image")
        if images in (None, "", []):
            dropped["no image (text only)"] += 1
            continue
        if isinstance(images, list):
            if len(images) > 1:
                dropped["several images"] += 1
                continue
            entry = Entry({**entry.data, "image": images[0]}, entry.where)
        turns = list(_turns(entry))
        if len(turns) % 2:
            dropped["ends without an answer"] += 1
            continue
        if not turns or not all(turns):
            dropped["an empty turn"] += 1
            continue
        identity = str(entry.get("id", (str, int)))
        rounds = list(zip(turns[::2], turns[1::2], strict=True))
        yield conversation(f"llava-{identity}", entry.image("image"), rounds)


def _turns(entry: Entry) -> Iterator[str]:
    """Texts of the turns, the first without the place of the image; speakers have to alternate."""
    turns: list[Any] = entry.get("conversations", list)
    for number, turn in enumerate(turns):
        place = f"{entry.where}, conversations[{number}]"
        if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
            raise DataError(f"{place}.value: is not a text")
        if _CALLED.get(str(turn.get("from")), turn.get("from")) != _SPEAKERS[number % 2]:
            raise DataError(
                f"{place}.from: is {str(turn.get('from'))[:60]!r}, not {_SPEAKERS[number % 2]!r}"
            )
        yield turn["value"].strip() if number else without_placeholder(turn["value"])
