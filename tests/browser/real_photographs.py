"""Eighty-one photographs, answers of four models about them, and two people who compare them.

    python -m tests.browser.real_photographs OUTPUT

Runs on a database of its own and needs the shared data (tests.shared). Two accounts answer every
comparison with the keys of a real browser; a manager rules on disputes and makes a release. Then
the answers are moved into the three weeks before, so that plots over time show something, and the
pages are photographed, wide and narrow, light and dark. The people are simulated: each compares the
words of a response with the reference answer, with an error of their own.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from annotation.models import Assignment, Comparison, Project, User

MODELS = ("llava_13b", "idefics_9b", "idefics_80b", "instructblip_13b")
PHOTOGRAPHS = 81
# Two models that said the same about a photograph are settled at import, never asked about.
SAID_THE_SAME = 10
ASKED = PHOTOGRAPHS - SAID_THE_SAME
GOLD = 10
GUIDELINES = """## What counts

An answer **hallucinates** where it states what the photograph does not show: a wrong object,
attribute, number, position or action.

- Judge what is stated, not how long or how well it is said.
- An answer that says the question rests on a wrong assumption does not hallucinate.
"""


@dataclass
class Person:
    """Somebody with an opinion: the nearer to the reference, the better, give or take."""

    user: User
    error: float
    draw: random.Random = field(default_factory=lambda: random.Random(1))

    def keys(self, assignment: Assignment, references: dict[str, str]) -> list[str]:
        """What they press for the comparison on screen; "1" is the response that stands first."""
        comparison = assignment.comparison
        reference = references[comparison.prompt.external_id]
        texts = (comparison.response_1, comparison.response_2)
        one, two = (likeness(text, reference) for text in texts)
        seen = one - two + self.draw.gauss(0, self.error)
        if abs(seen) < 0.04:
            return ["0", "1" if self.draw.random() < 0.5 else "2"]
        worse = 2 if seen > 0 else 1
        return ["1" if assignment.shown_first == worse else "2"]


def likeness(text: str, reference: str) -> float:
    """Share of the words of either that both have, 0..1."""
    words, wanted = (set(re.findall(r"[a-z0-9]{2,}", one.lower())) for one in (text, reference))
    return len(words & wanted) / max(len(words | wanted), 1)


@dataclass
class World:
    project: Project
    manager: User
    people: list[Person]
    references: dict[str, str]
    """By the id of a prompt, what the data set says is right."""

    @property
    def inside(self) -> str:
        return f"/projects/{self.project.slug}/"


def make_world(data: Path, scratch: Path) -> World:
    """A project with a pair for each photograph, and gold made of reference answers."""
    from annotation.image_sources import Folder
    from annotation.importing import Options, import_files
    from annotation.quality import corrupted_gold
    from tests import factories

    manager = factories.make_user("maria")
    project = factories.make_project(
        slug="photographs",
        name="Photographs of MMHal-Bench",
        description="Answers of four models, two at a time.",
        k=2,
        guidelines=GUIDELINES,
        gold_rate=0.12,
        repeat_rate=0.05,
        pause_below=0.4,
    )
    factories.make_member(project, "manager", manager)
    people = [
        Person(factories.make_member(project, "annotator", factories.make_user(name)), error)
        for name, error in (("jun", 0.05), ("amina", 0.16))
    ]
    project.memberships.update(guidelines_acknowledged=1)
    answers = [json.loads((data / f"responses/{name}.json").read_text()) for name in MODELS]
    pairs, checks = scratch / "pairs.jsonl", scratch / "references.jsonl"
    pairs.write_text("\n".join(map(json.dumps, pair_records(answers))))
    checks.write_text("\n".join(map(json.dumps, reference_records(answers))))
    options = Options(skip_missing_images=True)
    done = import_files(project, [pairs], Folder(data / "images"), options=options)
    assert done.created == PHOTOGRAPHS
    import_files(project, [checks], Folder(data / "images"), options=options)
    for comparison in corrupted_gold.candidates(project).select_related("project", "prompt"):
        drafts = corrupted_gold.drafts(comparison)
        if drafts and project.comparisons.exclude(gold_more_hallucinated="").count() < GOLD:
            draft = drafts[0]
            corrupted_gold.make_corrupted(comparison, draft.text, explanation=draft.explanation)
    references = {f"photo-{n:02}": one["gt_answer"] for n, one in enumerate(answers[0])}
    return World(project, manager, people, references)


def pair_records(answers: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """A pair of models for each photograph: all six pairs in turn."""
    couples = [(a, b) for a in range(len(MODELS)) for b in range(a)]
    records = []
    for number, about in enumerate(answers[0]):
        outputs = {
            f"output_{place}": {"from": MODELS[m], "value": answers[m][number]["model_answer"]}
            for place, m in enumerate(couples[number % len(couples)], start=1)
        }
        records.append({"id": f"photo-{number:02}", **_asked(about), **outputs})
    return records


def reference_records(answers: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The reference answer beside a model's, labelled: right responses to corrupt."""
    return [
        {
            "id": f"reference-{number:02}",
            **_asked(one),
            "output_1": {"from": "reference", "value": one["gt_answer"]},
            "output_2": {"from": MODELS[0], "value": one["model_answer"]},
            "preference": 1,
        }
        for number, one in enumerate(answers[0])
        if number % 3 == 0
    ]


def _asked(about: dict[str, Any]) -> dict[str, Any]:
    return {
        "image": urlsplit(about["image_src"]).path.rpartition("/")[2],
        "conversations": [{"from": "human", "value": f"<image>\n{about['question']}"}],
        "captions": [f"The image shows: {', '.join(about['image_content'])}.", about["gt_answer"]],
    }


