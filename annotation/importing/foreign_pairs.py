"""Pairs of answers as other projects write them, told apart by their members and not by a name.

All of them say four things, each in one of a few places: what was asked (a question, or turns), two
answers, which one is better, and which image it is about. So one reader finds each of the four:
RLHF-V and RLAIF-V rows, TRL's messages, LLaMA-Factory's ShareGPT pairs, ms-swift, OpenAI's messages
and preferences, VL-RewardBench, our own CSV, and tables. Where the better answer has no place of
its own it becomes response 1 or 2 by a hash of the row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from annotation.corrections import marks_of_change
from annotation.importing import verdicts
from annotation.importing.labelling_tools import flattened
from annotation.importing.members import (
    ARENA,
    BETTER_AND_WORSE,
    QUESTIONS,
    RANKING,
    REJECTED,
    TURNS,
    holds_two,
    list_of_answers,
    ratings_beside,
    texts_of,
)
from annotation.importing.record_files import BadField
from annotation.importing.records import (
    LONGEST_ID,
    SPEAKERS,
    Label,
    PairIn,
    PromptIn,
    captions_in,
    check_all_is_shown,
    conversation_of,
    digest,
    identifier,
    marks_in,
    speaker_of,
    text_of,
)
from annotation.importing.the_picture import ONE_ONLY, is_absent, name_of_picture
from annotation.importing.verdicts import is_said
from annotation.reading.names import excerpt, fit, key, quoted
from annotation.texts import IMAGE_MARK, without_placeholder
from config.outside import NotJson, is_storable, parse_json, whole_number

Row = Mapping[str, Any]

_TURNS_OF_ANSWERS = tuple(dict.fromkeys([*chain(*BETTER_AND_WORSE), *REJECTED, *ARENA]))
"""Members that may hold turns of which the last is an answer."""
_UNSHOWN_PARTS = ("reasoning_content", "reasoning", "thinking", "tool_calls", "function_call")
"""What a model may have said beside its answer."""
OURS = "factloop"
CORRECTED_SET = "RLHF-V"
_MODELS = (
    *(("better_model", "worse_model"), ("chosen_model", "rejected_model")),
    *(("model_1", "model_2"), ("model_a", "model_b")),
)
"""Of the better and the worse answer, and of the first and the second."""
_OUR_COLUMNS = {"better_model", "worse_model", "votes_1", "votes_2", "votes_tie", "decided_by"}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Of cells of CSV, which spreadsheets run: our exports put a quote before them."""
_HOW_TO_SAY = " (write 1, 2 or tie)"
_YES, _NO = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")
_IMAGE_PARTS = ("image", "image_url", "input_image")


@dataclass(frozen=True)
class _Sides:
    """Two answers in the order of the record; ``preference`` is the better, if it is known."""

    one: str
    two: str
    preference: int | None
    placed: bool
    """Whether the record itself puts them first and second."""
    place: int | None = None
    """Where the first of them stood, in a record that says so and has the better one first."""


def fits(data: Any) -> bool:
    """Whether two answers are where one of the forms has them."""
    if not isinstance(data, dict):
        return False
    row = flattened(data)
    return holds_two(row) or _is_inner(row.get("text"))


def _is_inner(text: Any) -> bool:
    """Whether the column ``text`` is RLHF-V's, and not what somebody asks."""
    if not isinstance(text, str):
        return isinstance(text, dict)
    return text.strip()[:1] == "{" or text.strip()[:1] + text.strip()[-1:] == "[]"


