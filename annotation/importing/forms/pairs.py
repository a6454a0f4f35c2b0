"""Pairs of answers as other projects write them, told apart by their members and not by a name.

All of them say four things, each in one of a few places: what was asked (a question, or turns), two
answers, which one is better, and which image it is about. So one reader finds each of the four:
RLHF-V and RLAIF-V rows, TRL's messages, LLaMA-Factory's ShareGPT pairs, ms-swift, OpenAI's messages
and preferences, VL-RewardBench, our own CSV, and tables. Where the better answer has no place of
its own it becomes response 1 or 2 by a hash of the row.
"""

from __future__ import annotations

from typing import Any

from annotation.corrections import marks_of_change
from annotation.importing import verdicts
from annotation.importing.field_names import (
    RANKING,
    TURNS,
    beside_texts,
    better_and_worse,
    check_spelled_once,
    holds_two,
    list_of_answers,
    ratings_beside,
)
from annotation.importing.forms.asked import (
    TURNS_OF_ANSWERS,
    check_asked_once,
    is_inner,
    turns_of,
)
from annotation.importing.forms.fields import Row, captions_in, check_all_is_shown, marks_in
from annotation.importing.forms.provenance import (
    OURS,
    image_of,
    inner,
    models_of,
    origin_of,
    row_id,
)
from annotation.importing.forms.turns import conversation_of
from annotation.importing.forms.two_answers import (
    Sides,
    counts_of,
    is_placed,
    label_of,
    says_tie,
    share_of,
    sides_of,
)
from annotation.importing.labelling_tools import TURNED, UNREAD, flattened
from annotation.importing.record_files import BadField
from annotation.importing.record_image import ONE_ONLY, is_absent, name_of_picture
from annotation.importing.records import PairIn, PromptIn, digest
from annotation.importing.verdicts import is_said
from annotation.reading.names import excerpt, fit, key
from annotation.texts import IMAGE_MARK, without_placeholder

_UNSHOWN_PARTS = ("reasoning_content", "reasoning", "thinking", "tool_calls", "function_call")
"""What a model may have said beside its answer."""
CORRECTED_SET = "RLHF-V"
_OUR_COLUMNS = {"better_model", "worse_model", "votes_1", "votes_2", "votes_tie", "decided_by"}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Of cells of CSV, which spreadsheets run: our exports put a quote before them."""


def fits(data: Any) -> bool:
    """Whether two answers are where one of the forms has them."""
    if not isinstance(data, dict):
        return False
    row = flattened(data)
    return holds_two(row) or is_inner(row.get("text"))


def parse_foreign_pair(line: int, data: Any) -> PairIn:
    """A pair of any of the forms above. Raises BadField, which names the field of the record."""
    if not isinstance(data, dict):
        raise BadField("", "is not an object")
    check_spelled_once(data)
    row = _ours(flattened({**data, **inner(data.get("text"))}))
    check_all_is_shown(row)
    turns, field = turns_of(row)
    sides = sides_of(row, turns)
    conversation = conversation_of(_without_answer(turns, sides), field)
    check_asked_once(row, conversation, field)
    origin = origin_of(row.get("origin_split"))
    models = models_of(row, origin)
    content = digest(_question_of(conversation), sides.one, sides.two)
    preference = sides.preference
    answers = [(sides.one, models[0]), (sides.two, models[1])]
    if not sides.placed:
        preference = sides.place or 1 + int(content[:8], 16) % 2
        answers = answers if preference == 1 else answers[::-1]
    (response_1, model_1), (response_2, model_2) = answers
    image = image_of(row)
    _check_one_picture(row, image)
    id = row_id(row, origin, digest(content, key(image)))
    return PairIn(
        prompt=PromptIn(
            line=line,
            id=id,
            image=image,
            conversation=conversation,
            captions=captions_in(row),
        ),
        id=id,
        response_1=response_1,
        response_2=response_2,
        model_1=model_1,
        model_2=model_2,
        label=label_of(row, preference, placed=sides.placed or sides.place is not None),
        marks=_marks(row, origin, sides, preference),
        corrects=str(origin.get("corrects", "")) if row.get("ds_name") == OURS else "",
        id_of_question=not is_absent(row.get("id")),
        tie=sides.placed and preference is None and says_tie(row),
        not_taken=_not_taken(row),
        **_of_one_person(row, placed=sides.placed),
    )


def _check_one_picture(row: Row, image: str) -> None:
    """Raises BadField where the worse answer is about another picture, as ms-swift may have it."""
    other = name_of_picture({"image": row.get("rejected_images")})
    if isinstance(other, str) and not fit(key(other), key(image)):
        reason = f"names {excerpt(other)}, and the record {excerpt(image)}; {ONE_ONLY}"
        raise BadField("rejected_images", reason)


def _not_taken(row: Row) -> dict[str, str]:
    """What the record says beside all that is read here, and why it is not kept."""
    found = {}
    for name in (*TURNS, *TURNS_OF_ANSWERS):
        value = row.get(name)
        turns = [value] if isinstance(value, dict) else value if isinstance(value, list) else []
        inside = {part for turn in turns if isinstance(turn, dict) for part in turn}
        for part in _UNSHOWN_PARTS:
            if part in inside:
                found[f"{name}.{part}"] = "is not taken: people judge the answer alone"
    for part in _UNSHOWN_PARTS:
        if is_said(row.get(part)):
            found[part] = "is not taken: people judge the answer alone"
    if is_placed(row) and not verdicts.one_of(row)[0] and not is_said(row.get(RANKING)):
        reason = "is not taken: which answer is better is said by preference (1, 2 or tie)"
        telling = (name for name, value in row.items() if verdicts.may_prefer(name, value))
        counted = ["votes"] if isinstance(row.get("votes"), dict) and counts_of(row) else []
        found |= dict.fromkeys([*ratings_beside(row), *telling, *counted], reason)
    pair = better_and_worse(row)
    if pair is not None and pair[0] != "better":
        told = (name for name in verdicts.PREFERENCES if name in row and name not in pair)
        reason = f"is not taken: {pair[0]} is the better answer"
        found |= {name: reason for name in told if is_said(row[name])}
    for name in row.get(UNREAD, ()):
        found[name] = "is not taken: of what people said only the better answer is"
    if TURNED in row:
        found[row[TURNED]] = "asks which answer is worse: the other one is the better"
    if listed := list_of_answers(row):
        reason = "is not taken: of an answer its text and its model are"
        found |= {f"{listed}.{name}": reason for name in beside_texts(row[listed])}
    margin = row.get("margin")
    if is_said(margin) and share_of(margin) is None:
        found["margin"] = "is not taken: it is not a number between 0 and 1"
    return found


def _of_one_person(row: Row, *, placed: bool) -> dict[str, Any]:
    """Of Label Studio's JSON-MIN and CSV, which have a row for each annotation of a task."""
    annotation = row.get("annotation_id")
    votes = counts_of(row).get("votes") if placed else None
    if is_absent(annotation) or not votes:
        return {}
    return {"vote_of": excerpt(annotation), "votes": votes}


