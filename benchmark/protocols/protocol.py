"""What a protocol is: everything that a benchmark decides for itself.

Nothing outside a protocol's folder asks which benchmark it has before it: whatever differs between
two of them is a member here, and each folder answers it. The parts come in the order in which an
evaluation meets them: questions, answers, the judge, verdicts, figures, pages.

Nothing here knows the database; ``Given`` is what a verdict says, wherever it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from benchmark.protocols.figure_display import Axis, Shown, Table
from benchmark.statistics import Measure

RATING = ""
"""The order of a verdict that is one request: nothing was shown first."""
EXACT, OPENAI, PERSON = "exact", "openai", "person"
"""The kinds of judges, as ``benchmark.models.Judge.Kind`` has them."""

Mode = Literal["careful", "reference"]
State = Literal["parsed", "unparsed", "failed"]
Pair = tuple[float, float]
"""(reference, model): two scores of one question."""
Value = float | tuple[float, ...]
"""What one answer contributes to a figure."""


class Refused(ValueError):
    """A file that is not taken; ``reasons`` names each place at fault."""

    def __init__(self, reasons: str | Iterable[str]) -> None:
        self.reasons = [reasons] if isinstance(reasons, str) else list(reasons)
        super().__init__("\n".join(self.reasons))


@dataclass(frozen=True)
class ReadQuestion:
    """One question as read: what is stored, and the names that its image may have."""

    data: dict[str, Any]
    image_names: tuple[str, ...]


@dataclass(frozen=True)
class Joined:
    """What a file of answers says: by the place of the question, and how many answers to other
    questions were left out."""

    answers: dict[int, str]
    others: int = 0


@dataclass(frozen=True, kw_only=True)
class Item:
    """One request to a judge; ``id`` is the caller's."""

    id: int
    question: dict[str, Any]
    """The question's record as its question set keeps it."""
    answer: str
    order: str = RATING
    finished: bool = True
    """Whether the answer ended by itself rather than at the length limit."""
    image: str = ""
    """The picture as a data URL, for a benchmark that shows it to its judges."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a reply says: a rating, the scores (reference, model), or counts; nothing while it is
    unclear."""

    rating: int | None = None
    scores: Pair | None = None
    found: dict[str, Any] | None = None

    @property
    def clear(self) -> bool:
        return any(part is not None for part in (self.rating, self.scores, self.found))


@dataclass(frozen=True, kw_only=True)
class Outcome(Reading):
    """What a judge made of one item; clear exactly where ``state`` is "parsed"."""

    text: str
    state: State
    calls: int = 0
    tokens: int = 0


