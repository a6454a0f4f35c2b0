"""Answer files whose lines name their question by id, as POPE's and LLaVA-Bench's do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.protocols.protocol import Protocol, Refused


class ById(Protocol):
    """Joins answers by ``question_id``."""

    def read_answers(self, path: Path, questions: Sequence[dict[str, Any]]) -> dict[int, str]:
        said = load_answers(path)
        known = {data["question_id"]: place for place, data in enumerate(questions)}
        strangers = [number for number in said if number not in known]
        if strangers:
            raise Refused(
                f"{path.name}: question_id {number} is not in the question set"
                for number in strangers
            )
        if not said:
            raise Refused([f"{path.name}: holds no answer"])
        return {known[number]: text for number, text in said.items()}


def load_answers(path: str | Path) -> dict[int, str]:
    """A model's answers by question_id: one JSON object a line with "text" or "answer".

    Raises Refused for a line without an id: lines are never matched by their place.
    """
    path = Path(path)
    answers: dict[int, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        try:
            data = json.loads(line)
            question_id = int(data["question_id"])
            text = data["text"] if "text" in data else data["answer"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"{where}: is not an answer with question_id ({error!r})") from error
        if not isinstance(text, str):
            raise Refused([f"{where}: the answer is not a text"])
        if question_id in answers:
            raise Refused([f"{where}: question_id {question_id} is answered twice"])
        answers[question_id] = text
    return answers