def parse_foreign_pair(line: int, data: Any) -> PairIn:
    """A pair of any of the forms above. Raises BadField, which names the field of the record."""
    if not isinstance(data, dict):
        raise BadField("", "is not an object")
    row = _ours(flattened({**data, **_inner(data.get("text"))}))
    check_all_is_shown(row)
    turns, field = turns_of(row)
    sides = _sides(row, turns)
    conversation = conversation_of(_without_answer(turns, sides), field)
    check_asked_once(row, conversation, field)
    origin = _origin(row.get("origin_split"))
    models = _models(row, origin)
    content = digest(_question_of(conversation), sides.one, sides.two)
    preference = sides.preference
    answers = [(sides.one, models[0]), (sides.two, models[1])]
    if not sides.placed:
        preference = sides.place or 1 + int(content[:8], 16) % 2
        answers = answers if preference == 1 else answers[::-1]
    (response_1, model_1), (response_2, model_2) = answers
    image = image_of(row)
    _check_one_picture(row, image)
    id = _row_id(row, origin, digest(content, key(image)))
    return PairIn(
        prompt=PromptIn(
            line=line,
            id=id,
            image=image,
            conversation=conversation,
            captions=captions_of(row),
        ),
        id=id,
        response_1=response_1,
        response_2=response_2,
        model_1=model_1,
        model_2=model_2,
        label=_label(row, preference, placed=sides.placed or sides.place is not None),
        marks=_marks(row, origin, sides, preference),
        corrects=str(origin.get("corrects", "")) if row.get("ds_name") == OURS else "",
        id_of_question=not is_absent(row.get("id")),
        tie=sides.placed and preference is None and _says_tie(row),
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
    for name in (*TURNS, *_TURNS_OF_ANSWERS):
        value = row.get(name)
        turns = [value] if isinstance(value, dict) else value if isinstance(value, list) else []
        inside = {part for turn in turns if isinstance(turn, dict) for part in turn}
        for part in _UNSHOWN_PARTS:
            if part in inside:
                found[f"{name}.{part}"] = "is not taken: people judge the answer alone"
    for part in _UNSHOWN_PARTS:
        if is_said(row.get(part)):
            found[part] = "is not taken: people judge the answer alone"
    if _is_placed(row) and not verdicts.one_of(row)[0] and not is_said(row.get(RANKING)):
        reason = "is not taken: which answer is better is said by preference (1, 2 or tie)"
        found |= dict.fromkeys(ratings_beside(row), reason)
    margin = row.get("margin")
    if is_said(margin) and share_of(margin) is None:
        found["margin"] = "is not taken: it is not a number between 0 and 1"
    return found


def _is_placed(row: Row) -> bool:
    """Whether the answers are a first and a second one, and not a better and a worse."""
    return not any(better in row and worse in row for better, worse in BETTER_AND_WORSE)


def _of_one_person(row: Row, *, placed: bool) -> dict[str, Any]:
    """Of Label Studio's JSON-MIN and CSV, which have a row for each annotation of a task."""
    annotation = row.get("annotation_id")
    votes = _counts(row).get("votes") if placed else None
    if is_absent(annotation) or not votes:
        return {}
    return {"vote_of": excerpt(annotation), "votes": votes}


def _marks(
    row: Row, origin: dict[str, Any], sides: _Sides, preference: int | None
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
        origin = _origin(row.get("origin_split"))
        names = ("conversations", "hallucination")
        kept: dict[str, Any] = {name: origin[name] for name in names if name in origin}
        if "conversations" in kept:  # the question is then all turns as one text
            row = {name: value for name, value in row.items() if name != "question"}
        return {**row, **kept}
    # An empty cell is no member, so a table of ours is told by any column that others do not have.
    if not row.keys() >= {"better", "worse"} or _OUR_COLUMNS.isdisjoint(row):
        return row
    return {name: _unquoted(cell) for name, cell in row.items()}


def _unquoted(cell: Any) -> Any:
    guarded = isinstance(cell, str) and cell[:1] == "'" and cell.lstrip("'")[:1] in FORMULA_STARTS
    return cell[1:] if guarded else cell


# --------------------------------------------------------------------------------------------
# What was asked
# --------------------------------------------------------------------------------------------


def turns_of(row: Row, questions: Sequence[str] = QUESTIONS) -> tuple[list[Any], str]:
    """The turns of the record as ``from`` and ``value``, and the field where they stand.

    ``questions`` are the members that may hold a question alone. Raises BadField.
    """
    asked = row.get("input")
    if isinstance(asked, dict) and isinstance(asked.get("messages"), list):
        return _plain_turns(asked["messages"], "input.messages"), "input.messages"
    if isinstance(asked, list):
        return _plain_turns(asked, "input"), "input"
    for name in TURNS:
        if isinstance(row.get(name), list):
            return _plain_turns(row[name], name), name
    chosen = row.get("chosen")
    if isinstance(chosen, list) and len(chosen) > 1:  # TRL's form with the prompt in both answers
        turns = _plain_turns(chosen, "chosen")
        return turns, "chosen"
    name = next((name for name in questions if row.get(name) is not None), "question")
    question = text_of(dict(row), name)
    if name == "instruction" and isinstance(asked, str):  # Alpaca's form: what it is applied to
        question = f"{question}\n{asked}"
    question = without_placeholder(question)
    return [{"from": "human", "value": f"{IMAGE_MARK}\n{question}"}], name


def check_asked_once(
    row: Row,
    conversation: list[dict[str, str]],
    field: str,
    questions: Sequence[str] = QUESTIONS,
) -> None:
    """Raises BadField where another member says that something else than ``field`` was asked.

    So every member that holds turns or a question counts, and every turn before an answer: of two
    that differ, nobody but the author of the file knows which one the answers are to.
    """
    asked = [(turn["from"], _words_of(turn["value"])) for turn in conversation]
    for name in (*TURNS, *_TURNS_OF_ANSWERS):
        value = row.get(name)
        if name == field or not isinstance(value, list) or not any(map(_is_object, value)):
            continue
        turns = [_plain_turn(turn, f"{name}[{number}]") for number, turn in enumerate(value)]
        if name in _TURNS_OF_ANSWERS or (turns and SPEAKERS.get(turns[-1]["from"]) == "gpt"):
            turns.pop()
        before = [(SPEAKERS.get(turn["from"]), _words_of(turn["value"])) for turn in turns]
        if before and before != asked:
            raise BadField(name, f"answers other turns than {field}")
    compound = field == "instruction" and isinstance(row.get("input"), str)
    texts = {words for speaker, words in (asked[0], asked[-1]) if speaker == "human"}
    for name in questions:
        value = row.get(name)
        if name == field or compound or not isinstance(value, str) or not is_said(value):
            continue
        if not _is_inner(value) and _words_of(value) not in texts:
            said = f"{excerpt(value, 40)!r}, and {field} {excerpt(asked[-1][1], 40)!r}"
            raise BadField(name, f"asks something else than {field}: {said}")


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _words_of(text: str) -> str:
    return " ".join(text.replace(IMAGE_MARK, " ").split())


def _plain_turns(turns: list[Any], field: str) -> list[Any]:
    """Turns in one spelling, with the image's place in the first, wherever parts have it."""
    plain = [_plain_turn(turn, f"{field}[{number}]") for number, turn in enumerate(turns)]
    for number, turn in enumerate(plain):
        speaker_of(turn, f"{field}[{number}]")
    images = [_images_in(turn) for turn in turns]
    if sum(images) > 1:
        raise BadField(field, f"shows {sum(images)} images; {ONE_ONLY}")
    if plain and IMAGE_MARK not in plain[0]["value"]:
        plain[0] = {**plain[0], "value": f"{IMAGE_MARK}\n{plain[0]['value']}"}
    return plain


def _plain_turn(turn: Any, where: str) -> dict[str, Any]:
    """A turn of any spelling as {"from", "value"}; of parts of content, the texts as one."""
    if not isinstance(turn, dict):
        raise BadField(where, "is not an object")
    role = turn.get("from", turn.get("role"))
    content = turn.get("value", turn.get("content"))
    if isinstance(content, list):
        content = _text_of_parts(content, where)
    if content is not None and not isinstance(content, str):
        raise BadField(where, "holds neither a text nor parts of content")
    if _images_in(turn) and SPEAKERS.get(str(role)) != "human":
        raise BadField(where, "shows an image, and is no turn of the human")
    return {"from": str(role), "value": content or ""}


def _text_of_parts(parts: list[Any], where: str) -> str:
    texts = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("text", "input_text"):
            texts.append(text_of(part, "text", where, empty=True))
        elif isinstance(part, str):
            texts.append(part)
        elif kind not in _IMAGE_PARTS:
            raise BadField(where, "holds a part that is neither text nor an image")
    return "\n".join(texts)


def _images_in(turn: dict[str, Any]) -> int:
    """How many parts of a turn's content are images."""
    content = turn.get("value", turn.get("content"))
    parts = content if isinstance(content, list) else []
    return sum(isinstance(part, dict) and part.get("type") in _IMAGE_PARTS for part in parts)


def _question_of(conversation: list[dict[str, str]]) -> Any:
    """What the content of a record is told by: of one question its text alone, as ever."""
    if len(conversation) == 1:
        return without_placeholder(conversation[0]["value"])
    return conversation


def _without_answer(turns: list[Any], sides: _Sides) -> list[Any]:
    """The turns up to the question: a last turn of the model is one of the answers, or a fault."""
    last = turns[-1] if turns else {}
    answers = (sides.one.strip(), sides.two.strip(), "")
    if last.get("from") in ("gpt", "assistant", "model"):
        if str(last.get("value")).strip() not in answers:
            reason = "is filled, but is neither of the two answers"
            raise BadField(f"the last of {len(turns)} turns", reason)
        return turns[:-1]
    return turns


# --------------------------------------------------------------------------------------------
# The two answers
# --------------------------------------------------------------------------------------------


def _sides(row: Row, turns: list[Any]) -> _Sides:
    for better, worse in BETTER_AND_WORSE:
        if better in row and worse in row:
            place = _preference(row) if better == "better" else None
            one, two = _answer(row, better), _answer(row, worse)
            return _Sides(one, two, 1, placed=False, place=place)
    if listed := list_of_answers(row):
        responses = texts_of(row[listed])
        if len(responses) != 2:
            raise BadField(listed, f"holds {len(responses)} answers, not two")
        one, two = (text_of({listed: text}, listed) for text in responses)
        return _Sides(one, two, _preference(row), placed=True)
    for first, second in verdicts.FIRST_AND_SECOND:
        if first in row and second in row:
            return _Sides(_answer(row, first), _answer(row, second), _preference(row), placed=True)
    worse = next((name for name in REJECTED if name in row), "")
    if worse and turns and turns[-1].get("from") in ("gpt", "assistant", "model"):
        chosen = text_of(turns[-1], "value", "the last turn")
        return _Sides(chosen, _answer(row, worse), 1, placed=False)
    missing = "rejected" if row.get("chosen") is not None else "chosen"
    there = ", ".join(excerpt(name, 30) for name in list(row)[:12])
    raise BadField(missing, f"is missing (there are: {there})")


def _answer(row: Row, name: str) -> str:
    """A text, one turn, or turns of which the last is the answer."""
    value = row[name]
    if isinstance(value, list):
        if not value:
            raise BadField(name, "is empty")
        if all(isinstance(one, str) for one in value):
            if len(value) > 1:
                raise BadField(name, f"holds {len(value)} answers, not one")
            return text_of({name: value[0]}, name)
        value = _plain_turn(value[-1], f"{name}[{len(value) - 1}]")
    elif isinstance(value, dict):
        value = _plain_turn(value, name)
    if isinstance(value, dict):
        if value["from"] not in ("gpt", "assistant", "model", "None"):
            raise BadField(name, "does not end with an answer of the model")
        return text_of(value, "value", name)
    return text_of(dict(row), name)


def _preference(row: Row) -> int | None:
    """Which answer is better, 1 or 2; None where nothing is said, or neither is."""
    ranks = row.get(RANKING)
    if ranks is not None:  # VL-RewardBench: a rank for each answer, 0 for the better one
        if not isinstance(ranks, list) or len(ranks) != 2 or not all(map(_is_rank, ranks)):
            raise BadField(RANKING, "is not a rank for each of two answers")
        return None if ranks[0] == ranks[1] else 1 + (ranks[1] < ranks[0])
    column, side = verdicts.one_of(row)
    if not column:
        return None
    if side is None:
        words = ", ".join(repr(excerpt(row[name], 30)) for name in column.split(" and "))
        raise BadField(column, f"does not say which answer is better: {words}{_HOW_TO_SAY}")
    return {verdicts.FIRST: 1, verdicts.SECOND: 2}.get(side)


def _says_tie(row: Row) -> bool:
    return row.get(RANKING) is not None or verdicts.one_of(row)[1] == verdicts.TIE


def _is_rank(value: Any) -> bool:
    return type(value) in (int, float)


def _label(row: Row, preference: int | None, *, placed: bool) -> Label | None:
    if preference is None:
        return None
    honest = _is_honest(row.get("hallucination"))
    # The votes of the record are for sides, which it may not name; the margin is for the better.
    found = _counts(row) if placed else {}
    margin = share_of(row.get("margin"))
    if margin is not None:
        found["margin"] = margin
    return Label(preference=preference, hallucination=honest, **found)


def _is_honest(said: Any) -> bool:
    """Whether people decided by honesty, as every file says that says nothing of it."""
    if not is_said(said):
        return True
    word = str(said).strip().lower()
    if word not in (*_YES, *_NO):
        raise BadField("hallucination", f"is not true or false: {quoted(said)}")
    return word in _YES


def share_of(value: Any) -> float | None:
    """A number from 0 to 1, also as tables write it ("0,5"); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value.strip().replace(",", ".") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= 1 else None


def _counts(row: Row) -> dict[str, Any]:
    """Votes and margin where the record brings them, in the order of its answers."""
    columns = {"1": "votes_1", "2": "votes_2", "tie": "votes_tie"}
    votes = row.get("votes") or {side: row[name] for side, name in columns.items() if name in row}
    if not isinstance(votes, dict) or not votes:
        return {}
    counts = {side: whole_number(votes.get(side, 0)) for side in ("1", "2", "tie")}
    if None in counts.values():
        raise BadField("votes", "is not an object of counts")
    total = sum(count or 0 for count in counts.values())
    if not total:
        return {}
    return {"votes": counts, "margin": abs((counts["1"] or 0) - (counts["2"] or 0)) / total}


# --------------------------------------------------------------------------------------------
# What it is about, and what it is called
# --------------------------------------------------------------------------------------------


def _inner(text: Any) -> dict[str, Any]:
    """RLHF-V publishes question, chosen and rejected as JSON inside the column ``text``."""
    if text is None or not _is_inner(text):
        return {}
    try:
        value = parse_json(text) if isinstance(text, str) else text
    except NotJson as error:
        raise BadField("text", str(error)) from None
    if not isinstance(value, dict):
        raise BadField("text", "is not an object")
    return value


def _origin(value: Any) -> dict[str, Any]:
    """What ``origin_split`` says; a plain name (or nothing) says nothing that is read here."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _models(row: Row, origin: dict[str, Any]) -> tuple[str, str]:
    """Of the answers in the record's order: ours are named apart, RLAIF-V's are one model."""
    models = origin.get("models")
    if isinstance(models, dict):
        names = [models.get("chosen"), models.get("rejected")]
    elif isinstance(row.get("models"), list) and len(row["models"]) == 2:
        names = list(row["models"])
    else:
        named = _MODELS if _is_placed(row) else _MODELS[:2]
        pair = next((p for p in named if not row.keys().isdisjoint(p)), None)
        names = [row.get(name) for name in pair] if pair else [origin.get("model")] * 2
    first, second = (
        name if isinstance(name, str) and len(name) <= LONGEST_ID and is_storable(name) else ""
        for name in names
    )
    return first, second


def _row_id(row: Row, origin: dict[str, Any], content: str) -> str:
    if row.get("ds_name") == OURS and isinstance(origin.get("id"), str):
        return identifier(origin)
    if not is_absent(row.get("id")):
        return identifier(dict(row))
    name = row.get("ds_name") or row.get("origin_dataset") or "rlhf-v"
    number = content[:16] if is_absent(row.get("idx")) else identifier(dict(row), "idx")
    return identifier({"id": f"{name}-{number}"})


def image_of(row: Row) -> str:
    """The one name, in whichever member. Raises BadField."""
    name = name_of_picture(row)
    if name is None:
        reason = "is not the name of an image (pictures come beside the file, as a zip)"
        raise BadField("image", reason)
    return text_of({"image": name}, "image")


def captions_of(row: Row) -> list[str]:
    """The facts that a record brings. Raises BadField."""
    return captions_in(row)
