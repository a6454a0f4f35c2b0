"""Two MMHal-style answer files side by side: one comparison per question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from annotation.importing.forms.fields import check_text, text_of
from annotation.importing.record_files import BadField, Faults, Problem
from annotation.importing.records import LONGEST_ID, PairIn, PromptIn
from annotation.importing.verdicts import is_said
from annotation.reading.names import normal, told_by


def parse_answer(line: int, data: Any) -> dict[str, Any]:
    """One record of an MMHal-style answer file. Raises BadField."""
    if not isinstance(data, dict):
        raise BadField("", "is not an object")
    objects = data.get("image_content") or []
    if not isinstance(objects, list):
        raise BadField("image_content", "is not a list of texts")
    for position, name in enumerate(objects):
        check_text(name, f"image_content[{position}]")
    return {
        "question": text_of(data, "question"),
        "image_id": data.get("image_id"),
        "image_src": text_of(data, "image_src"),
        "model_answer": text_of(data, "model_answer"),
        "gt_answer": text_of(data, "gt_answer") if data.get("gt_answer") else "",
        "image_content": objects,
    }


def pair_answers(
    first: Sequence[dict[str, Any] | None],
    second: Sequence[dict[str, Any] | None],
    *,
    models: tuple[str, str],
    faults: Faults,
    unusable: Faults,
) -> list[PairIn | None]:
    """Two MMHal-style answer files side by side: one comparison per question.

    The questions must be the same in the same order, as answer files of one benchmark are. None
    stands for an answer that cannot be used, and makes a pair that cannot be either.
    """
    if len(first) != len(second):
        counts = f"{len(first)} and {len(second)}"
        faults.add(Problem(0, "", f"the two files hold different numbers of answers: {counts}"))
        return []
    pairs: list[PairIn | None] = []
    for number, (one, two) in enumerate(zip(first, second, strict=True), start=1):
        try:
            pairs.append(_answer_pair(number, one, two, models) if one and two else None)
        except BadField as error:
            faults.add(Problem(number, error.field, error.reason))
    return pairs


def _answer_pair(
    number: int, one: dict[str, Any], two: dict[str, Any], models: tuple[str, str]
) -> PairIn:
    images = [_own_name(answer["image_src"]) for answer in (one, two)]
    if one["question"].split() != two["question"].split():
        raise BadField("question", "differs between the two files")
    # An address or a path of the run: the picture's own name, or its id, says which it is.
    ids = [_said_id(answer["image_id"]) for answer in (one, two)]
    if all(ids) and ids[0] != ids[1]:
        raise BadField("image_id", "differs between the two files")
    if told_by(images[0]) != told_by(images[1]) and not all(ids):
        raise BadField("image_src", "differs between the two files")
    references = {answer["gt_answer"] for answer in (one, two)} - {""}
    if len(references) > 1:
        raise BadField("gt_answer", "differs between the two files")
    objects = one["image_content"] or two["image_content"]
    facts = [f"The image shows: {', '.join(objects)}."] if objects else []
    prompt = PromptIn(
        line=number,
        id=f"mmhal-{number:03d}",
        image=images[0],
        conversation=[{"from": "human", "value": f"<image>\n{one['question']}"}],
        captions=[*facts, *references],
    )
    return PairIn(
        prompt=prompt,
        id=f"{prompt.id} {models[0]} {models[1]}"[:LONGEST_ID],
        response_1=one["model_answer"],
        response_2=two["model_answer"],
        model_1=models[0],
        model_2=models[1],
    )


def _own_name(image: str) -> str:
    """The name of a picture without its folder; an address with a query that tells it apart stays
    as it is."""
    return image if told_by(image)[1] else PurePosixPath(normal(image)).name


def _said_id(value: Any) -> str:
    """The id of a picture as a text; empty where nothing, or no more than 0 or false, is said."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not value:
        return ""
    return str(value).strip() if is_said(value) else ""
