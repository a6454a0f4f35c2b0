"""AMBER's queries with what is known of their pictures: 1,004 to be described, 14,216 by yes or no.

The published folder holds the queries (all, or one part of them), the annotations by id, the table
of associations and the safe words; they are joined by id.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.reading.names import quoted
from benchmark.protocols import files
from benchmark.protocols.amber.describing import vocabulary_of
from benchmark.protocols.protocol import Refused

ALL = "query_all.json"
ANNOTATIONS, ASSOCIATIONS, SAFE_WORDS = "annotations.json", "relation.json", "safe_words.txt"
GENERATIVE = "generative"
TYPES = {
    "discriminative-hallucination": "existence",
    "discriminative-attribute-state": "state",
    "discriminative-attribute-number": "number",
    "discriminative-attribute-action": "action",
    "discriminative-relation": "relation",
    "relation": "relation",
    GENERATIVE: GENERATIVE,
}
"""The published types by the names that they have here."""
A_QUERY = "a query of AMBER"


@dataclass(frozen=True, kw_only=True)
class Question:
    """One query; ``truth`` is "yes" or "no", or the objects in the picture to be described."""

    id: int
    image: str
    query: str
    type: str
    truth: str | tuple[str, ...]
    lures: tuple[str, ...] = ()
    associations: dict[str, list[str]]
    vocabulary: tuple[str, ...] = ()
    safe_words: tuple[str, ...] = ()


def load_questions(folder: str | Path) -> list[Question]:
    """The queries of a published folder; of a file, of that part. Raises Refused with the place."""
    path = Path(folder)
    queries = path if path.is_file() else _queries(path)
    beside = queries.parent
    absent = [name for name in (ANNOTATIONS, ASSOCIATIONS) if not (beside / name).is_file()]
    if absent:
        raise Refused(f"{name} is missing beside {queries.name}" for name in absent)
    annotations = {
        files.number(data, "id", where): (where, data)
        for where, data in files.objects(beside / ANNOTATIONS)
    }
    associations = _associations(beside / ASSOCIATIONS)
    safe_words = _safe_words(beside / SAFE_WORDS)
    vocabulary = tuple(sorted(vocabulary_of(associations)))
    found: list[Question] = []
    for where, data in files.objects(queries, A_QUERY):
        number = files.number(data, "id", where, A_QUERY)
        if number not in annotations:
            raise Refused(f"{where}: id {number} has no annotation")
        known_where, known = annotations[number]
        kind = TYPES.get(str(known.get("type")))
        if kind is None:
            raise Refused(f"{known_where}: type is {quoted(known.get('type'))}")
        described = kind == GENERATIVE
        truth = _truth(known, known_where, described)
        lures = _words(known, "hallu", known_where) if described else ()
        found.append(
            Question(
                id=number,
                image=files.text(data, "image", where, A_QUERY),
                query=files.text(data, "query", where, A_QUERY),
                type=kind,
                truth=truth,
                lures=lures,
                associations={
                    name: associations[name]
                    for name in (*truth, *lures)
                    if described and name in associations
                },
                vocabulary=vocabulary if described else (),
                safe_words=safe_words if described else (),
            )
        )
    if not found:
        raise Refused(f"{queries.name}: holds no query")
    return found


def record(question: Question) -> dict[str, Any]:
    """The query in the fields that question sets are kept in."""
    described = not isinstance(question.truth, str)
    kept: dict[str, Any] = {
        "question_id": question.id,
        "question_type": question.type,
        "question_topic": "",
        "image_id": question.image,
        "image_src": question.image,
        "image_content": list(question.truth) if described else [],
        "question": question.query,
        "gt_answer": ", ".join(question.truth) if described else question.truth,
        "model_answer": "",
    }
    if described:
        kept |= {
            "truth": list(question.truth),
            "lures": list(question.lures),
            "associations": question.associations,
            "vocabulary": list(question.vocabulary),
            "safe_words": list(question.safe_words),
        }
    return kept


def _queries(folder: Path) -> Path:
    found = [folder / ALL] if (folder / ALL).is_file() else sorted(folder.glob("query_*.json"))
    if not found:
        raise Refused(f"{folder.name} holds no {ALL}, nor a part of it (query_*.json)")
    return found[0]


def _truth(known: dict[str, Any], where: str, described: bool) -> str | tuple[str, ...]:
    if described:
        return _words(known, "truth", where)
    if known.get("truth") not in ("yes", "no"):
        raise Refused(f"{where}: truth is {quoted(known.get('truth'))}, not 'yes' or 'no'")
    return str(known["truth"])


def _words(known: dict[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = known.get(name)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise Refused(f"{where}: {name} is not a list of words")
    return tuple(value)


def _associations(path: Path) -> dict[str, list[str]]:
    found = files.document(path)
    if not isinstance(found, dict) or not all(
        isinstance(words, list) and all(isinstance(word, str) for word in words)
        for words in found.values()
    ):
        raise Refused(f"{path.name}: is not an object of lists of words")
    return found


def _safe_words(path: Path) -> tuple[str, ...]:
    """One a line; none where the file is absent."""
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    return tuple(word for line in lines if (word := line.strip()))
