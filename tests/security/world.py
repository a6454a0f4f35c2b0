"""An installation with one of everything, and every route found from the resolver with its address.

A route whose path has a part that is not known here fails: whoever adds one says what it names.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import URLResolver, get_resolver, reverse

from annotation import exporting, gold_and_repeats, queue
from annotation.models import (
    ApiToken,
    Comparison,
    ImportJob,
    Invitation,
    Project,
    User,
    Webhook,
)
from annotation.onboarding import guidelines
from benchmark import evaluating
from benchmark.board import leaderboard
from benchmark.models import Evaluation, SharedLink
from tests import factories
from tests.benchmark.factories import make_evaluation, make_judge
from tests.training.factories import make_base, make_checkpoint
from training.models import BaseImport, Checkpoint
from training.runs import requests
from training.runs.requests import Common, Step

CONFIG = b"{}"


@dataclass(frozen=True)
class Route:
    name: str
    """Full name with namespaces."""
    path: str
    parameters: tuple[str, ...]
    view: Any
    """The view class of a REST route, else the function."""

    @property
    def of_api(self) -> bool:
        return self.path.startswith("api/v1/")


def routes() -> list[Route]:
    """Every named route of ours; the administrators' site is Django's own."""
    found: list[Route] = []

    def walk(patterns: list[Any], path: str, spaces: tuple[str, ...]) -> None:
        for pattern in patterns:
            here = path + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                inner = (*spaces, pattern.namespace) if pattern.namespace else spaces
                if pattern.namespace != "admin":
                    walk(pattern.url_patterns, here, inner)
            elif pattern.name:
                view = getattr(pattern.callback, "view_class", pattern.callback)
                view = getattr(pattern.callback, "cls", view)
                parameters = tuple(pattern.pattern.regex.groupindex) or tuple(
                    pattern.pattern.converters
                )
                name = ":".join((*spaces, pattern.name))
                found.append(Route(name, here, parameters, view))

    walk(get_resolver().url_patterns, "", ())
    return found


ROUTES = {route.name: route for route in routes()}


@dataclass
class World:
    project: Project
    comparison: Comparison
    people: dict[str, User]
    rows: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict)
    """Texts that were shown once, by what they are."""

    def address(self, route: Route) -> str:
        return reverse(
            route.name, kwargs={name: self._value(route, name) for name in self._names(route)}
        )

    def _names(self, route: Route) -> tuple[str, ...]:
        return route.parameters

    def _value(self, route: Route, name: str) -> Any:
        space, _, last = route.name.rpartition(":")
        if name == "pk":
            return self.rows[PK_OF[space][last]].pk
        if name == "token":
            return self.secrets["share"] if space == "shared" else self.rows["assignment"].token
        values = {
            "slug": self.project.slug,
            "raw": self.secrets["study" if last == "study-begin" else "invitation"],
            "number": self.rows["release"].number,
            "format_name": "datasets" if last == "release-folder" else "csv",
            "group": self.rows["group"],
            "form": "md",
            "chart": "loss",
            "name": "config.json",
            "sha256": self.comparison.prompt.image.sha256,
        }
        return values[name]


def same(row: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, row)


PK_OF: dict[str, dict[str, str]] = {
    "annotation": {
        **same("membership", "member", "quiz-admit", "quiz-grant"),
        **same("comparison", "comparison", "gold", "dispute", "corrupt", "example"),
        "invitation-withdraw": "invitation",
        "annotator": "annotator",
        **same("import", "import", "import-left-out"),
        "example-remove": "example",
        "quiz-answer": "quiz answer",
        "token-revoke": "token",
        **same("study", "study", "study-act", "study-participants"),
        "notice-open": "notice",
        "webhook": "webhook",
    },
    "annotation-api": {
        **same("membership", "member", "quiz-admission", "quiz-attempts"),
        **same("comparison", "dispute", "drafts"),
        **same("release", "release", "folder", "records"),
        **same("study", "study", "study-link", "study-participants"),
        "gold-one": "gold",
        "example": "example",
        "invitation": "invitation",
        **same("import", "import", "import-left-out"),
        "judgment": "judgment",
    },
    "training": {
        **{name.partition(":")[2]: "run" for name in ROUTES if name.startswith("training:run-")},
        **{
            name.partition(":")[2]: "checkpoint"
            for name in ROUTES
            if name.startswith("training:checkpoint")
        },
        "run": "run",
        "base-import": "base import",
    },
    "training-api": {
        **same("run", "run", "run-cancel", "run-resume", "run-metrics"),
        **{
            name.partition(":")[2]: "checkpoint"
            for name in ROUTES
            if name.startswith("training-api:checkpoint")
        },
        "base-import": "base import",
    },
    "benchmark": {
        **same("evaluation", "evaluation", "evaluation-json", "evaluation-csv", "progress"),
        **same("evaluation", "judge-again", "repeat", "summary"),
        **same("checkpoint", "model", "model-summary"),
        "report-card": "reward model",
        **same("person judge", "rate", "rate-undo"),
        **same("question", "question", "question-image"),
        "revoke-link": "link",
        "settle": "verdict",
    },
    "benchmark-api": {
        **same("evaluation", "evaluation", "answers"),
        "report-card": "reward model",
    },
    "shared": {"evaluation": "evaluation", "photograph": "question"},
}


def make_world(*, evaluated: bool = True) -> World:
    """``evaluated``: with a benchmark, of which an installation has one of each name."""
    project = factories.make_project(k=1)
    people = {
        "outsider": factories.make_user(),
        **{
            role: factories.make_member(project, role)
            for role in ("annotator", "reviewer", "manager")
        },
        "admin": factories.make_admin(),
    }
    world = World(project, factories.make_comparison(project), people, {})
    _annotate(world)
    _train(world)
    if evaluated:
        _evaluate(world)
    return world


def _annotate(world: World) -> None:
    project, annotator, manager = world.project, world.people["annotator"], world.people["manager"]
    factories.judge(world.comparison)
    factories.make_comparisons(project, 3)
    done = queue.claim(project, annotator)
    assert done is not None
    answer = queue.Answer(more_hallucinated="1")
    judged = queue.submit(annotator, done.token, answer, client_uuid=uuid.uuid4())
    release = exporting.make_release(project)
    assignment = queue.claim(project, annotator)
    gold = factories.make_comparison(project)
    gold_and_repeats.make_gold(gold, more_hallucinated="1")
    example = guidelines.draft(
        factories.make_comparison(project), manager, more_hallucinated="2", why="Look.", spans=[]
    )
    membership = project.memberships.get(user=annotator)
    attempt = membership.quiz_attempts.create(number=1, pass_mark=1)
    invitation, world.secrets["invitation"] = Invitation.create(
        project, role="annotator", created_by=manager, note="Noor"
    )
    token, world.secrets["token"] = ApiToken.create(
        annotator, name="script", scopes=list(ApiToken.Scope.values)
    )
    study, world.secrets["study"] = factories.make_study(project, maker=manager)
    factories.make_machine_labelling(project, number=release.number)
    world.rows |= {
        "study": study,
        "notice": annotator.notices.create(kind="run_failed", event="1", title="No", link="/"),
        "webhook": Webhook.objects.create(
            name=f"lab {project.pk}", address="https://hooks.example.org/secret"
        ),
        "annotator": annotator,
        "assignment": assignment,
        "comparison": world.comparison,
        "example": example,
        "gold": gold,
        "import": ImportJob.objects.create(project=project, name="pairs.jsonl"),
        "invitation": invitation,
        "judgment": judged.judgment,
        "membership": membership,
        "quiz answer": attempt.answers.create(
            comparison=world.comparison, position=1, shown_first=1, known="1"
        ),
        "release": release,
        "token": token,
    }


def _train(world: World) -> None:
    manager, release = world.people["manager"], world.rows["release"]
    runs = [
        requests.request_run(
            Common(project=world.project, requested_by=manager, base=make_base(), release=release),
            Step("dpo"),
        )
        for _ in range(2)
    ]
    run = runs[0]
    listed = {"name": "config.json", "size": len(CONFIG)}
    files = [{**listed, "sha256": hashlib.sha256(CONFIG).hexdigest()}]
    checkpoint = make_checkpoint(run, files=files)
    default_storage.save(f"{checkpoint.path}/config.json", ContentFile(CONFIG))
    asked = {"name": f"tiny {world.project.pk}", "created_by": world.people["admin"]}
    world.rows |= {
        "run": run,
        "other run": runs[1],
        "checkpoint": checkpoint,
        "reward model": make_checkpoint(runs[1], kind=Checkpoint.Kind.REWARD_MODEL),
        "base import": BaseImport.objects.create(source="org/tiny", **asked),
    }


def _evaluate(world: World) -> None:
    evaluation = make_evaluation([6, None], project=world.project)
    evaluation.question_set.questions.update(image=world.comparison.prompt.image)
    verdict = evaluation.verdicts().get(rating=None)
    evaluating.settle(verdict, {"rating": "1"}, world.people["manager"])
    link, world.secrets["share"] = SharedLink.create(
        [evaluation],
        title="Our scores",
        days=7,
        with_answers=True,
        with_photographs=True,
        created_by=world.people["admin"],
    )
    world.rows |= {
        "evaluation": evaluation,
        "group": leaderboard.groups(Evaluation.objects.all())[0].id,
        "link": link,
        "person judge": make_judge("people", kind="person", base_url="", model=""),
        "question": evaluation.question_set.questions.first(),
        "verdict": verdict,
    }
