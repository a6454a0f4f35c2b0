"""Two responses to one prompt: what people compared, what they marked, and what came of it.

A mark is never a wish: it says what is false, or (``CORRECTION``) what stands in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from training.rlhf.contract.records import (
    Record,
    given_or,
    require,
    shared_fields,
    text_of,
    turns_to_json,
)
from training.rlhf.contract.wire import ContractError, build, finite, is_one_of, to_json

CORRECTION = "correction"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Characters of a response that people found hallucinated, ``start`` up to before ``end``.

    In Unicode code points of the text as it stands in the record: nothing is normalised.
    """

    start: int
    end: int
    kind: str = "other"
    """What is wrong there; ``CORRECTION`` for words that stand where wrong ones stood."""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """An output as somebody says that it ought to read: better than it, whatever the other one."""

    output: Literal[1, 2]
    """Which one it corrects."""
    text: str
    marks: tuple[Mark, ...] = ()
    """Of ``text``: what stands where false words stood, all of kind ``CORRECTION``."""
    replaced: tuple[Mark, ...] = ()
    """Of the output: the words that are gone or changed."""

    def to_json(self) -> dict[str, Any]:
        marks = {name: [to_json(m) for m in getattr(self, name)] for name in ("marks", "replaced")}
        return {"output": self.output, "value": self.text, **marks}


@dataclass(frozen=True, kw_only=True)
class ResponsePair(Record):
    """Two responses to score; nobody need have said which is better."""

    output_1: str
    output_2: str

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**shared_fields(data, text_alone=True), **_outputs(data))


