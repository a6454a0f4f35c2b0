"""VL-RewardBench as a protocol: what is measured is a reward model, or a judge.

A reward model states a number for each response: nothing is to be read, and a rule compares. A
judge behind an endpoint is asked in both orders; its outcome is the mean of both. Whoever judges
is what is ranked here, so evaluations of all of them stand in one ranking.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

from annotation.reading.names import quoted
from benchmark.protocols import files
from benchmark.protocols.figure_display import Axis, Shown, Table
from benchmark.protocols.protocol import (
    EXACT,
    OPENAI,
    RATING,
    Cell,
    Compared,
    Given,
    Item,
    Joined,
    Judged,
    Mode,
    Outcome,
    Protocol,
    Reading,
    ReadQuestion,
    Refused,
    Undecided,
    Value,
)
from benchmark.protocols.rule_text import rule_text
from benchmark.protocols.vl_rewardbench import judge, pairs, scores
from benchmark.protocols.vl_rewardbench.published import PAPER
from benchmark.statistics import PERCENT


def _outcome(judged: Judged) -> Value | None:
    """In percent: the rule's one verdict, or the mean of both orders."""
    found = [one.found["outcome"] for one in judged.given if one.found is not None]
    whole = found and (len(found) == len(judge.ORDERS) or judged.given[0].order == RATING)
    return 100 * fmean(found) if whole else None


def of_group(name: str, title: str) -> Shown:
    """The accuracy on the pairs of one group."""
    why = "no pair of this group was asked"
    return Shown(name, title, "of its pairs", style="percent_tenths", counts=True, undefined=why)


class VLRewardBench(Protocol):
    name = "vl_rewardbench"
    title = "VL-RewardBench"
    files = ("data.jsonl",)
    unsuitable = "{questions} measures reward models and judges behind endpoints, not {judge}."
    orders = judge.ORDERS
    order_titles = {"as_given": "As given", "swapped": "Swapped"}
    figures: ClassVar[tuple[Shown, ...]] = (
        Shown("overall", "Overall", "of all pairs", style="percent_tenths", counts=True),
        Shown("macro", "Macro mean", "of the three groups", style="percent_tenths"),
        *(of_group(name, name.capitalize()) for name in pairs.GROUPS),
    )
    brief = 5
    tested = "overall"
    compared = {"overall": Compared(_outcome, PERCENT)}
    answer_types: ClassVar[tuple[str, ...]] = pairs.GROUPS
    headline_axis = Axis("accuracy", "%", 0, 100)
    ranks_judges = True
    shows_pictures = True
    published: ClassVar[tuple[Table, ...]] = (PAPER,)
    outcome_template = "benchmark/outcomes/preference.html"
    answer_template = "benchmark/answers/pair.html"
    settle_template = "benchmark/settle/preference.html"
    known_template = "benchmark/known/responses.html"
    known_title = "The responses"
    reference_title = "The response that people prefer"
    reference_label = "Preferred"
    unread = "a preference"
    unjudged = "pair"
    shows = {"hallucinated": "Disagrees with people", "honest": "Agrees with people"}
    compare_note = "A tie is half a point. Chance is 50 %."
    change_note = "100 is what people prefer, 50 a tie; both orders of a judge averaged."
    explorer_note = "Agreement with people; 50 % is a tie, or a judge who changes with the order."
    verdict_columns = ("outcome", "reward_1", "reward_2", "states", "verdicts")

    def read_questions(self, path: Path) -> list[ReadQuestion]:
        return [
            ReadQuestion(pairs.record(one), (one.image, one.image.rsplit("/", 1)[-1]))
            for one in pairs.load_pairs(path)
        ]

    def read_answers(
        self, path: Path, questions: Sequence[dict[str, Any]], *, leave_out_others: bool = False
    ) -> Joined:
        """Rewards computed elsewhere: lines with the pair's id, query and response, and
        ``rewards`` (a list of two), or ``better`` (0, 1, or null for a tie); or what the
        benchmark's own script writes of a judge."""
        place_of = self.places(questions)
        answers: dict[int, str] = {}
        others: list[str] = []
        for where, row in files.objects(path, pairs.A_PAIR):
            inner = row.get("0")  # So the benchmark's own script writes a line.
            data = inner if isinstance(inner, dict) else row
            place = place_of(data, where)
            if place is None:
                others.append(f"{where}: this pair is not in {self.title}")
            elif place in answers:
                raise Refused(f"{where}: this pair stands there before")
            else:
                answers[place] = self.stated(data, where, questions[place])
        if others and not leave_out_others:
            raise Refused(others)
        if not answers:
            raise Refused(f"{path.name}: holds no rewards")
        return Joined(answers, len(others))

    def places(
        self, questions: Sequence[dict[str, Any]]
    ) -> Callable[[dict[str, Any], str], int | None]:
        """Finds the pair of a line, by all that makes it the pair that it is."""
        known = {data["key"]: place for place, data in enumerate(questions)}

        def place_of(data: dict[str, Any], where: str) -> int | None:
            query = files.text(data, "query", where, pairs.A_PAIR).strip()
            responses = pairs.responses_of(data, where)
            return known.get(pairs.key_of(str(data.get("id")), query, responses))

        return place_of

    def stated(self, data: dict[str, Any], where: str, question: dict[str, Any]) -> str:
        """A line's rewards, as an answer is kept; text that no rule reads where its judge was
        unclear."""
        meta = data.get("meta")
        judged: dict[str, Any] = meta if isinstance(meta, dict) else {}
        status = judged.get("flag_status")
        if status is None or "rewards" in data or "better" in data:
            return as_answer(_rewards_of(data, where))
        agrees = {"agree": True, "reject": False}.get(status)
        if agrees is None:
            return str(judged.get("filter_choice") or status)
        return as_answer([1.0, 0.0] if agrees == (question["better"] == 0) else [0.0, 1.0])

    def wording(self, kind: str) -> str | None:
        rule = hashlib.sha256(rule_text(_by_rewards).encode()).hexdigest()
        return {EXACT: rule, OPENAI: judge.PROMPT_HASH}.get(kind)

    def orders_for(self, kind: str) -> tuple[str, ...]:
        """A rule needs no order."""
        return (RATING,) if kind == EXACT else self.orders

    def messages(self, item: Item) -> list[dict[str, Any]]:
        asked = item.question
        return judge.messages(asked["question"], asked["responses"], item.order, item.image)

    def read(self, item: Item, text: str, *, mode: Mode) -> Reading:
        better = judge.parse_better(text)
        if better is None:
            return Reading()
        return Reading(
            found={"outcome": judge.outcome(better, item.order, item.question["better"])}
        )

    def judge_exactly(self, items: Sequence[Item], *, mode: Mode) -> Iterator[tuple[Item, Outcome]]:
        for item in items:
            yield item, _by_rewards(item)

    def settled(self, said: Mapping[str, str]) -> dict[str, Any]:
        outcome = {"right": 1.0, "tie": 0.5, "wrong": 0.0}.get(said.get("outcome", ""))
        if outcome is None:
            raise ValueError("A preference is right, wrong or a tie.")
        return {"found": {"outcome": outcome}}

    def good(self, verdicts: Any, *, wanted: bool) -> Any:
        right = {"found__outcome": 1.0}
        settled = verdicts.exclude(found=None)
        return (settled.filter(**right) if wanted else settled.exclude(**right)).values("answer")

    def verdict_row(self, reviews: Sequence[Any]) -> dict[str, Any]:
        found = [review.found for review in reviews if review.found]
        rewards = next((one["rewards"] for one in found if "rewards" in one), [None, None])
        return {
            "outcome": fmean(one["outcome"] for one in found) if found else None,
            "reward_1": rewards[0],
            "reward_2": rewards[1],
            "states": " ".join(review.state for review in reviews),
            "verdicts": "\n---\n".join(review.text for review in reviews),
        }

    def summarise(self, answers: Sequence[Judged]) -> dict[str, Any]:
        values = [_outcome(one) for one in answers]
        outcomes = [value / 100 if isinstance(value, float) else None for value in values]
        ties = sum(outcome == 0.5 for outcome in outcomes)
        groups = [one.type for one in answers]
        pictures = [one.picture for one in answers]
        figures = scores.figures_of(groups, outcomes, self.answer_types, pictures)
        return {**figures, "ties": ties, "by_type": {}}

    def undecided(self, summary: Mapping[str, Any], kind: str) -> Undecided | None:
        """A pair whose mean outcome is half a point: equal rewards; or of a judge asked in both
        orders, one that follows the order, or calls a tie in both."""
        if not summary.get("asked") or summary.get("ties") is None:
            return None
        title, why = "Ties", "both responses got the same reward"
        if len(self.orders_for(kind)) > 1:
            title = "Orders disagree"
            why = "its two orders contradict each other, or both say that neither is better"
        return Undecided(count=summary["ties"], asked=summary["asked"], title=title, why=why)

    def extremes(self, answer: Judged) -> tuple[Given, ...]:
        return (Given(found={"outcome": 0.0}), Given(found={"outcome": 1.0}))

    def _open(self, answer: Judged) -> bool:
        return _outcome(answer) is None

    def cell(self, value: Value) -> Cell:
        percent = self.own(value)
        return Cell(f"{percent:g} %", percent > 50, percent)


