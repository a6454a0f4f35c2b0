"""LLaVA's conversations, alone or two files side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from annotation.importing.forms.fields import text_of
from annotation.importing.forms.ours import parse_prompt
from annotation.importing.forms.turns import SPEAKERS, in_our_words
from annotation.importing.record_files import BadField, Faults, Problem
from annotation.importing.records import LONGEST_ID, PairIn, PromptIn, digest
from annotation.reading.names import told_by
from annotation.texts import without_placeholder

Conversation = tuple[PromptIn, str]
"""A prompt and the answer that the conversation ends with."""


def parse_conversation(line: int, data: Any) -> Conversation:
    """A conversation that ends with an answer. Raises BadField."""
    data = in_our_words(data)
    prompt = parse_prompt(line, data)
    last = data["conversations"][-1]
    if SPEAKERS.get(last.get("from")) != "gpt":
        raise BadField("conversations", "does not end with an answer")
    return prompt, text_of(last, "value", f"conversations[{len(data['conversations']) - 1}]")


def pair_conversations(
    first: Sequence[Conversation | None],
    second: Sequence[Conversation | None],
    *,
    models: tuple[str, str],
    faults: Faults,
    unusable: Faults,
) -> list[PairIn | None]:
    """Two files of answers to the same prompts, matched by id and conversation, in any order.

    LLaVA's own files use the number of a picture as the id of all conversations about it.
    """
    known = [_by_id(side, name, faults) for side, name in zip((first, second), models, strict=True)]
    others = known[1]
    repeated = {id for id, told in known[0].items() if len(told) > 1}
    differing: set[str] = set()
    pairs: list[PairIn | None] = []
    for prompt, answer in (one for one in first if one is not None):
        about = others.get(prompt.id, {})
        other = about.pop(_told_by(prompt), None)
        if other is not None:
            pairs.append(_pair(prompt, answer, other[1], models, told=prompt.id in repeated))
            continue
        pairs.append(None)
        if about:
            differing.add(prompt.id)
            problem = Problem(prompt.line, "conversations", "differs between the two files")
        else:
            problem = Problem(prompt.line, "id", f"{prompt.id!r} {_alone(second, 'second')}")
        unusable.add(replace(problem, file=models[0]))
    for prompt, _ in (other for about in others.values() for other in about.values()):
        if prompt.id in differing:
            continue
        pairs.append(None)
        reason = f"{prompt.id!r} {_alone(first, 'first')}"
        unusable.add(Problem(prompt.line, "id", reason, file=models[1]))
    return pairs


def _alone(side: Sequence[Conversation | None], which: str) -> str:
    """Why a conversation has no partner in a file of which lines may be at fault."""
    return f"is not {'among the usable lines of' if None in side else 'in'} the {which} file"


def _by_id(
    side: Sequence[Conversation | None], name: str, faults: Faults
) -> dict[str, dict[str, Conversation]]:
    """Conversations by id and by what they are told by; one that is there twice is a fault."""
    found: dict[str, dict[str, Conversation]] = {}
    for prompt, answer in (one for one in side if one is not None):
        about = found.setdefault(prompt.id, {})
        first = about.setdefault(_told_by(prompt), (prompt, answer))
        if first[0] is not prompt:
            reason = f"{prompt.id!r} is the id of line {first[0].line} too"
            faults.add(Problem(prompt.line, "id", reason, file=name))
    return found


def _told_by(prompt: PromptIn) -> str:
    image, query = told_by(prompt.image)
    first, *others = prompt.conversation  # where the image stands in a question says nothing
    turns = [{**first, "value": without_placeholder(first["value"]).strip()}, *others]
    return digest(image, turns, *([query] if query else []))


def _pair(prompt: PromptIn, one: str, two: str, models: tuple[str, str], *, told: bool) -> PairIn:
    if told:
        prompt = replace(prompt, id=f"{prompt.id} {digest(prompt.conversation)[:8]}")
    return PairIn(
        prompt=prompt,
        id=f"{prompt.id} {models[0]} {models[1]}"[:LONGEST_ID],
        response_1=one,
        response_2=two,
        model_1=models[0],
        model_2=models[1],
    )