@dataclass(frozen=True, kw_only=True)
class PreferencePair(ResponsePair):
    """One line of a release in the ``llava_rlhf`` format: the paper's own, and more."""

    model_1: str = ""
    model_2: str = ""
    preference: Literal[1, 2]
    """The better output."""
    hallucination: bool = True
    """True when honesty decided, False when helpfulness did."""
    votes: dict[str, int] = field(default_factory=dict)
    margin: float = 0.0
    """(votes for the better - votes for the worse) / votes, in 0..1."""
    marks_1: tuple[Mark, ...] | None = None
    """Of ``output_1``; None where nobody looked for false words, () where nobody found any."""
    marks_2: tuple[Mark, ...] | None = None
    corrections: tuple[Correction, ...] = ()

    @property
    def better(self) -> str:
        return self.output_1 if self.preference == 1 else self.output_2

    @property
    def worse(self) -> str:
        return self.output_2 if self.preference == 1 else self.output_1

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Of both outputs."""
        return (*(self.marks_1 or ()), *(self.marks_2 or ()))

    @property
    def telling_marks(self) -> tuple[tuple[Mark, ...], tuple[Mark, ...]]:
        """Of both outputs, the marks that say which words made one better (dense DPO).

        Of the worse one what people found false, of the better one what replaced it; what is false
        in the better one too is nothing to learn.
        """
        both = (self.marks_1 or (), self.marks_2 or ())
        one, two = (
            tuple(
                mark for mark in marks if (mark.kind == CORRECTION) == (self.preference == number)
            )
            for number, marks in zip((1, 2), both, strict=True)
        )
        return one, two

    def corrected(self) -> tuple[PreferencePair, ...]:
        """A pair for each correction: the corrected text is better than the output it corrects.

        The output keeps its place; nobody voted, and honesty decided.
        """
        return tuple(
            self._corrected(correction, number)
            for number, correction in enumerate(self.corrections, start=1)
        )

    def _corrected(self, correction: Correction, number: int) -> PreferencePair:
        kept = correction.output
        put: Literal[1, 2] = 2 if kept == 1 else 1
        changes: dict[str, Any] = {
            f"output_{put}": correction.text,
            f"model_{put}": "",
            f"marks_{put}": correction.marks,
            f"marks_{kept}": self._false_in(kept, correction),
        }
        return replace(
            self,
            id=f"{self.id}#correction-{number}",
            preference=put,
            hallucination=True,
            votes={},
            margin=1.0,
            corrections=(),
            **changes,
        )

    def _false_in(self, output: int, correction: Correction) -> tuple[Mark, ...] | None:
        """What is false in an output: what people marked in it, and what the correction replaced.

        None where nobody marked and nothing was replaced: a word that was only put in says nothing
        of the others.
        """
        marked = self.marks_1 if output == 1 else self.marks_2
        if marked is None and not correction.replaced:
            return None
        both = {*(marked or ()), *correction.replaced}
        return tuple(sorted(both, key=lambda mark: (mark.start, mark.end, mark.kind)))

    @property
    def share_for_better(self) -> float:
        """Share of the votes for the better output, a tie counting half; 1 without votes."""
        total = sum(self.votes.values())
        if not total:
            return 1.0
        return (self.votes.get(str(self.preference), 0) + 0.5 * self.votes.get("tie", 0)) / total

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "image": self.image_json,
            "conversations": turns_to_json(self.conversation, answer=""),
            "output_1": _output_to_json(self.model_1, self.output_1, self.marks_1),
            "output_2": _output_to_json(self.model_2, self.output_2, self.marks_2),
            "preference": self.preference,
            "hallucination": self.hallucination,
            "captions": list(self.captions),
            "votes": self.votes,
            "margin": self.margin,
            **self._corrections_to_json(),
        }

    def _corrections_to_json(self) -> dict[str, Any]:
        given = [correction.to_json() for correction in self.corrections]
        return {"corrections": given} if given else {}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        shared = shared_fields(data, text_alone=True)
        preference = require(data, "preference", int)
        if preference not in (1, 2):
            raise ContractError("preference", f"is {preference}, not 1 or 2")
        outputs = _outputs(data)
        models: dict[str, Any] = {
            f"model_{n}": _model(data[f"output_{n}"], f"output_{n}") for n in (1, 2)
        }
        return cls(
            **shared,
            **outputs,
            **models,
            marks_1=_marks(data["output_1"], "output_1"),
            marks_2=_marks(data["output_2"], "output_2"),
            corrections=_corrections(data),
            preference=preference,
            hallucination=_hallucination(data.get("hallucination")),
            votes=_votes(data.get("votes")),
            margin=_margin(data.get("margin", 0.0)),
        )


def _outputs(data: dict[str, Any]) -> dict[str, Any]:
    names = ("output_1", "output_2")
    return {name: text_of(require(data, name, dict), "value", name) for name in names}


def _model(output: dict[str, Any], name: str) -> str:
    return "" if output.get("from") is None else text_of(output, "from", name)


def _hallucination(given: Any) -> bool:
    if given is None:
        return True
    if not isinstance(given, bool):
        raise ContractError("hallucination", "is neither true nor false")
    return given


def _votes(given: Any) -> dict[str, int]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ContractError("votes", "is not an object of counts")
    for name, count in given.items():
        if type(count) is not int or count < 0:
            raise ContractError(f"votes.{name[:60]}", "is no count (votes is an object of counts)")
    return dict(given)


def _margin(given: Any) -> float:
    margin = finite(given, "margin")
    if not 0 <= margin <= 1:
        raise ContractError("margin", "is not between 0 and 1")
    return margin


def _output_to_json(model: str, text: str, marks: tuple[Mark, ...] | None) -> dict[str, Any]:
    output: dict[str, Any] = {"from": model, "value": text}
    return output if marks is None else output | {"marks": [to_json(mark) for mark in marks]}


def _marks(output: dict[str, Any], name: str) -> tuple[Mark, ...] | None:
    given = output.get("marks")
    return None if given is None else _marks_of(given, output["value"], f"{name}.marks")


def _marks_of(given: Any, text: str, name: str) -> tuple[Mark, ...]:
    if not isinstance(given, list):
        raise ContractError(name, "is not a list")
    marks = []
    for position, item in enumerate(given):
        where = f"{name}[{position}]"
        mark: Mark = build(Mark, item, where)
        if not 0 <= mark.start < mark.end <= len(text):
            raise ContractError(where, f"{mark.start} to {mark.end} lies outside the text")
        marks.append(mark)
    return tuple(marks)


def _corrections(data: dict[str, Any]) -> tuple[Correction, ...]:
    given = given_or(data, "corrections", [])
    if not isinstance(given, list):
        raise ContractError("corrections", "is not a list")
    found = []
    for position, one in enumerate(given):
        where = f"corrections[{position}]"
        if not isinstance(one, dict):
            raise ContractError(where, "is not an object")
        output: Any = one.get("output")
        text = text_of(one, "value", where)
        if not is_one_of(output, (1, 2)):
            raise ContractError(f"{where}.output", f"is {output!r}, not 1 or 2")
        answer = data[f"output_{output}"]["value"]
        marks = _marks_of(one.get("marks", []), text, f"{where}.marks")
        replaced = _marks_of(one.get("replaced", []), answer, f"{where}.replaced")
        found.append(Correction(output=output, text=text, marks=marks, replaced=replaced))
    return tuple(found)