def label_all(page: Page, world: World, person: Person) -> int:
    """Answers what the page shows, by keys, until it shows no more; how many answers."""
    from annotation import leases
    from annotation.models import Assignment

    page.goto(f"{world.inside}label/")
    answered = 0
    while True:
        # A busy server makes the page wait and try again, which is not the end.
        page.wait_for_selector(
            "#task-holder :is([data-task], [data-nothing]:not([data-waiting]))", timeout=60_000
        )
        if not page.locator("[data-task]").count():
            return answered
        token = page.locator("[data-task]").get_attribute("data-task")
        # What is on the screen, which is another comparison where the lease shows a check.
        seen = leases.load(Assignment.objects.get(token=token).pk, world.project)
        for key in person.keys(seen, world.references):
            page.keyboard.press(key)
        expect(page.locator(f'[data-task="{token}"]')).to_have_count(0, timeout=60_000)
        answered += 1


def rule(page: Page, world: World, count: int) -> None:
    """The manager rules on the oldest disputes by the form, for the better reference."""
    from annotation.models import Comparison

    for _ in range(count):
        page.goto(f"{world.inside}disputes/")
        waiting = world.project.comparisons.filter(outcome=Comparison.Outcome.DISPUTED)
        comparison = waiting.select_related("prompt").earliest("pk")
        page.get_by_label(f"Response {_worse(comparison, world)}").first.check()
        page.get_by_role("button", name="Decide").click()
        expect(page.get_by_text("The ruling stands above the votes.")).to_be_visible()


def _worse(comparison: Comparison, world: World) -> int:
    reference = world.references[comparison.prompt.external_id]
    one, two = (
        likeness(text, reference) for text in (comparison.response_1, comparison.response_2)
    )
    return 1 if one < two else 2


def release(page: Page, world: World) -> None:
    """Asked for by the form, built as a worker would."""
    from annotation import jobs

    page.goto(f"{world.inside}releases/")
    page.get_by_role("button", name="Freeze a release").click()
    jobs.build_release(world.project.releases.latest("number").pk)
    page.reload()
    expect(page.get_by_role("heading", name="Download")).to_be_visible()


def spread_over_weeks(project: Project) -> None:
    """Moves answers into the past, oldest first, at the pace of working days."""
    from datetime import timedelta

    from django.utils import timezone

    from annotation.models import Judgment

    draw = random.Random(3)
    days = [day for day in range(20, 0, -1) if day % 7 not in (1, 2)]
    for person in project.memberships.filter(role="annotator"):
        mine = Judgment.objects.filter(
            assignment__project=project, assignment__annotator=person.user_id
        ).order_by("pk")
        keys = list(mine.values_list("pk", flat=True))
        places = sorted(draw.choices(days, [1 + draw.random() for _ in days], k=len(keys)))[::-1]
        for pk, before in zip(keys, places, strict=True):
            moment = timezone.now() - timedelta(days=before)
            seconds = draw.uniform(9, 45)
            Judgment.objects.filter(pk=pk).update(created_at=moment, active_seconds=seconds)


def main(output: Path) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    # Playwright's event loop rests whenever Django's code runs, which Django cannot see.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    import django

    django.setup()
    from django.test.runner import DiscoverRunner
    from django.test.utils import override_settings, setup_test_environment
    from pytest_django.live_server_helper import LiveServer

    from config import embedded

    embedded.start_if_needed()
    setup_test_environment(debug=False)
    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    server = LiveServer("localhost")
    try:
        with tempfile.TemporaryDirectory() as folder, override_settings(MEDIA_ROOT=folder):
            _play(server.url, Path(folder), output)
    finally:
        server.stop()
        runner.teardown_databases(databases)


def _play(address: str, scratch: Path, output: Path) -> None:
    from django.db import connections
    from playwright.sync_api import sync_playwright

    from tests.browser import chromium
    from tests.browser.screenshots import photograph, session
    from tests.shared import shared_data

    world = make_world(shared_data("mmhal_bench"), scratch)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])

        def page_of(user: User) -> Page:
            context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 800})
            cookie = {"name": "sessionid", "value": session(user), "url": address}
            context.add_cookies([cookie])
            return context.new_page()

        for person in world.people:
            count = label_all(page_of(person.user), world, person)
            print(f"{person.user.username}: {count} answers by keys")
        spread_over_weeks(world.project)
        manager = page_of(world.manager)
        rule(manager, world, 3)
        release(manager, world)
        browser.close()
        # Opened inside Playwright's loop, this connection is another than the one of the runner.
        connections.close_all()
    shown = {name: ("manager", path) for name, path in pages(world).items()}
    own = f"{world.inside}people/{world.people[0].user.pk}/"
    people = {"manager": session(world.manager), "annotator": session(world.people[0].user)}
    photograph(address, people, {**shown, "annotator-own": ("annotator", own)}, output)


def pages(world: World) -> dict[str, str]:
    noisy = world.people[1].user.pk
    ruled = world.project.comparisons.filter(adjudication__isnull=False).earliest("pk")
    parts = {
        "project": "",
        "quality": "quality/",
        "annotator": f"people/{noisy}/",
        "disputes": "disputes/",
        "corrupted": "quality/corrupted/",
        "comparison": f"comparisons/{ruled.pk}/",
        "comparisons": "comparisons/",
        "releases": "releases/",
        "release": "releases/1/",
        "imports": "imports/",
    }
    return {name: world.inside + part for name, part in parts.items()}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.browser.real_photographs OUTPUT")
    main(Path(sys.argv[1]))
