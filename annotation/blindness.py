"""What somebody who annotates is told: nothing that depends on what they must not know.

Hidden from annotators is which comparisons are gold or repeats, what others answered and whether
they agree, which models wrote the responses, and how people are measured. Reviewers are not blind.
A look before and after one answer, a day later too, must show the same whatever it was an answer
to. Hence the rules, each kept where it is named:

1. Own counts count every answer and skip (``progress.own_progress``).
2. Of a project its size is told, gold included (``progress.size``), and nothing that answers move:
   what is wanted, given or settled would tell whether an answer counted, and with whom it agreed.
3. Settings that say how people are measured are not told (``MEASURING_SETTINGS``).
4. Ids of records are not told: the file that they come from may name a model in them.
5. A check is shown by a lease on work, which holds a place of it: it comes, comes back and is lost
   as that work would (``gold_and_repeats.stand_in``).
6. Whoever misses too many known answers is paused, and notices that. The moment depends on how
   many answers they gave, of whatever kind, and on nothing else
   (``gold_and_repeats.PAUSE_DECIDED_EVERY``): a pause says that at least one of so many answers was
   wrong and known, never which.
7. Responses have numbers by the place where they are shown, 1 for A and 2 for B, in pages and over
   REST. The record's own, by which a file names models, are translated here (``meant``, ``told``).
8. One's own figures are those of all one's answers alike; what compares them with known answers,
   earlier ones or those of others is for reviewers (``quality.annotator_report``).
9. A machine's sample is drawn at random before the machine is asked, and is shown as work is; what
   it says of it, and whether that is right, moves nothing that is shown (``machine.labelling``).
   Before it is decided, reviewers too are told neither who is in it nor how much is settled.

What is told of nobody: the quiz and the examples of the guidelines, which teach and measure nobody,
name responses by the record's numbers, because explanations do. What cannot be hidden: somebody who
remembers every text knows a repeat when it comes; people who compare what they were shown know what
each of them was not; once all comparisons have been handed out, what still comes is disputed; and
what a certified machine has decided is handed out no more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from annotation import access
from annotation.answers import Answer
from annotation.models import Assignment, Judgment, Project, User

MEASURING_SETTINGS = ("gold_rate", "repeat_rate", "pause_below", "pause_after")


def is_blind(user: User, project: Project) -> bool:
    """Whether ``user`` annotates in ``project`` and may not review."""
    return not access.may(user, project, "review")


def meant(answer: Answer, assignment: Assignment) -> Answer:
    """The answer in the numbers of the record, from one in places; for the domain to check."""
    return replace(
        answer,
        more_hallucinated=assignment.turned(answer.more_hallucinated),
        more_helpful=assignment.turned(answer.more_helpful),
        spans=_turned_parts(answer.spans, assignment),
        corrections=_turned_parts(answer.corrections, assignment),
    )


def told(judgment: Judgment) -> dict[str, Any]:
    """What a judgment names, in places: the fields that differ from those that are stored."""
    shown = judgment.assignment
    return {
        "more_hallucinated": shown.turned(judgment.more_hallucinated),
        "more_helpful": shown.turned(judgment.more_helpful),
        "spans": _turned_parts(judgment.spans, shown),
        "corrections": _turned_parts(judgment.corrections, shown),
    }


def _turned_parts(parts: list[Any], shown: Assignment) -> list[Any]:
    """Marks or corrections, each of which names a response."""
    return [_turned_part(part, shown) for part in parts]


def _turned_part(part: Any, shown: Assignment) -> Any:
    if not isinstance(part, dict) or type(part.get("response")) is not int:
        return part
    return {**part, "response": int(shown.turned(str(part["response"])))}