def as_answer(rewards: Sequence[float]) -> str:
    """Two rewards as the text that ``_by_rewards`` reads."""
    return json.dumps({"rewards": list(rewards)})


def _rewards_of(data: dict[str, Any], where: str) -> list[float]:
    if data.get("rewards") is None and "better" in data:
        told = {"0": [1.0, 0.0], "1": [0.0, 1.0], "null": [0.0, 0.0]}
        better = told.get(json.dumps(data["better"]))
        if better is None:
            raise Refused(f"{where}: better is {quoted(data['better'])}, not 0, 1 or null")
        return better
    rewards = two_numbers(data.get("rewards"))
    if rewards is None:
        raise Refused(f"{where}: rewards is not a list of two numbers")
    return rewards


def two_numbers(value: Any) -> list[float] | None:
    """A list of two numbers that can be told apart; None for any other value. NaN and infinity,
    which a reward model that diverged states, are none: they would compare as 0 or as a tie."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in value):
        return None
    try:
        numbers = [float(one) for one in value]
    except OverflowError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _by_rewards(item: Item) -> Outcome:
    """The rule: the higher reward is preferred, equal ones are a tie."""
    try:
        rewards = two_numbers(json.loads(item.answer)["rewards"])
    except (ValueError, KeyError, TypeError):
        rewards = None
    if rewards is None:
        return Outcome(text="No two rewards that are numbers.", state="unparsed")
    first, second = rewards
    better, other = (first, second) if item.question["better"] == 0 else (second, first)
    outcome = 0.5 if better == other else float(better > other)
    preferred = item.question["better"] + 1
    text = f"Rewards {first:.3g} and {second:.3g}; people prefer response {preferred}."
    return Outcome(
        text=text, found={"outcome": outcome, "rewards": [first, second]}, state="parsed"
    )


PROTOCOL = VLRewardBench()
