"""Answers that name no picture, joined to the questions that the project has.

LLaVA's ``model_vqa`` writes ``question_id``, ``prompt`` and ``text`` alone: the picture stands in
the file of questions. Where that one was imported as prompts, the id and the question's text
together say which picture an answer is about.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Subquery

from annotation.importing.forms.answer_files import IMAGES, named_in
from annotation.importing.forms.fields import identifier
from annotation.importing.record_files import BadField
from annotation.importing.record_image import is_absent
from annotation.models import Project, Prompt
from annotation.reading.names import excerpt
from annotation.texts import without_placeholder

_NO_QUESTION = (
    "is missing, and the project has no question of this question_id: import the file of "
    "questions, as prompts, before its answers"
)


_AHEAD = 1_000
"""Prompts that one query brings: answers mostly stand in the order of their questions."""
_MOST_KEPT = 100_000


class AskedBefore:
    """The prompts of a project, to be found by the id of an answer's question."""

    def __init__(self, project: Project) -> None:
        self._prompts = project.prompts.order_by("pk")
        self._kept: dict[str, Prompt | None] = {}

    def _prompt(self, id: str) -> Prompt | None:
        """The prompt of that id; those that were imported after it are looked up with it."""
        if id not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            first = self._prompts.filter(external_id=id).values("pk")[:1]
            ahead = self._prompts.filter(pk__gte=Subquery(first)).select_related("image")
            self._kept[id] = None
            self._kept.update((prompt.external_id, prompt) for prompt in ahead[:_AHEAD])
        return self._kept[id]

    def with_image(self, record: Any) -> Any:
        """The record with the picture of its question; itself where it names one, or no question.

        Raises BadField where the project has no such question, or another one under the id.
        """
        if not isinstance(record, dict) or is_absent(record.get("question_id")):
            return record
        if any(not is_absent(record.get(name)) for name in IMAGES):
            return record
        id, question = identifier(record, "question_id"), record.get(named_in(record)[0])
        prompt = self._prompt(id)
        if prompt is None:
            raise BadField("image_src", _NO_QUESTION)
        asked = prompt.conversation[-1]["value"]
        one_turn = len(prompt.conversation) == 1
        if not one_turn or _words(question) != _words(without_placeholder(asked)):
            reason = f"asks something else than question {excerpt(id)!r} of this project"
            raise BadField(named_in(record)[0], f"{reason}: {excerpt(asked)!r}")
        return {**record, "image_src": prompt.image.filename}


def _words(text: Any) -> list[str]:
    return without_placeholder(text).split() if isinstance(text, str) else []