def _marks(
    row: Row, origin: dict[str, Any], sides: Sides, preference: int | None
) -> dict[str, list[dict[str, Any]]]:
    """What our own rows say of either answer; of a correction, what the change itself says."""
    if preference is None or sides.placed:
        return {}
    chosen, rejected = str(preference), str(3 - preference)
    if _is_correction(row, origin):
        removed, added = marks_of_change(sides.two, sides.one)
        return {chosen: added, rejected: removed}
    given = origin.get("marks") if row.get("ds_name") == OURS else None
    if not isinstance(given, dict):
        return {}
    texts = {"chosen": (chosen, sides.one), "rejected": (rejected, sides.two)}
    return {
        texts[side][0]: marks_in(marks, texts[side][1], f"origin_split.marks.{side}")
        for side, marks in given.items()
        if side in texts
    }


def _is_correction(row: Row, origin: dict[str, Any]) -> bool:
    """Whether the better answer is the other one, corrected: so in RLHF-V, and where ours says so.

    In RLAIF-V, whose rows look the same, both are answers of a model.
    """
    name = str(row.get("ds_name", ""))
    return (name == OURS and "corrects" in origin) or name.upper() == CORRECTED_SET


def _ours(row: dict[str, Any]) -> dict[str, Any]:
    """What our own exports keep aside: quotes before what a spreadsheet would run, turns."""
    if row.get("ds_name") == OURS:
        origin = origin_of(row.get("origin_split"))
        names = ("conversations", "hallucination")
        kept: dict[str, Any] = {name: origin[name] for name in names if name in origin}
        if "conversations" in kept:  # the question is then all turns as one text
            row = {name: value for name, value in row.items() if name != "question"}
        return _marked({**row, **kept})
    # An empty cell is no member, so a table of ours is told by any column that others do not have.
    if not row.keys() >= {"better", "worse"} or _OUR_COLUMNS.isdisjoint(row):
        return row
    return _marked({name: _unquoted(cell) for name, cell in row.items()})


def _marked(row: dict[str, Any]) -> dict[str, Any]:
    """With the image's place before the question, in which every mark is text."""
    question = row.get("question")
    return {**row, "question": f"{IMAGE_MARK}\n{question}"} if isinstance(question, str) else row


def _unquoted(cell: Any) -> Any:
    guarded = isinstance(cell, str) and cell[:1] == "'" and cell.lstrip("'")[:1] in FORMULA_STARTS
    return cell[1:] if guarded else cell


def _question_of(conversation: list[dict[str, str]]) -> Any:
    """What the content of a record is told by: of one question its text alone, as ever."""
    if len(conversation) == 1:
        return without_placeholder(conversation[0]["value"])
    return conversation


def _without_answer(turns: list[Any], sides: Sides) -> list[Any]:
    """The turns up to the question: a last turn of the model is one of the answers, or a fault."""
    last = turns[-1] if turns else {}
    answers = (sides.one.strip(), sides.two.strip(), "")
    if last.get("from") in ("gpt", "assistant", "model"):
        if str(last.get("value")).strip() not in answers:
            reason = "is filled, but is neither of the two answers"
            raise BadField(f"the last of {len(turns)} turns", reason)
        return turns[:-1]
    return turns
