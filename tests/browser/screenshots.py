"""Pictures of every page, wide and narrow, light and dark, full and empty.

    python -m tests.browser.screenshots OUTPUT [NAME …]

Runs on a database of its own with drawn pictures and made-up answers, so that the result can be
shown to anybody. With names, only those pages are taken.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from annotation.models import Comparison, Project, User

VIEWS = [(1440, 900, "light"), (1440, 900, "dark"), (390, 844, "light"), (390, 844, "dark")]
WHOLE_PAGE_EXCEPT = ("label", "label-quiz", "label-quiz-answer")
SETTLE_MILLISECONDS = 1500  # Pages that poll never fall silent.


def main(output: Path, names: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.test.runner import DiscoverRunner
    from django.test.utils import override_settings, setup_test_environment
    from pytest_django.live_server_helper import LiveServer

    from config import embedded
    from tests.browser import benchmark_world, training_pages

    embedded.start_if_needed()
    setup_test_environment(debug=False)
    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    server = LiveServer("localhost")
    try:
        with tempfile.TemporaryDirectory() as storage, override_settings(MEDIA_ROOT=storage):
            manager, annotator, full, empty = fill()
            dashboard = benchmark_world.fill(full, manager, Path(storage))
            people = {"manager": session(manager), "annotator": session(annotator)}
            people |= {name: session(member(full, name)) for name in ("noor", "eva")}
            people["eva half-way"] = half_way(member(full, "eva"))
            shown = pages(full, empty, annotator)
            shown |= {f"benchmark-{name}": ("manager", path) for name, path in dashboard.items()}
            shown["benchmark-empty"] = ("annotator", "/benchmarks/")
            trained = training_pages.pages(training_pages.fill(full, manager, groups=12, seeds=5))
            shown |= {name: ("manager", path) for name, path in trained.items()}
            shown = {name: shown[name] for name in names or shown}
            photograph(server.url, people, shown, output)
    finally:
        server.stop()
        runner.teardown_databases(databases)


def fill() -> tuple[User, User, Project, Project]:
    """A project in the middle of its work, and one that nobody has begun."""
    from annotation import exporting
    from annotation.models import ImportJob, Invitation
    from tests import factories

    manager = factories.make_admin("maria")
    full = factories.make_project(
        slug="still-lifes",
        name="Tables by the window",
        description="Drawn still lifes; two models describe what stands on the table.",
        k=2,
        maximum=3,
        guidelines="## What counts\n\nAn answer **hallucinates** where it states what the picture "
        "does not show.\n\n- Wrong objects, numbers, colours and positions count.\n- Style and "
        "length do not.\n\n## Example\n\n> Three apples lie beside the mug.\n\nIf there are two, "
        "that is one hallucination.",
    )
    people = [factories.make_user(name) for name in ("jun", "tobias", "amina")]
    for person, role in zip([manager, *people], ["manager", *["annotator"] * 3], strict=True):
        factories.make_member(full, role, person)
    full.memberships.update(guidelines_acknowledged=1)
    for seed in range(24):
        add_comparison(full, seed)
    for person, count in zip(people, (18, 12, 7), strict=True):
        label(full, person, count)
    spread_over_weeks(full)
    teach(full, manager)
    exporting.make_release(full, seed=1, created_by=manager)
    ImportJob.objects.create(
        project=full, name="pairs.jsonl", state="succeeded", total=24, done=24, created_count=24
    )
    ImportJob.objects.create(
        project=full,
        name="more pairs.jsonl",
        state="failed",
        problems=[
            {"line": 3, "field": "", "reason": "is not JSON: a comma is missing after column 41"},
            {"line": 17, "field": "output_2", "reason": "is missing"},
            {"line": 18, "field": "image", "reason": "there is no kitchen-018.jpg in the zip"},
        ],
    )
    Invitation.create(full, role="annotator", created_by=manager, note="Noor")
    factories.make_token(manager, "read", "train")
    arm(full)
    empty = factories.make_project(slug="street", name="Street photographs")
    factories.make_member(empty, "manager", manager)
    return manager, people[2], full, empty


def arm(project: Project) -> None:
    """One person who sets a second factor up, and one who has it."""
    from django_otp.plugins.otp_totp.models import TOTPDevice

    from annotation import second_factor

    second_factor.begin(member(project, "noor"))
    second_factor.begin(member(project, "eva"))
    second_factor.renew_recovery_codes(member(project, "eva"))
    TOTPDevice.objects.filter(user__username="eva").update(confirmed=True)


def teach(project: Project, manager: User) -> None:
    """Worked examples, one of them a draft, and an entry quiz that somebody is taking."""
    from annotation import gold_and_repeats
    from annotation.marks import words
    from annotation.onboarding import guidelines, quiz
    from tests import factories

    why = "No cat is in the picture. The mug has another colour too, but one is enough."
    for seed in range(24, 32):
        add_comparison(project, seed)
    made = list(project.comparisons.order_by("-pk")[:8])
    for number, comparison in enumerate(made):
        worse = 1 if "a cat is sleeping" in comparison.response_1 else 2
        text = comparison.response_1 if worse == 1 else comparison.response_2
        if number > 2:
            gold_and_repeats.make_gold(comparison, more_hallucinated=str(worse), explanation=why)
            continue
        start = text.index("a cat")
        spans = [{"response": worse, "start": start, "end": start + 5, "kind": "object"}]
        assert words(text, spans[0]) == "a cat"
        guidelines.draft(comparison, manager, more_hallucinated=str(worse), why=why, spans=spans)
        if number == 1:
            guidelines.publish(project)
    project.memberships.update(guidelines_acknowledged=2)
    quiz.choose(project, [one.pk for one in made[3:]])
    project.quiz_pass_mark = 0.8
    project.save()
    newcomer, failing = factories.make_user("noor"), factories.make_user("eva")
    for person, wrong in ((newcomer, 0), (failing, 5)):
        factories.make_member(project, "annotator", person)
        project.memberships.update(guidelines_acknowledged=2)
        attempt = quiz.begin(project, person)
        for _ in range(wrong or 1):
            question = quiz.next_question(attempt)
            assert question is not None
            quiz.answer(question, str(3 - int(question.known)) if wrong else question.known)


def add_comparison(project: Project, seed: int) -> None:
    from annotation import images
    from tests import factories
    from tests.browser.still_life import StillLife

    scene = StillLife.random(seed)
    true = (
        f"The picture shows a wooden table in front of a window with a green hill outside. On the "
        f"table stands a {scene.mug} mug filled with coffee. To its left there is a stack of "
        f"{scene.books} books, and on its right lie {scene.apples} apples."
        f"{' A lamp with a yellow shade lights the right side.' if scene.lamp else ''}"
    )
    other = next(colour for colour in ("blue", "red") if colour != scene.mug)
    false = (
        f"This is a cosy still life. A {other} mug of coffee stands in the middle of a wooden "
        f"table, next to a vase with fresh flowers. A stack of {scene.books + 1} books lies on "
        f"the left. Behind the table a large window opens on a green landscape under a blue sky, "
        f"and a cat is sleeping on the window sill.\n\nThe warm light suggests a quiet morning."
    )
    responses = [true, false] if seed % 2 else [false, true]
    prompt = factories.make_prompt(
        project,
        image=images.store(scene.png()),
        external_id=f"table-{seed:03}",
        conversation=[{"from": "human", "value": "<image>\nDescribe what stands on the table."}],
        captions=[true],
    )
    factories.make_comparison(
        project,
        prompt=prompt,
        external_id=f"table-{seed:03}",
        response_1=responses[0],
        response_2=responses[1],
        model_1="llava-7b-sft",
        model_2="llava-7b-fact-rlhf",
        shuffle=seed,
    )


def label(project: Project, person: User, count: int) -> None:
    """Answers of one person, who mostly sees what is wrong."""
    import uuid

    from annotation import queue

    draw = random.Random(count)
    for _ in range(count):
        assignment = queue.claim(project, person)
        if assignment is None:
            return
        worse = "1" if "cat is sleeping" in assignment.comparison.response_1 else "2"
        chosen = draw.choices([worse, "tie", "1"], [8, 1, 1])[0]
        answer = queue.Answer(
            more_hallucinated=chosen,
            more_helpful="1" if chosen == "tie" else "",
            active_seconds=draw.uniform(6, 40),
            spans=spans_of(assignment.comparison, draw) if chosen == worse else [],
            confidence=draw.randint(2, 5),
            note="The cat is nowhere; I am not sure about the books."
            if draw.random() < 0.2
            else "",
        )
        queue.submit(person, assignment.token, answer, client_uuid=uuid.uuid4())


def spread_over_weeks(project: Project) -> None:
    """Moves the answers into the past, so that plots over time have something to show."""
    from datetime import timedelta

    from annotation.models import Judgment

    judgments = Judgment.objects.filter(assignment__project=project).order_by("pk")
    for number, judgment in enumerate(judgments):
        moment = judgment.created_at - timedelta(days=24 - number * 24 // judgments.count())
        Judgment.objects.filter(pk=judgment.pk).update(created_at=moment)


def spans_of(comparison: Comparison, draw: random.Random) -> list[dict[str, Any]]:
    """Marks on what is made up, as one person sees them."""
    number = 1 if "a cat is sleeping" in comparison.response_1 else 2
    text = comparison.response_1 if number == 1 else comparison.response_2
    found = []
    for pieces in (("a cat", "cat is sleeping"), ("vase", "vase with fresh flowers")):
        words = draw.choice(pieces)
        start = text.index(words)
        found.append(
            {"response": number, "start": start, "end": start + len(words), "kind": "object"}
        )
    return found


def member(project: Project, username: str) -> User:
    return project.members.get(username=username)


def session(user: User) -> str:
    from django.conf import settings
    from django.test import Client

    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def half_way(user: User) -> str:
    """A session in which the password was right and the code is asked for."""
    from django.conf import settings
    from django.test import Client

    from tests import factories

    client = Client()
    client.post("/login/", {"username": user.username, "password": factories.PASSWORD})
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def pages(full: Project, empty: Project, annotator: User) -> dict[str, tuple[str, str]]:
    """Name of the picture -> who looks, and the address."""
    from annotation.models import Invitation, QuizAnswer

    decided = full.comparisons.filter(outcome="decided").first()
    refused = full.import_jobs.get(state="failed")
    assert decided is not None
    inside, new = f"/projects/{full.slug}/", f"/projects/{empty.slug}/"
    shown = {
        "home": "/",
        "projects": "/projects/",
        "guide": "/how-to-annotate/",
        "project": inside,
        "comparisons": f"{inside}comparisons/",
        "comparison": f"{inside}comparisons/{decided.pk}/",
        "imports": f"{inside}imports/",
        "import": f"{inside}imports/{refused.pk}/",
        "releases": f"{inside}releases/",
        "release": f"{inside}releases/1/",
        "disputes": f"{inside}disputes/",
        "quality": f"{inside}quality/",
        "corrupted": f"{inside}quality/corrupted/",
        "annotator": f"{inside}people/{full.memberships.get(user__username='jun').user_id}/",
        "members": f"{inside}members/",
        "settings": f"{inside}settings/",
        "project-new": "/new-project/",
        "tokens": "/account/tokens/",
        "password": "/account/password/",
        "second-factor": "/account/second-factor/",
        "api": "/api/docs/",
        "empty-project": new,
        "empty-comparisons": f"{new}comparisons/",
        "empty-imports": f"{new}imports/",
        "empty-releases": f"{new}releases/",
        "empty-disputes": f"{new}disputes/",
        "empty-quality": f"{new}quality/",
        "empty-disagreement": f"/training/projects/{empty.slug}/disagreement/",
        "empty-label": f"{new}label/",
        "not-found": "/projects/nowhere/",
    }
    shown |= {
        "guidelines": f"{inside}guidelines/",
        "quiz": f"{inside}quiz/",
        "example": f"{inside}comparisons/{decided.pk}/example/",
        "empty-quiz": f"{new}quiz/",
        "empty-guidelines": f"{new}guidelines/",
    }
    answered = QuizAnswer.objects.exclude(given="").get(attempt__membership__user__username="noor")
    label = f"{inside}label/"
    maker = full.memberships.filter(role="manager")[0].user
    _, raw = Invitation.create(full, role="annotator", note="Whoever opens it", created_by=maker)
    found = {name: ("manager", path) for name, path in shown.items()}
    found |= {
        "join": ("", f"/join/{raw}/"),
        "join-with-account": ("noor", f"/join/{raw}/"),
        "join-over": ("", "/join/used-or-expired/"),
        "my-answers": ("annotator", f"{inside}my-answers/"),
        "annotator-project": ("annotator", inside),
        "annotator-guidelines": ("annotator", f"{inside}guidelines/"),
        "annotator-figures": ("annotator", f"{inside}people/{annotator.pk}/"),
        "annotator-training": ("annotator", "/training/"),
        "forbidden": ("annotator", f"{inside}settings/"),
        "signed-out": ("", "/nowhere/"),
        "second-factor-begun": ("noor", "/account/second-factor/"),
        "second-factor-on": ("eva", "/account/second-factor/"),
        "login-code": ("eva half-way", "/login/code/"),
        "label-quiz": ("noor", label),
        "label-quiz-answer": ("noor", f"{label}?answered={answered.pk}"),
        "label-quiz-failed": ("eva", label),
    }
    return {"label": ("annotator", f"{inside}label/"), "login": ("", "/login/"), **found}


def photograph(
    address: str, people: dict[str, str], shown: dict[str, tuple[str, str]], output: Path
) -> None:
    from django.conf import settings
    from playwright.sync_api import sync_playwright

    from tests.browser import chromium

    output.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.find(), args=["--no-sandbox", "--hide-scrollbars"]
        )
        for width, height, scheme in VIEWS:
            for name, (who, path) in shown.items():
                options: dict[str, Any] = {"color_scheme": scheme, "base_url": address}
                viewport = {"width": width, "height": height}
                context = browser.new_context(viewport=viewport, **options)
                if who:
                    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": people[who]}
                    context.add_cookies([{**cookie, "url": address}])
                page = context.new_page()
                page.goto(path, wait_until="load")
                page.wait_for_timeout(SETTLE_MILLISECONDS)
                picture = output / f"{name}-{width}-{scheme}.png"
                page.screenshot(path=picture, full_page=name not in WHOLE_PAGE_EXCEPT)
                context.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tests.browser.screenshots OUTPUT [NAME …]")
    main(Path(sys.argv[1]), sys.argv[2:])
