"""What a person may answer, checked against the project and the responses it is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext

from annotation import corrections
from annotation.errors import DomainError
from annotation.models import Comparison, Judgment, JudgmentVersion, Project
from annotation.models.work import ANSWER_FIELDS, Choice
from annotation.texts import is_visible
from config.sanitising import is_storable

SPAN_KINDS = ("object", "attribute", "number", "position", "action", "text", "other")
LONGEST_NOTE = 2000


class InvalidAnswer(DomainError):
    """``extra["field"]`` names the part at fault."""

    status = 422
    title = "The answer is not valid"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a person says about a comparison; choices are "1", "2" (responses) or "tie"."""

    more_hallucinated: str
    more_helpful: str = ""
    spans: list[dict[str, Any]] = field(default_factory=list)
    corrections: list[dict[str, Any]] = field(default_factory=list)
    confidence: int | None = None
    note: str = ""
    active_seconds: float | None = None

    def check(self, project: Project, comparison: Comparison) -> None:
        """Raises InvalidAnswer, naming the field, unless the project can take this answer."""
        if self.more_hallucinated not in Choice.values:
            raise InvalidAnswer("must be 1, 2 or tie", field="more_hallucinated")
        tie = self.more_hallucinated == Choice.TIE
        if tie and not project.allow_tie:
            raise InvalidAnswer(gettext("this project takes no ties"), field="more_hallucinated")
        if tie and self.more_helpful not in Choice.values:
            raise InvalidAnswer("must be 1, 2 or tie after a tie", field="more_helpful")
        if not tie and self.more_helpful:
            raise InvalidAnswer("is asked only after a tie", field="more_helpful")
        if self.confidence is not None and self.confidence not in range(1, 6):
            raise InvalidAnswer("must be from 1 to 5", field="confidence")
        check_note(self.note)
        if self.active_seconds is not None and not 0 <= self.active_seconds < 1e6:
            raise InvalidAnswer("is not a duration", field="active_seconds")
        texts = {1: comparison.response_1, 2: comparison.response_2}
        for position, span in enumerate(self.spans):
            _check_span(span, texts, f"spans[{position}]")
        for position, one in enumerate(self.corrections):
            _check_correction(one, texts, f"corrections[{position}]")
        if len({one["response"] for one in self.corrections}) < len(self.corrections):
            raise InvalidAnswer("correct one response twice", field="corrections")

    def check_all_asked(self, project: Project) -> None:
        """Raises InvalidAnswer where what the project requires is not there. Rulings need not."""
        asked = corrections.asked_for(project, self.more_hallucinated, self.more_helpful)
        if asked is None or not project.correction_required:
            return
        if all(one["response"] != asked for one in self.corrections):
            raise InvalidAnswer(
                gettext(
                    "must have the corrected text of the response that this project asks for "
                    "(%(which)s); its own text where nothing in it is false"
                )
                % {"which": project.get_ask_correction_display().lower()},
                field="corrections",
            )

    def says_the_same_as(self, other: JudgmentVersion | Judgment) -> bool:
        """Equal in all that a person chose; the time a retry measured is not part of it."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ANSWER_FIELDS
            if name != "active_seconds"
        )


def check_note(note: str) -> None:
    """Raises InvalidAnswer for a note that is too long or cannot be stored."""
    if len(note) > LONGEST_NOTE:
        raise InvalidAnswer(
            gettext("is longer than %(most)s characters") % {"most": LONGEST_NOTE}, field="note"
        )
    if not is_storable(note):
        raise InvalidAnswer(gettext("holds characters that cannot be stored"), field="note")


def _check_response(number: Any, where: str) -> None:
    """The very type: 1.0 and true equal 1, but whoever turns sides passes them by."""
    if type(number) is not int or number not in (1, 2):
        raise InvalidAnswer("must be 1 or 2", field=f"{where}.response")


def _check_correction(one: Any, texts: dict[int, str], where: str) -> None:
    if not isinstance(one, dict) or set(one) != {"response", "text"}:
        raise InvalidAnswer("must have response and text", field=where)
    response, text = one["response"], one["text"]
    _check_response(response, where)
    if not isinstance(text, str) or not is_storable(text):
        raise InvalidAnswer(gettext("is no text that can be stored"), field=f"{where}.text")
    longest = corrections.longest(texts[response])
    if len(text) > longest:
        reason = gettext(
            "is longer than %(most)s characters, which a correction of this response may be"
        ) % {"most": longest}
        raise InvalidAnswer(reason, field=f"{where}.text")
    if not is_visible(text) and corrections.is_changed(texts[response], text):
        raise InvalidAnswer(gettext("holds nothing visible"), field=f"{where}.text")


def _check_span(span: Any, texts: dict[int, str], where: str) -> None:
    if not isinstance(span, dict) or set(span) != {"response", "start", "end", "kind"}:
        raise InvalidAnswer("must have response, start, end and kind", field=where)
    start, end, kind = span["start"], span["end"], span["kind"]
    _check_response(span["response"], where)
    whole = type(start) is int and type(end) is int
    if not whole or not 0 <= start < end <= len(texts[span["response"]]):
        raise InvalidAnswer("lies outside the response", field=f"{where}.start")
    if not isinstance(kind, str) or kind not in SPAN_KINDS:
        raise InvalidAnswer(f"must be one of {', '.join(SPAN_KINDS)}", field=f"{where}.kind")