class Given(NamedTuple):
    """What a verdict says; all None but ``order`` while it is open."""

    order: str = RATING
    rating: int | None = None
    reference_score: float | None = None
    model_score: float | None = None
    found: dict[str, Any] | None = None

    @property
    def scores(self) -> Pair | None:
        """(reference, model); None while open, and for a rating."""
        if self.reference_score is None or self.model_score is None:
            return None
        return (self.reference_score, self.model_score)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An answer with what its judge made of it."""

    index: int
    """Place of its question in the question set."""
    type: str
    given: tuple[Given, ...] = ()
    question: dict[str, Any] = field(default_factory=dict)
    """Empty where only the tested figure is asked for."""

    @property
    def picture(self) -> Hashable:
        """What several questions may be about; such questions are not independent of each other."""
        return self.question.get("image_id", self.index)

    @property
    def rating(self) -> int | None:
        return next((one.rating for one in self.given if one.rating is not None), None)

    @property
    def found(self) -> dict[str, Any] | None:
        return next((one.found for one in self.given if one.found is not None), None)


@dataclass(frozen=True)
class Compared:
    """A figure on which two models can be tested: what each answer contributes (None while that
    is open), and how contributions become the figure."""

    value: Callable[[Judged], Value | None]
    measure: Measure


@dataclass(frozen=True)
class Cell:
    """What one answer got, in a table of many: "right", "5", "7.5 to 8"."""

    text: str
    good: bool
    value: float
    """What models are held to differ by."""


@dataclass(frozen=True, kw_only=True)
class Undecided:
    """In how many of the pairs asked whoever judges preferred neither response: half a point each,
    which looks like chance and is no preference at all."""

    count: int
    asked: int
    title: str
    """What it is called beside figures: "Orders disagree"."""
    why: str
    """What happened in those pairs, as the end of a sentence."""

    @property
    def never(self) -> bool:
        """Whether nothing was decided: no score of it is a measurement."""
        return self.count == self.asked

    @property
    def often(self) -> bool:
        return 2 * self.count >= self.asked

    @property
    def told(self) -> str:
        """ "Undecided in 3 of 10 pairs: ..."."""
        pairs = "pair" if self.asked == 1 else "pairs"
        return f"Undecided in {self.count} of {self.asked} {pairs}: {self.why}."


class Protocol:
    """A benchmark. A folder under ``benchmark.protocols`` has one instance of a subclass."""

    name: ClassVar[str]
    """What question sets are kept under: short, stable, for addresses and files."""
    title: ClassVar[str]

    # ---- questions and answers -----------------------------------------------------------------

    files: ClassVar[tuple[str, ...]]
    """Patterns of the names under which its questions are published."""

    def read_questions(self, path: Path) -> list[ReadQuestion]:
        """The questions of one file. Raises ValueError (``Refused`` for many places)."""
        raise NotImplementedError

    def identity(self, data: dict[str, Any]) -> dict[str, Any]:
        """What of a question tells the version of its set: all that is read of it."""
        return data

    def set_name(self, path: Path, count: int) -> str:
        """What pages call the question set of a file."""
        return self.title

    def read_answers(
        self, path: Path, questions: Sequence[dict[str, Any]], *, leave_out_others: bool = False
    ) -> Joined:
        """A model's answers to ``questions``. Joined by all that both sides carry, never by the
        order of lines. Raises ValueError (``Refused``), for answers to other questions too unless
        these are to be left out."""
        raise NotImplementedError

    # ---- the judge -----------------------------------------------------------------------------

    unsuitable: ClassVar[str]
    """Why it does not take a judge of another kind, as the end of a sentence about the set."""
    orders: ClassVar[tuple[str, ...]] = (RATING,)
    """The verdicts that each answer gets: one, or one per order of what is shown."""
    order_titles: ClassVar[Mapping[str, str]] = {}

    shows_pictures: ClassVar[bool] = False
    """Whether an endpoint is sent the question's picture."""

    def orders_for(self, kind: str) -> tuple[str, ...]:
        """``orders``, as far as a judge of this kind is asked in them."""
        return self.orders

    def wording(self, kind: str) -> str | None:
        """The hash of what a judge of this kind is asked or rules by; None: it cannot judge."""
        raise NotImplementedError

    def messages(self, item: Item) -> list[dict[str, Any]]:
        """The chat messages that ask an endpoint."""
        raise NotImplementedError

    def read(self, item: Item, text: str, *, mode: Mode) -> Reading:
        """What an endpoint's reply to ``messages(item)`` says."""
        raise NotImplementedError

    def judge_exactly(self, items: Sequence[Item], *, mode: Mode) -> Iterator[tuple[Item, Outcome]]:
        """Verdicts by rule. Raises ValueError for a question that carries no truth."""
        raise NotImplementedError

    # ---- verdicts ------------------------------------------------------------------------------

    def settled(self, said: Mapping[str, str]) -> dict[str, Any]:
        """A person's decision of an unclear verdict, as the verdict's fields. ValueError says
        what is expected."""
        raise NotImplementedError

    def good(self, verdicts: Any, *, wanted: bool) -> Any:
        """The ids of answers that are good, or not: a queryset of ``answer`` out of a queryset of
        verdicts of one evaluation, where open ones count as neither."""
        raise NotImplementedError

    verdict_columns: ClassVar[tuple[str, ...]] = ("rating", "verdict_state", "verdict")

    def verdict_row(self, reviews: Sequence[Any]) -> dict[str, Any]:
        """An answer's verdicts in ``verdict_columns``, for a table to take along."""
        verdict = reviews[0] if reviews else None
        return {
            "rating": verdict.rating if verdict else None,
            "verdict_state": verdict.state if verdict else None,
            "verdict": verdict.text if verdict else None,
        }

    # ---- figures -------------------------------------------------------------------------------

    figures: ClassVar[tuple[Shown, ...]]
    """What its evaluations show; the first one ranks."""
    brief: ClassVar[int] = 3
    """How many of them stand together where there is little room: one that silence makes good
    stands beside the one that silence makes bad."""
    tested: ClassVar[str]
    """The figure that pairs of models are tested on; its value needs no ``Judged.question``."""
    compared: ClassVar[Mapping[str, Compared]]
    """The figures that two models can be tested on."""
    types: ClassVar[tuple[str, ...]] = ()
    """Question types with figures of their own, in the order in which they are shown."""
    answer_types: ClassVar[tuple[str, ...]] = ()
    """Question types to filter by, where they are others."""
    type_titles: ClassVar[Mapping[str, str]] = {}
    """Names of question types for people, where the published ones are short."""
    type_figures: ClassVar[tuple[Shown, ...]] = ()
    """Shown for each type; the first one is drawn."""
    type_axis: ClassVar[Axis] = Axis("score", "")
    headline_axis: ClassVar[Axis]
    ranks_judges: ClassVar[bool] = False
    """Whether what judges is what is measured: evaluations of all judges are then one ranking."""

    @property
    def units(self) -> dict[str, str]:
        """Of each figure, what its value is stored in."""
        return {shown.name: shown.stored_in for shown in self.figures}

    def summarise(self, answers: Sequence[Judged]) -> dict[str, Any]:
        """Each figure as {"value", "low", "high"}, None while a verdict that it needs is open,
        ``statistics.NOT_DEFINED`` where it has nothing to divide by; one that is of a part of the
        questions has their number in "count". In "by_type" a count and the ``type_figures`` of
        each type."""
        raise NotImplementedError

    def undecided(self, summary: Mapping[str, Any], kind: str) -> Undecided | None:
        """Where whoever judges (of this kind) may prefer neither: how often, out of what
        ``Evaluation.summary`` holds. None where every verdict says something."""
        return None

    def extremes(self, answer: Judged) -> tuple[Given, ...]:
        """The verdicts between which an open one must lie."""
        raise NotImplementedError

    def bounds(self, answers: Sequence[Judged]) -> dict[str, dict[str, float]]:
        """Where each figure lies whatever the open verdicts turn out to be: {"low", "high"}.
        Empty while nothing is open, or nothing is settled."""
        opened = [place for place, one in enumerate(answers) if self._open(one)]
        if not opened or len(opened) == len(answers):
            return {}
        found: dict[str, list[float]] = {}
        for choice in range(len(self.extremes(answers[opened[0]]))):
            filled = list(answers)
            for place in opened:
                filled[place] = self._filled(answers[place], choice)
            summary = self.summarise(filled)
            for shown in self.figures:
                if summary.get(shown.name) and summary[shown.name]["value"] is not None:
                    found.setdefault(shown.name, []).append(summary[shown.name]["value"])
        return {name: {"low": min(ends), "high": max(ends)} for name, ends in found.items()}

    def _open(self, answer: Judged) -> bool:
        return {one.order for one in answer.given if _says(one)} != set(self.orders)

    def _filled(self, answer: Judged, choice: int) -> Judged:
        extreme = self.extremes(answer)[choice]
        kept = {one.order: one for one in answer.given if _says(one)}
        given = tuple(kept.get(order, extreme._replace(order=order)) for order in self.orders)
        return replace(answer, given=given)

    # ---- pages ---------------------------------------------------------------------------------

    published: ClassVar[tuple[Table, ...]] = ()
    """Figures of others, to stand beside and never to be ranked with ours."""
    outcome_template: ClassVar[str]
    """A fragment that shows what ``answer`` got, in a line."""
    answer_template: ClassVar[str] = "benchmark/answers/text.html"
    """A fragment that shows what the model said to a ``question``, and the reference."""
    settle_template: ClassVar[str]
    """The inputs of a form that settles ``verdict`` of a ``question``."""
    known_template: ClassVar[str] = ""
    """A fragment that shows what is known of a ``question``'s picture; empty for nothing."""
    known_title: ClassVar[str] = "Known to be in the picture"
    reference_title: ClassVar[str] = "Truth"
    reference_label: ClassVar[str] = "Truth"
    """What the answer in ``gt_answer`` is: above it, and beside it."""
    unread: ClassVar[str] = "a rating"
    """What an unclear verdict could not be read as."""
    unjudged: ClassVar[str] = "answer"
    """What got no verdict where a judge failed."""
    shows: ClassVar[Mapping[str, str]] = {
        "hallucinated": "Hallucinated",
        "honest": "Without hallucination",
    }
    """Names of what is not ``good`` and what is, in this order."""
    compare_note: ClassVar[str] = ""
    change_note: ClassVar[str] = ""
    explorer_note: ClassVar[str] = ""
    """A sentence under the comparison, the changed questions, the table of all questions."""
    agreement: ClassVar[tuple[str, float] | None] = None
    """Of judges with each other: what "the same side" is called, and the value at which the good
    side begins; None where judges are rules."""
    judged_scale: ClassVar[tuple[float, float]] = (0, 6)
    """From where to where that value goes."""

    def cell(self, value: Value) -> Cell:
        """The tested figure's value of one answer, for the table of all questions."""
        raise NotImplementedError

    def own(self, value: Value) -> float:
        """The same as one number, for a list of changes."""
        return value[-1] if isinstance(value, tuple) else value


def _says(given: Given) -> bool:
    return any(part is not None for part in given[1:])
