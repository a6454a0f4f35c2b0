"""What an annotator is told depends on nothing that they must not know (annotation.blindness)."""

from __future__ import annotations

import re
import uuid
from hashlib import sha256

import pytest
from django.test import Client
from django.urls import reverse

from annotation import exporting, gold_and_repeats, priorities, queue
from annotation.machine import labellers
from annotation.machine.disclosure import with_priority_told
from annotation.machine.stages import SAMPLE_POINTS
from annotation.models import Membership
from tests import factories
from tests.annotation.machine.factories import Oracle, certified, make_labelling
from tests.factories import make_comparison, make_member, make_project
from tests.security.test_distinguisher import MASKED
from tests.security.world import ROUTES

pytestmark = pytest.mark.django_db

# --- What a pause tells -----------------------------------------------------------------------


@pytest.mark.parametrize("wrong_at", [0, 7, 19])
def test_a_pause_comes_at_one_moment_wherever_the_wrong_answer_was(
    wrong_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(k=1, gold_rate=0.5, pause_below=0.9, pause_after=1)
    person = make_member(project)
    for one in factories.make_comparisons(project, 2):
        gold_and_repeats.make_gold(one, more_hallucinated="1")
    factories.make_comparisons(project, 30)
    paused: list[bool] = []
    for number in range(gold_and_repeats.PAUSE_DECIDED_EVERY):
        draw = 0.0 if number == wrong_at else 0.999
        monkeypatch.setattr(gold_and_repeats.random, "random", lambda draw=draw: draw)
        lease = queue.claim(project, person)
        assert lease is not None
        assert (lease.purpose == "gold") == (number == wrong_at)
        said = queue.Answer(more_hallucinated="2")
        queue.submit(person, lease.token, said, client_uuid=uuid.uuid4())
        paused.append(Membership.objects.get(user=person).paused)
    assert paused == [False] * (gold_and_repeats.PAUSE_DECIDED_EVERY - 1) + [True]


def test_where_no_work_is_left_no_check_is_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be known for one."""
    project = make_project(k=1, gold_rate=0.5, repeat_rate=0.2)
    gold_and_repeats.make_gold(make_comparison(project), more_hallucinated="1")
    monkeypatch.setattr(gold_and_repeats.random, "random", lambda: 0.0)
    assert queue.claim(project, make_member(project)) is None
    make_comparison(project)
    lease = queue.claim(project, make_member(project))
    assert lease is not None
    assert lease.purpose == "gold"


# --- What tells the sample of a machine to those who review -------------------------------------


@pytest.fixture(autouse=True)
def oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labellers, "_labellers", {"oracle": Oracle()})


@pytest.mark.parametrize("role", ["reviewer", "manager"])
def test_who_reviews_and_annotates_cannot_tell_a_sample_before_it_is_decided(role: str) -> None:
    """Who is in it changes places with who is not, an answered one too: no byte moves."""
    project = make_project(k=1)
    found = make_labelling(project, waiting=30)
    person = make_member(project, role)
    begun = queue.claim(project, person)
    assert begun is not None
    queue.submit(person, begun.token, queue.Answer(more_hallucinated="2"), client_uuid=uuid.uuid4())
    client = Client()
    client.force_login(person)

    def seen() -> dict[str, str]:
        pages = {}
        for route in ROUTES.values():
            if "slug" in route.parameters and set(route.parameters) <= {"slug", "number", "pk"}:
                values = {"slug": project.slug, "number": found.number, "pk": begun.comparison_id}
                kwargs = {name: values[name] for name in route.parameters}
                answer = client.get(reverse(route.name, kwargs=kwargs))
                text = b"".join(answer) if answer.streaming else answer.content
                pages[route.name] = text.decode(errors="replace")
                for pattern, instead in MASKED:
                    pages[route.name] = re.sub(pattern, instead, pages[route.name])
        return pages

    seen()  # What looking itself does (the labelling page hands one out) is done.
    before = seen()
    inside = found.labels.get(comparison=begun.comparison_id)
    outside = found.labels.exclude(use="sample").first()
    assert inside.use == "sample" and outside is not None
    for label, use, points in (
        (inside, "vote", -SAMPLE_POINTS),
        (outside, "sample", SAMPLE_POINTS),
    ):
        found.labels.filter(pk=label.pk).update(use=use)
        priorities.raise_all(project, [label.comparison_id], points)
    after = seen()
    for name, text in before.items():
        assert text.splitlines() == after[name].splitlines(), name
    assert len(before) > 40


def test_the_administrators_site_does_not_tell_a_sample_either() -> None:
    """Whoever looks there may annotate: no page moves, no address asks for what would tell."""
    project = make_project(k=1)
    found = make_labelling(project, waiting=30)
    client = Client()
    client.force_login(factories.make_admin())
    inside, outside = (found.labels.filter(use=use).first() for use in ("sample", "vote"))
    assert inside is not None and outside is not None
    rows = [inside.comparison, outside.comparison, inside, outside, found]

    def seen() -> list[str]:
        pages = []
        for row in rows:
            name = f"admin:{row._meta.app_label}_{row._meta.model_name}"
            for address in (
                reverse(f"{name}_changelist"),
                reverse(f"{name}_change", args=[row.pk]),
            ):
                pages.append(client.get(address, follow=True).content.decode())
                for pattern, instead in MASKED:
                    pages[-1] = re.sub(pattern, instead, pages[-1])
        return pages

    before = seen()
    assert inside.comparison.external_id in before[0]
    for label, use, points in (
        (inside, "vote", -SAMPLE_POINTS),
        (outside, "sample", SAMPLE_POINTS),
    ):
        found.labels.filter(pk=label.pk).update(use=use)
        priorities.raise_all(project, [label.comparison_id], points)
    found.seed += 1
    found.save()
    assert seen() == before
    for model, asked in (
        ("comparison", "priority__gte=9000"),
        ("comparison", "priority=10000"),
        ("comparison", "machine_labels__use=sample"),
        ("machinelabelling", "seed__gt=5"),
    ):
        page = client.get(f"{reverse(f'admin:annotation_{model}_changelist')}?{asked}")
        assert page.status_code == 400, asked


def test_nobody_is_told_the_seed_from_which_a_sample_could_be_drawn_again() -> None:
    """Before the decision nor after it: who is in the audit is to be told by no page either."""
    project = make_project(k=1)
    found = certified(project, waiting=40, audit_share=0.5)
    release = exporting.make_release(project)
    assert found.certificate["seed_sha256"] == sha256(str(found.seed).encode()).hexdigest()
    client = Client()
    client.force_login(factories.make_admin())
    values = {"slug": project.slug, "number": found.number, "format_name": "datasets"}
    values |= {"form": "md"}
    assert release.number == found.number
    seen = 0
    for route in ROUTES.values():
        if "slug" in route.parameters and set(route.parameters) <= set(values):
            kwargs = {name: values[name] for name in route.parameters}
            answer = client.get(reverse(route.name, kwargs=kwargs))
            text = b"".join(answer) if answer.streaming else answer.content
            assert str(found.seed).encode() not in text, route.name
            seen += found.certificate["seed_sha256"].encode() in text
    assert seen, "the certificate is looked at"


@pytest.mark.parametrize("priority", [0, 7, 2**31 - 1, -(2**31)])
def test_a_priority_is_told_without_what_the_sample_adds(priority: int) -> None:
    project = make_project(k=1)
    factories.make_comparisons(project, 30)
    project.comparisons.update(priority=priority)
    make_labelling(project)
    assert project.comparisons.values("priority").distinct().count() <= 2
    told = set(
        with_priority_told(project.comparisons.all()).values_list("priority_told", flat=True)
    )
    assert told == {min(priority, 2**31 - 1 - SAMPLE_POINTS)}
