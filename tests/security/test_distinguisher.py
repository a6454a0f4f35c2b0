"""Two worlds that differ only in what is hidden look the same to an annotator, byte for byte.

A person does the same in each of them and looks at everything after each step. What is compared is
all that came: pages, fragments, REST, headers, keys, addresses and order; only the time of day and
what is random in every request are masked; how far a time is from now is not. Sequences begin anew
in each world, so that a key tells as much as it would on a site.
"""

from __future__ import annotations

import difflib
import itertools
import math
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, Q
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation import leases, progress, queue
from annotation.api.labelling import AssignmentSerializer
from annotation.machine import labelling
from annotation.models import Assignment, Comparison, MachineLabelling, Project
from annotation.quality import figures
from tests import factories
from tests.security.hidden_worlds import LAST, PLAIN, WORLDS, Hidden, World, inside
from tests.security.world import ROUTES

pytestmark = pytest.mark.django_db

STEP_SECONDS = 180
"""A lease is a multiple of it, and all that is done in a world takes less."""


def far_from_now(moment: str) -> str:
    """In steps, rounded up: the same for equal leases at whatever moment they are looked at."""
    seconds = (datetime.fromisoformat(moment) - timezone.now()).total_seconds()
    return f"{math.ceil(seconds / STEP_SECONDS)} STEPS FROM NOW"


MASKED: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r'(name="csrfmiddlewaretoken" value=|"X-CSRFToken": ?|&quot;X-CSRFToken&quot;: ?)\S+', r"\1-"),
    (r'(name="client_uuid" value=)"[^"]+"', r"\1-"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)", lambda found: far_from_now(found[0])),
    (r"\b(now|(a|an|\d+)\W+(second|minute)s?\W+ago)\b", "AGO"),
    (r"(<time [^>]*>)[^<]*", r"\1"),
    (r"fl_[\w-]{5}", "KEY"),
    (r"'nonce-[^']+'|nonce=\"[^\"]+\"", "NONCE"),
    (r"[0-9a-f]{32}(?=\W*(request|$))", "REQUEST"),
]
RANDOM_HEADERS = {"Expires", "Content-Length", "X-Request-ID", "Last-Modified"}


