"""Votes on a comparison -> which response is the better one.

Annotators name the response that hallucinates *more*; what training needs is the *better* one.
The answer is turned round here, once, and nowhere else.

The paper's two-step rule (Sun et al., 2023, section 2.2): honesty first, helpfulness only between
responses judged equally honest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from django.db import connection

from annotation.models import Comparison
from annotation.prepared_statements import Statement
from annotation.texts import look_alike


class Verdict(StrEnum):
    """What a set of votes amounts to."""

    DECIDED = "decided"
    EQUAL = "equal"
    """Most found the two equally honest, and most of those equally helpful."""
    SPLIT = "split"
    """No majority for anything; one more vote could bring it."""


@dataclass(frozen=True, kw_only=True)
class Votes:
    """How many people gave each answer. Helpfulness is asked of those who tied, and only them."""

    more_hallucinated_1: int = 0
    more_hallucinated_2: int = 0
    tie: int = 0
    more_helpful_1: int = 0
    more_helpful_2: int = 0
    equally_helpful: int = 0

    @classmethod
    def count(cls, answers: Iterable[tuple[str, str]]) -> Votes:
        """From (more_hallucinated, more_helpful) pairs as a judgment stores them."""
        counts = dict.fromkeys(cls.__dataclass_fields__, 0)
        for more_hallucinated, more_helpful in answers:
            if more_hallucinated != "tie":
                counts[f"more_hallucinated_{more_hallucinated}"] += 1
                continue
            counts["tie"] += 1
            helpful = {"1": "more_helpful_1", "2": "more_helpful_2"}
            counts[helpful.get(more_helpful, "equally_helpful")] += 1
        return cls(**counts)

    @property
    def total(self) -> int:
        return self.more_hallucinated_1 + self.more_hallucinated_2 + self.tie

    def to_json(self) -> dict[str, int]:
        """Votes *for* each response, as a release states them (fact-rlhf, section 1)."""
        return {
            "1": self.more_hallucinated_2,
            "2": self.more_hallucinated_1,
            "tie": self.tie,
            "helpful_1": self.more_helpful_1,
            "helpful_2": self.more_helpful_2,
            "helpful_tie": self.equally_helpful,
        }


@dataclass(frozen=True, kw_only=True)
class Preference:
    """The outcome of a vote; the last three are None unless it is decided."""

    verdict: Verdict
    better: int | None = None
    """1 or 2."""
    hallucination: bool | None = None
    """True when honesty decided, False when helpfulness did."""
    margin: float | None = None
    """(votes for the better - votes for the worse) / all votes, in 0..1."""


def decide(votes: Votes) -> Preference:
    """The preference that ``votes`` express.

    Honesty decides when one response is named more often than the other *and* more often than
    "about the same"; otherwise the helpfulness votes decide by the same rule. Raises ValueError
    when nobody voted, or when the helpfulness votes are not one per tie.
    """
    if votes.total == 0 or min(asdict(votes).values()) < 0:
        raise ValueError("there is no vote to decide by")
    if votes.more_helpful_1 + votes.more_helpful_2 + votes.equally_helpful != votes.tie:
        raise ValueError("each tie needs one answer about helpfulness, and nothing else has one")
    accused = _more_than_both(votes.more_hallucinated_1, votes.more_hallucinated_2, votes.tie)
    if accused is not None:
        against = (votes.more_hallucinated_1, votes.more_hallucinated_2)
        margin = (against[accused - 1] - against[2 - accused]) / votes.total
        return Preference(
            verdict=Verdict.DECIDED, better=3 - accused, hallucination=True, margin=margin
        )
    helpful = _more_than_both(votes.more_helpful_1, votes.more_helpful_2, votes.equally_helpful)
    if helpful is not None:
        found = (votes.more_helpful_1, votes.more_helpful_2)
        margin = (found[helpful - 1] - found[2 - helpful]) / votes.total
        return Preference(
            verdict=Verdict.DECIDED, better=helpful, hallucination=False, margin=margin
        )
    tie_wins = votes.tie > max(votes.more_hallucinated_1, votes.more_hallucinated_2)
    equal_wins = votes.equally_helpful > max(votes.more_helpful_1, votes.more_helpful_2)
    return Preference(verdict=Verdict.EQUAL if tie_wins and equal_wins else Verdict.SPLIT)


def _more_than_both(first: int, second: int, neither: int) -> int | None:
    """1 or 2 when that one has more votes than the other two options, else None."""
    if first > max(second, neither):
        return 1
    if second > max(first, neither):
        return 2
    return None


SETTLED_FIELDS = (
    *("wanted_judgments", "open_slots", "judgment_count"),
    *("outcome", "preference", "hallucination", "margin", "machine_vote"),
)
SETTLE = Statement(
    "UPDATE annotation_comparison SET "
    + ", ".join(f"{name} = %({name})s" for name in SETTLED_FIELDS)
    + " WHERE id = %(comparison)s"
)
VOTES = Statement("""
SELECT more_hallucinated, more_helpful FROM annotation_judgment
WHERE comparison_id = %(comparison)s AND NOT surplus
""")


def settle(comparison: Comparison) -> None:
    """Brings outcome and slots of a locked comparison in line with its counted votes.

    A reviewer's adjudication stands above the votes, and the known answer of a gold item above all.
    Two texts that look alike are equal without a vote. A machine's vote stands until people have
    given theirs. What is taken out stays out, whatever is answered still.
    """
    if comparison.is_gold or comparison.outcome == Comparison.Outcome.RETIRED:
        comparison.save(update_fields=["judgment_count"])
        return
    outcome = Comparison.Outcome.WAITING
    verdict: Preference | None = None
    by_machine = False
    adjudication = getattr(comparison, "adjudication", None)
    if adjudication is not None:
        ruling = (adjudication.more_hallucinated, adjudication.more_helpful)
        verdict = decide(Votes.count([ruling]))
    elif look_alike(comparison.response_1, comparison.response_2):
        verdict = Preference(verdict=Verdict.EQUAL)
    elif comparison.judgment_count >= comparison.usual_judgments:
        verdict = decide(votes_on(comparison))
    elif comparison.machine_vote:
        verdict, by_machine = decide(Votes.count([(comparison.machine_vote, "")])), True
    comparison.machine_vote = comparison.machine_vote if by_machine else ""
    if verdict is not None and verdict.verdict == Verdict.SPLIT:
        if comparison.judgment_count >= comparison.most_judgments:
            outcome = Comparison.Outcome.DISPUTED
        elif comparison.judgment_count >= comparison.wanted_judgments:
            comparison.wanted_judgments += 1
            comparison.open_slots += 1
    elif verdict is None:
        # The project may want more by now than when it had its outcome.
        comparison.want_usual()
    else:
        decided = verdict.verdict == Verdict.DECIDED
        outcome = Comparison.Outcome.DECIDED if decided else Comparison.Outcome.UNDECIDED
    if outcome != Comparison.Outcome.WAITING:
        comparison.wanted_judgments -= comparison.open_slots
        comparison.open_slots = 0
    comparison.outcome = outcome
    comparison.preference = verdict.better if verdict else None
    comparison.hallucination = verdict.hallucination if verdict else None
    comparison.margin = verdict.margin if verdict else None
    SETTLE.run(
        comparison=comparison.pk, **{name: getattr(comparison, name) for name in SETTLED_FIELDS}
    )


def votes_on(comparison: Comparison) -> Votes:
    """The counted votes on a comparison; surplus ones are left out."""
    return Votes.count(VOTES.rows(comparison=comparison.pk))


# The machine's vote as ``settle`` counts it, on many at once: where nobody has voted, and nobody
# has it before them. Whatever people are at is theirs.
TAKE_MACHINE_VOTES = """
WITH free AS (
    SELECT comparison.id, label.id AS label, label.more_hallucinated AS vote
    FROM annotation_machinelabel AS label
    JOIN annotation_comparison AS comparison ON comparison.id = label.comparison_id
    WHERE label.labelling_id = %(labelling)s AND label.use = 'vote'
      AND label.more_hallucinated <> '' AND label.confidence >= %(threshold)s
      AND comparison.outcome = 'waiting' AND comparison.judgment_count = 0
      AND comparison.open_slots = comparison.wanted_judgments
      AND comparison.gold_more_hallucinated = ''
    ORDER BY comparison.id
    FOR NO KEY UPDATE OF comparison
), decided AS (
    UPDATE annotation_comparison AS comparison
    SET machine_vote = free.vote, outcome = 'decided', preference = 3 - free.vote::integer,
        hallucination = true, margin = 1, wanted_judgments = 0, open_slots = 0
    FROM free WHERE comparison.id = free.id
)
UPDATE annotation_machinelabel AS label SET stands = true FROM free WHERE label.id = free.label
"""
WITHDRAW_MACHINE_VOTES = """
WITH locked AS (
    SELECT comparison.id, label.id AS label, comparison.outcome = 'retired' AS retired,
           comparison.machine_vote <> '' AS by_machine,
           greatest(comparison.asked_judgments, project.judgments_per_comparison) AS usual,
           comparison.wanted_judgments - comparison.open_slots AS taken
    FROM annotation_machinelabel AS label
    JOIN annotation_comparison AS comparison ON comparison.id = label.comparison_id
    JOIN annotation_project AS project ON project.id = comparison.project_id
    WHERE label.labelling_id = %(labelling)s AND label.stands
    ORDER BY comparison.id
    FOR NO KEY UPDATE OF comparison
), withdrawn AS (
    UPDATE annotation_machinelabel AS label SET stands = false
    FROM locked WHERE label.id = locked.label
)
UPDATE annotation_comparison AS comparison
SET machine_vote = '', preference = NULL, hallucination = NULL, margin = NULL,
    outcome = CASE WHEN retired THEN 'retired' ELSE 'waiting' END,
    open_slots = CASE WHEN retired THEN 0 ELSE greatest(usual - taken, 0) END,
    wanted_judgments = CASE WHEN retired THEN taken ELSE greatest(usual, taken) END
FROM locked WHERE comparison.id = locked.id AND by_machine
"""


def take_machine_votes(labelling: int, *, threshold: float) -> int:
    """Decides by a machine what people have not begun; how many. Call it in a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE_MACHINE_VOTES, {"labelling": labelling, "threshold": threshold})
        return int(cursor.rowcount)


def withdraw_machine_votes(labelling: int) -> int:
    """Gives people what the machine had decided; how many. Call it in a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(WITHDRAW_MACHINE_VOTES, {"labelling": labelling})
        return int(cursor.rowcount)
