"""Worlds that differ only in what an annotator must not know."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.utils import timezone

from annotation import gold_and_repeats, leases, queue
from annotation.machine import stages
from annotation.models import Comparison, MachineLabelling, Project, User
from tests import factories


@dataclass(frozen=True)
class Hidden:
    """A world, by what an annotator must not know of it."""

    subject: str = "work"
    """The third that is shown: "work", "gold" or "repeat"."""
    others: str = "1"
    """What somebody else said of each comparison."""
    models: tuple[str, str] = ("model-a", "model-b")
    turned: bool = False
    """Whether the file named the responses in the other order."""
    settings: tuple[float, int] = (0.0, 20)
    """The bar of gold answers and after how many it is asked."""
    machine: str = ""
    """What a machine says of each comparison, all of which are its sample."""
    certified: bool = False
    """Whether they are its audit instead, which may take back what it had decided."""


PLAIN = Hidden()
WORLDS = {
    "gold": Hidden(subject="gold"),
    "repeat": Hidden(subject="repeat"),
    "the file's other order": Hidden(turned=True),
    "others find both equal, a machine does not": Hidden(others="tie", machine="2"),
    "a machine agrees with others": Hidden(machine="1"),
    "a certified machine does not": Hidden(machine="2", certified=True),
    "others disagree, other models, a bar": Hidden(
        others="2", models=("a-model-with-a-longer-name", ""), settings=(0.9, 1)
    ),
}
RATE = 0.2
DRAWS = {"work": 0.99, "gold": RATE / 2, "repeat": 1.5 * RATE}
LAST = 6


@dataclass
class World:
    hidden: Hidden
    project: Project
    ana: User
    other: User


def make_world(hidden: Hidden, behind: str) -> World:
    """``behind``: which work a check stands in for; an annotator cannot know its place before."""
    project = factories.make_project(
        k=2, maximum=3, slug="places", name="Places", gold_rate=RATE, repeat_rate=RATE
    )
    project.pause_below, project.pause_after = hidden.settings
    project.save()
    ana = factories.make_member(
        project, user=factories.make_user("ana", pseudonym=uuid.UUID(int=1))
    )
    factories.make_member(
        factories.make_project(slug="elsewhere", name="Elsewhere"), "reviewer", ana
    )
    ben, other = (
        factories.make_member(project, user=factories.make_user(name, pseudonym=uuid.UUID(int=n)))
        for n, name in enumerate(("ben", "cem"), start=2)
    )
    if hidden.subject == "work":
        order = ["0", "1", "subject", "3", "4", "5", "6"]
    else:
        order = ["0", "1", *sorted("3456", key=lambda one: one != behind)]
        order += ["7"] if hidden.subject == "repeat" else []
    made = {name: add(project, hidden, name, place) for place, name in enumerate(order)}
    project.gold_rate = project.repeat_rate = 0.0  # Nobody else is asked anything.
    for _ in made:
        lease = queue.claim(project, ben)
        assert lease is not None
        helpful = "tie" if hidden.others == "tie" else ""
        said = queue.Answer(more_hallucinated=hidden.others, more_helpful=helpful)
        queue.submit(ben, lease.token, said, client_uuid=uuid.uuid4())
    if hidden.machine:
        sample(project, hidden.machine, certified=hidden.certified)
    if hidden.subject == "gold":
        gold = add(project, hidden, "subject", 99)
        gold_and_repeats.make_gold(gold, more_hallucinated="1", explanation="It is known.")
    return World(hidden, project, ana, other)


def sample(project: Project, said: str, *, certified: bool) -> None:
    """As ``labelling.request`` would have drawn it before anybody began."""
    use, state = ("audit", "certified") if certified else ("sample", "sampling")
    found = MachineLabelling.objects.create(
        **{"project": project, "number": 1, "machine": "judge:1", "machine_name": "A judge"},
        **{"state": state, "level": 0.3, "confidence": 0.8, "sample_size": 7},
        **{"certificate": {"threshold": 0.5} if certified else {}},
    )
    for comparison in project.comparisons.all():
        answer = {"more_hallucinated": said, "confidence": 0.9, "answered_at": timezone.now()}
        found.labels.create(comparison=comparison, use=use, **answer)
    if not certified:
        project.comparisons.update(priority=stages.SAMPLE_POINTS)


def add(project: Project, hidden: Hidden, name: str, place: int) -> Comparison:
    """The subject has the picture and texts of the first one, on the other side."""
    number = 0 if name == "subject" else int(name)
    prompt = project.prompts.filter(external_id=f"prompt-{number}").first()
    prompt = prompt or factories.make_prompt(
        project,
        external_id=f"prompt-{number}",
        image=factories.make_image(factories.picture_bytes(colour=(number, 9, 9))),
        conversation=[{"from": "human", "value": f"<image>\nWhat is shown in {number}?"}],
    )
    texts = [f"There is a red circle, {number}.", f"There are two stars, {number}."]
    if (name == "subject") != hidden.turned:
        texts.reverse()
    return factories.make_comparison(
        project,
        prompt=prompt,
        external_id=f"{name}-{hidden.models[0]}",
        response_1=texts[0],
        response_2=texts[1],
        model_1=hidden.models[0],
        model_2=hidden.models[1],
        shuffle=place,
    )


@contextmanager
def inside(
    hidden: Hidden, behind: str, monkeypatch: pytest.MonkeyPatch, *, repeat_after: int
) -> Iterator[World]:
    """A world that is gone afterwards; chance and keys begin anew in each."""
    cache.clear()
    numbers = itertools.count(1)
    with monkeypatch.context() as patch, transaction.atomic():
        _begin_keys_at(70_001)
        side = 2 if hidden.turned else 1
        drawn = iter([0.99, 0.99, DRAWS[hidden.subject], *[0.99] * 50])
        patch.setattr(
            gold_and_repeats,
            "random",
            SimpleNamespace(random=lambda: next(drawn), choice=lambda _: side),
        )
        # One answer stands between, or as many as there are: so that the first one is repeated.
        patch.setattr(gold_and_repeats, "REPEAT_AFTER", repeat_after)
        patch.setattr(leases, "random", SimpleNamespace(choice=lambda _: side))
        world = make_world(hidden, behind)
        _begin_keys_at(80_001)
        patch.setattr(
            leases,
            "uuid",
            SimpleNamespace(uuid4=lambda: uuid.UUID(int=next(numbers)), UUID=uuid.UUID),
        )
        yield world
        transaction.set_rollback(True)
    cache.clear()


def _begin_keys_at(first: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT setval(oid::regclass, %s, false) FROM pg_class
            WHERE relkind = 'S' AND relname LIKE 'annotation%%'""",
            [first],
        )