@pytest.fixture(autouse=True)
def keys_afterwards() -> Iterator[None]:
    """Tests of other things are given keys that are no other table's: as before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sequencename, last_value FROM pg_sequences WHERE last_value > 0")
        before = cursor.fetchall()
    yield
    with connection.cursor() as cursor:
        cursor.executemany("SELECT setval(%s::regclass, %s)", before)


# --- What an annotator sees -------------------------------------------------------------------


@dataclass
class Ana:
    """Does things and keeps everything that came back."""

    world: World
    seen: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pages = Client()
        self.pages.force_login(self.world.ana)
        key = factories.make_token(self.world.ana)
        self.rest = Client(headers={"Authorization": f"Bearer {key}"})
        self.slug = self.world.project.slug

    def keep(self, what: str, answer: Any) -> Any:
        body = answer.getvalue() if hasattr(answer, "getvalue") else answer.content
        text = body.decode(errors="backslashreplace")
        headers = {n: v for n, v in answer.headers.items() if n not in RANDOM_HEADERS}
        kept = f"{what}\n{answer.status_code} {headers}\n{text}"
        for pattern, instead in MASKED:
            kept = re.sub(pattern, instead, kept)
        self.seen.append(kept)
        return answer

    def get(self, path: str) -> Any:
        return self.keep(f"GET {path}", self.pages.get(path))

    def api(self, path: str, body: Any = None, *, put: bool = False) -> Any:
        path = f"/api/v1/{path}"
        if body is None:
            return self.keep(f"GET {path}", self.rest.get(path))
        send = self.rest.put if put else self.rest.post
        return self.keep(f"POST {path}", send(path, body, content_type="application/json"))

    def post(self, path: str, **fields: Any) -> Any:
        headers = {"hx-request": "true"}
        return self.keep(f"POST {path}", self.pages.post(path, fields, headers=headers))

    # What she does.

    def next(self) -> str:
        given = self.api(f"projects/{self.slug}/assignments/next", {})
        token: str = given.json()["token"]
        self.tokens.append(token)
        self.get(reverse("annotation:label", args=[self.slug]))
        return token

    def ahead(self, *beside: str) -> None:
        path = reverse("annotation:label-next", args=[self.slug])
        shown = self.post(path, beside=list(beside))
        found = re.search(rb'data-task="([^"]+)"', shown.content)
        if found:
            self.tokens.append(found[1].decode())

    def walk(self) -> None:
        """At everything that has an address in the project, or none of its own."""
        for route in ROUTES.values():
            if set(route.parameters) <= {"slug"}:
                path = reverse(route.name, args=[self.slug] if route.parameters else [])
                self.keep(f"GET {path}", (self.rest if route.of_api else self.pages).get(path))

    def answer(self, token: str, choice: str = "1", *, page: bool = False) -> None:
        said = {"client_uuid": str(uuid.UUID(int=0x99 << 64 | uuid.UUID(token).int))}
        said["more_hallucinated"] = choice
        if page:
            self.post(reverse("annotation:answer", args=[token]), **said)
        else:
            spans = [{"response": 1, "start": 0, "end": 5, "kind": "object"}]
            self.api(f"assignments/{token}/judgment", {**said, "spans": spans})

    def look(self) -> None:
        """At what she may see, and at what a day later shows."""
        figures.refresh(self.world.project)
        labelling.watch()
        for name in ("projects", "project", "my-answers", "annotator"):
            of = [] if name == "projects" else [self.slug]
            of += [self.world.ana.pk] if name == "annotator" else []
            self.get(reverse(f"annotation:{name}", args=of))
        for path in ("", "/progress", "/guidelines"):
            self.api(f"projects/{self.slug}{path}")
        for token in self.tokens:
            self.api(f"assignments/{token}")
        for judgment in self.api(f"projects/{self.slug}/judgments").json():
            self.api(f"judgments/{judgment['id']}")
            label = reverse("annotation:label", args=[self.slug])
            self.get(f"{label}?change={judgment['id']}")
            previous = reverse("annotation:label-previous", args=[self.slug])
            self.post(previous, before=judgment["id"])
        for address in sorted(set(re.findall(r"/api/v1/images/\w+", "".join(self.seen)))):
            self.get(address)


def time_passes(ana: Ana, *, taken: bool) -> None:
    """All leases run out; somebody else may work on until they have what was hers."""
    lost = Assignment.objects.get(state="open", annotator=ana.world.ana).comparison_id
    Assignment.objects.filter(state="open").update(expires_at=timezone.now() - timedelta(seconds=1))
    queue.return_expired_leases()
    held: list[Assignment] = []
    names: Any = leases.uuid
    hers, names.uuid4 = names.uuid4, uuid.uuid4  # Theirs are no part of what she sees.
    while taken and lost not in [one.comparison_id for one in held]:
        beside = [one.token for one in held]
        lease = queue.claim(ana.world.project, ana.world.other, ahead_of=beside)
        assert lease is not None
        held.append(lease)
    names.uuid4 = hers


# --- The same done in each world --------------------------------------------------------------


def to_the_subject(ana: Ana) -> str:
    for _ in range(2):
        ana.answer(ana.next())
    return ana.next()


def answers(ana: Ana) -> None:
    subject = to_the_subject(ana)
    ana.look()
    ana.answer(subject, page=True)
    ana.look()
    ana.answer(ana.next(), "2")


def changes_its_mind(ana: Ana) -> None:
    """And looks after each change, as somebody would who wants to see what moves."""
    subject = to_the_subject(ana)
    ana.answer(subject)
    [newest, *_] = ana.api(f"projects/{ana.slug}/judgments").json()
    for version, choice in enumerate(("2", "1", "2"), start=1):
        change = {"client_uuid": str(uuid.UUID(int=7000 + version)), "more_hallucinated": choice}
        ana.api(f"judgments/{newest['id']}", {**change, "version": version}, put=True)
        ana.look()
    ana.answer(subject, "1")  # It was answered: a conflict that says which judgment.


def skips(ana: Ana) -> None:
    subject = to_the_subject(ana)
    ana.post(reverse("annotation:skip", args=[subject]), reason="cannot_tell")
    ana.look()
    following = ana.next()
    ana.answer(subject)  # Takes the skip back.
    ana.look()
    ana.answer(following)


def loads_ahead(ana: Ana) -> None:
    first = ana.next()
    ana.answer(first)
    second = ana.next()
    ana.ahead(second)
    ana.ahead(*ana.tokens[1:])
    for token in list(ana.tokens[1:]):
        ana.answer(token, page=True)
    ana.look()
    ana.answer(ana.next())


def lets_the_lease_run_out(ana: Ana) -> None:
    subject = to_the_subject(ana)
    time_passes(ana, taken=False)
    ana.api(f"assignments/{subject}")
    assert ana.next() == subject, "it comes back"
    time_passes(ana, taken=False)
    ana.api(f"assignments/{subject}/renew", {})
    ana.post(reverse("annotation:renew", args=[subject]))
    ana.answer(subject)
    ana.look()
    ana.answer(ana.next())


def loses_the_lease(ana: Ana) -> None:
    subject = to_the_subject(ana)
    time_passes(ana, taken=True)
    assert ana.next() != subject, "somebody else has it"
    ana.api(f"assignments/{subject}/renew", {})
    ana.post(reverse("annotation:renew", args=[subject]))
    ana.look()
    ana.answer(subject)
    ana.look()
    ana.answer(ana.next())


def goes_on_to_the_end(ana: Ana) -> None:
    to_the_subject(ana)
    for _ in range(LAST - 2):
        ana.answer(ana.tokens[-1])
        ana.next()
    ana.look()
    ana.walk()


Deed = Callable[[Ana], None]
DEEDS: dict[Deed, str] = {
    answers: "3",
    changes_its_mind: "3",
    skips: "3",
    loads_ahead: "4",
    lets_the_lease_run_out: "3",
    loses_the_lease: "6",
    goes_on_to_the_end: "3",
}
"""What is done, and which work a check stands in for, so that the same is shown afterwards."""


def transcript(hidden: Hidden, deed: Deed, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    again = 0 if deed is loads_ahead else 1
    with inside(hidden, DEEDS[deed], monkeypatch, repeat_after=again) as world:
        ana = Ana(world)
        deed(ana)
        purposes = set(Assignment.objects.filter(annotator=world.ana).values_list("purpose"))
        assert purposes == {("work",), (hidden.subject,)}, "the world is what it is said to be"
        if hidden.certified:
            assert MachineLabelling.objects.get().audit["errors"], "the audit is against it"
        return ana.seen


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
def test_the_worlds_look_the_same(deed: Deed, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = transcript(PLAIN, deed, monkeypatch)
    assert len(plain) > 20
    told = {
        name: told_apart(plain, transcript(hidden, deed, monkeypatch))
        for name, hidden in {"the same": PLAIN, **WORLDS}.items()
    }
    assert told == dict.fromkeys(told, "")


def told_apart(plain: list[str], other: list[str]) -> str:
    """By what the two can be told from each other first; empty where by nothing."""
    for one, two in itertools.zip_longest(plain, other, fillvalue="nothing came"):
        if one != two:
            lines = list(difflib.unified_diff(one.splitlines(), two.splitlines(), n=0))
            return "\n".join([one.splitlines()[0], *(line[:300] for line in lines[:12])])
    return ""


# --- It would be seen -------------------------------------------------------------------------


def own_count_without_gold(patch: pytest.MonkeyPatch) -> None:
    counts = progress._own_counts
    of_work = Count("pk", filter=Q(state=Assignment.State.JUDGED) & ~Q(purpose="gold"))
    patch.setattr(progress, "_own_counts", lambda: {**counts(), "judged": of_work})


def own_answers_with_gold_last(patch: pytest.MonkeyPatch) -> None:
    newest = queue.editable_judgments
    order = ("-assignment__purpose", "-created_at", "-id")
    patch.setattr(queue, "editable_judgments", lambda *of: newest(*of).order_by(*order))


def size_without_what_is_settled(patch: pytest.MonkeyPatch) -> None:
    def count(project: Project) -> int:
        return Comparison.objects.filter(project=project).exclude(outcome="decided").count()

    patch.setattr(progress, "_count", count)


def _told(patch: pytest.MonkeyPatch, change: Callable[[Assignment, Any], None]) -> None:
    represented = AssignmentSerializer.to_representation

    def telling(serializer: Any, assignment: Assignment) -> Any:
        said = represented(serializer, assignment)
        if assignment.shows_id:
            change(assignment, said)
        return said

    patch.setattr(AssignmentSerializer, "to_representation", telling)


def another_address_of_its_picture(patch: pytest.MonkeyPatch) -> None:
    _told(patch, lambda _, said: said["image"].update(url=said["image"]["url"] + "?"))


def a_longer_lease(patch: pytest.MonkeyPatch) -> None:
    minute = timedelta(minutes=1)
    _told(patch, lambda one, said: said.update(expires_at=one.expires_at + minute))


@pytest.mark.parametrize(
    "telling",
    [
        own_count_without_gold,
        own_answers_with_gold_last,
        size_without_what_is_settled,
        another_address_of_its_picture,
        a_longer_lease,
    ],
    ids=lambda telling: telling.__name__,
)
def test_a_site_that_told_something_would_be_caught(
    telling: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        telling(patch)
        plain = transcript(PLAIN, answers, monkeypatch)
        assert told_apart(plain, transcript(WORLDS["gold"], answers, monkeypatch))
