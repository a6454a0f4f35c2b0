"""Two answer files side by side, one comparison per question: MMHal's, and others that name in each
record what was asked, the picture and the answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from annotation.importing.forms.fields import check_text, text_of
from annotation.importing.record_files import BadField, Faults, Problem
from annotation.importing.records import LONGEST_ID, PairIn, PromptIn
from annotation.importing.verdicts import is_said
from annotation.reading.names import normal, told_by
from annotation.texts import without_placeholder
from config.sanitising import is_storable

_QUESTIONS = ("question", "prompt", "query")
_ANSWERS = ("model_answer", "response", "text", "answer", "output")
IMAGES = ("image_src", "image", "image_path", "image_file")
_ONE = "their answers cannot be told apart by model (name the files after their models)"


def parse_answer(line: int, data: Any) -> dict[str, Any]:
    """One record of an MMHal-style answer file. Raises BadField."""
    if not isinstance(data, dict):
        raise BadField("", "is not an object")
    objects = data.get("image_content") or []
    if not isinstance(objects, list):
        raise BadField("image_content", "is not a list of texts")
    for position, name in enumerate(objects):
        check_text(name, f"image_content[{position}]")
    asked, said = named_in(data)
    image = next((name for name in IMAGES if data.get(name) is not None), "image_src")
    model = data.get("model_id")
    return {
        "question": without_placeholder(text_of(data, asked)),
        "question_id": data.get("question_id"),
        "image_id": data.get("image_id"),
        "image_src": text_of(data, image),
        "model_answer": text_of(data, said),
        "model": model if isinstance(model, str) and is_storable(model) else "",
        "gt_answer": text_of(data, "gt_answer") if data.get("gt_answer") else "",
        "image_content": objects,
    }


def named_in(data: dict[str, Any]) -> tuple[str, str]:
    """The members that hold the question and the model's answer. Raises BadField where two may."""
    asked = next((name for name in _QUESTIONS if data.get(name) is not None), "")
    said = [name for name in _ANSWERS if data.get(name) is not None]
    if not asked and said != ["text"] and "text" in said:  # so in LLaVA's question files
        asked = "text"
        said.remove("text")
    if "model_answer" not in said and len({str(data[name]) for name in said}) > 1:
        both = " and ".join(said)
        raise BadField(said[0], f"is not surely the model's answer: there are {both}")
    return asked or "question", next(iter(said), "model_answer")


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
    whole = _names_of_several(first) | _names_of_several(second)
    for answers in (first, second):
        # Questions are counted from 0; a 0 that several have is none.
        zeros = [one for one in answers if one and _is_zero(one["question_id"])]
        if len(zeros) == 1:
            zeros[0]["question_id"] = "0"
    pairs: list[PairIn | None] = []
    for number, (one, two) in enumerate(zip(first, second, strict=True), start=1):
        try:
            pairs.append(_answer_pair(number, one, two, models, whole) if one and two else None)
        except BadField as error:
            faults.add(Problem(number, error.field, error.reason))
    return pairs


def _answer_pair(
    number: int,
    one: dict[str, Any],
    two: dict[str, Any],
    files: tuple[str, str],
    whole: set[str],
) -> PairIn:
    images = [_own_name(answer["image_src"]) for answer in (one, two)]
    if images[0] in whole:
        images = [normal(answer["image_src"]) for answer in (one, two)]
    if one["question"].split() != two["question"].split():
        raise BadField("question", "differs between the two files")
    # An address or a path of the run: the picture's own name, or its id, says which it is.
    ids = [_said_id(answer["image_id"]) for answer in (one, two)]
    if all(ids) and ids[0] != ids[1]:
        raise BadField("image_id", "differs between the two files")
    asked = [_said_id(answer["question_id"]) for answer in (one, two)]
    if all(asked) and asked[0] != asked[1]:
        raise BadField("question_id", "differs between the two files")
    if told_by(images[0]) != told_by(images[1]) and not all(ids):
        raise BadField("image_src", "differs between the two files")
    references = {answer["gt_answer"] for answer in (one, two)} - {""}
    if len(references) > 1:
        raise BadField("gt_answer", "differs between the two files")
    objects = one["image_content"] or two["image_content"]
    facts = [f"The image shows: {', '.join(objects)}."] if objects else []
    models = [answer["model"] or file for answer, file in zip((one, two), files, strict=True)]
    prompt = PromptIn(
        line=number,
        id=f"question-{asked[0]}" if asked[0] else f"mmhal-{number:03d}",
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
        not_taken={"": f"both files are of {models[0]!r}: {_ONE}"}
        if models[0] == models[1]
        else {},
    )


def _names_of_several(answers: Sequence[dict[str, Any] | None]) -> set[str]:
    """Own names that pictures of several folders of one file have: there the folder tells."""
    folders: dict[str, set[object]] = {}
    for source in {one["image_src"] for one in answers if one is not None}:
        parts = normal(source).split("/")
        if "://" not in source and len(parts) > 1:
            folders.setdefault(parts[-1], set()).add(parts[-2])
    return {name for name, found in folders.items() if len(found) > 1}


def _own_name(image: str) -> str:
    """The name of a picture without its folder; an address with a query that tells it apart stays
    as it is."""
    return image if told_by(image)[1] else PurePosixPath(normal(image)).name


def _is_zero(value: Any) -> bool:
    return value == 0 and isinstance(value, int) and not isinstance(value, bool)


def _said_id(value: Any) -> str:
    """The id of a picture as a text; empty where nothing, or no more than 0 or false, is said."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not value:
        return ""
    return str(value).strip() if is_said(value) else ""
