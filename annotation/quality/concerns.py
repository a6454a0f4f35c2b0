"""What must be said aloud wherever answers of a project are used: that they may be noise.

A concern is made here and nowhere else. The pages of the project show those of today; a release
keeps those of its moment for ever, and every run, model card and score made from it carries them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from annotation.models import Figures, Project, Release
from annotation.quality import figures
from annotation.quality.reading_speed import WORDS_A_SECOND, Reading, together

CHANCE = "agreement_not_above_chance"
UNMEASURED = "agreement_not_measured"
FAST = "answers_too_fast"
UNINFORMATIVE = "people_without_information"
MACHINE = "machine_votes"
FEWEST_TIMED = 10
MUCH = 0.2
"""Share of the answers, or of the votes, from which on it concerns the whole project."""
SLIGHT = 0.2
"""An alpha that is surely below this is at best slight (Landis and Koch 1977)."""


@dataclass(frozen=True, kw_only=True)
class Concern:
    """``grave`` ones need somebody's word before a release is made of such answers."""

    code: str
    text: str
    grave: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def of_project(project: Project, kept: Figures | None = None) -> list[Concern]:
    """What speaks against the project's answers as they are; gravest first."""
    kept = kept or figures.current(project)
    return [
        *of_agreement(kept.data.get("agreement") or {}),
        *_of_reading(figures.readings(kept).values()),
        *_of_people(figures.agreements(kept), kept.data.get("gold_right_surely", [])),
    ]


def of_release(release: Release) -> list[Concern]:
    """The same for what a release froze: its own agreement, and the speed and people of its day."""
    others = [one for one in of_project(release.project) if one.code not in (CHANCE, UNMEASURED)]
    return [*of_agreement(release.agreement), *others, *_of_machines(release)]


def _of_machines(release: Release) -> list[Concern]:
    """Not a fault: whoever trains on the release must know who decided it."""
    number, whole = release.counts.get("by_machine", 0), release.counts.get("preferences", 0)
    if not number:
        return []
    promises = "; ".join(
        f"{one['machine']}, at most {one['level']:.1%} of whose votes are wrong "
        f"({one['confidence']:.1%} sure)"
        for one in release.machine_labels
    )
    text = f"A machine decided {number:,} of {whole:,} preferences: {promises}."
    return [Concern(code=MACHINE, text=text)]


def of_agreement(agreement: Mapping[str, Any]) -> list[Concern]:
    """From what ``quality.agreement`` found; nothing where nobody has answered."""
    alpha, low, high = (agreement.get(name) for name in ("alpha", "low", "high"))
    number = agreement.get("comparisons") or 0
    if alpha is None or low is None or high is None:
        text = (
            "Agreement is not known: no comparison has answers of two people that could differ. "
            "Nothing shows that these answers are more than guesses."
        )
        return [Concern(code=UNMEASURED, text=text)]
    if low > 0:
        return []
    text = (
        f"Agreement is not shown to be above chance: alpha {_number(alpha)} ({_number(low)} to "
        f"{_number(high)}) over {number:,} comparison{'' if number == 1 else 's'}. What is "
        "trained on these answers may learn noise."
    )
    return [Concern(code=CHANCE, text=text, grave=True)]


def at_chance(kept: Figures) -> bool:
    """Whether the project's agreement was measured and is not above chance."""
    return any(one.grave for one in of_agreement(kept.data.get("agreement") or {}))


def carries_no_information(agreement: Mapping[str, Any]) -> bool:
    """Whether somebody's agreement with others is surely no more than slight, and maybe none."""
    low, high = agreement.get("low"), agreement.get("high")
    return low is not None and high is not None and low <= 0 and high < SLIGHT


def _of_reading(readings: Any) -> list[Concern]:
    found: Reading | None = together(readings)
    if found is None or found.timed < FEWEST_TIMED or found.too_fast < MUCH * found.timed:
        return []
    text = (
        f"{found.too_fast:,} of {found.timed:,} timed answers came faster than the responses can "
        f"be read (more than {WORDS_A_SECOND:.0f} words a second; half of all answers: "
        f"{found.words_a_second:.1f} or more)."
    )
    return [Concern(code=FAST, text=text, grave=False)]


def _of_people(agreements: Mapping[int, Mapping[str, Any]], right: Sequence[int]) -> list[Concern]:
    """``right`` are those whom gold comparisons show to know what they do."""
    number = sum(
        carries_no_information(one) and who not in right for who, one in agreements.items()
    )
    if not number:
        return []
    text = (
        f"{number} of {len(agreements)} annotators agree with the others no more than chance "
        "would: either their answers carry no information, or those of the others do not."
    )
    return [Concern(code=UNINFORMATIVE, text=text)]


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
