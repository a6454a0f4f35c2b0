"""A machine that says what a test tells it to, and people who answer a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from annotation.machine import deciding, labellers, labelling
from annotation.machine.labellers import Choice
from annotation.machine.labelling import Answer
from annotation.models import Comparison, MachineLabel, MachineLabelling, Project
from tests.factories import make_comparison, make_image, make_prompt

ASKED = {
    "machine": "oracle:1",
    "level": 0.1,
    "confidence": 0.9,
    "audit_share": 0.0,
    "sample_size": 22,
    "comparisons": 1000,
}


class Oracle(labellers.Labeller):
    """Nobody asks it: tests say what it answers."""

    name = "oracle"
    title = "Oracles"

    def choices(self, project: Project) -> list[Choice]:
        return [Choice(key=1, name="Oracle", about={"model": "oracle-1"})]

    def begin(self, labelling: MachineLabelling) -> None:
        """A test answers."""


def register() -> None:
    labellers.register(Oracle())


def make_labelling(project: Project, *, waiting: int = 0, **changes: Any) -> MachineLabelling:
    """Asked for, of ``waiting`` new comparisons and those that there are."""
    if waiting:
        prompt = make_prompt(project, image=make_image())
        for _ in range(waiting):
            make_comparison(project, prompt=prompt)
    return labelling.request(project, None, **{**ASKED, **changes})


def say(found: MachineLabelling, answer: Callable[[MachineLabel], Answer]) -> None:
    """The machine answers all that it is asked."""
    rows = list(labelling.unanswered(found))
    labelling.take_answers(found, {row.comparison_id: answer(row) for row in rows})
    labelling.labelled(found)
    found.refresh_from_db()


def second_is_worse(row: MachineLabel) -> Answer:
    """Surer of some than of others; 0.6 to 0.99."""
    return Answer(more_hallucinated="2", confidence=0.99 - (row.pk % 40) / 100)


def settle(labels: Iterable[MachineLabel], said: Callable[[int], str] = lambda _: "2") -> None:
    """People name the more hallucinated response of each, or say "tie" and find both equal."""
    for place, row in enumerate(labels):
        worse = said(place)
        better = {"1": 2, "2": 1}.get(worse)
        Comparison.objects.filter(pk=row.comparison_id).update(
            outcome="decided" if better else "undecided",
            preference=better,
            hallucination=True if better else None,
            margin=1.0 if better else None,
            open_slots=0,
            judgment_count=1,
            wanted_judgments=1,
        )


def of(found: MachineLabelling, use: str) -> list[MachineLabel]:
    return list(found.labels.filter(use=use).order_by("pk"))


def certified(project: Project, *, waiting: int = 260, **changes: Any) -> MachineLabelling:
    """A labelling whose sample people settled as the machine said."""
    found = make_labelling(project, waiting=waiting, **changes)
    say(found, second_is_worse)
    settle(of(found, "sample"))
    deciding.look(found)
    found.refresh_from_db()
    assert found.state == "certified"
    return found
