"""Plain functions that make rows for tests; each argument that does not matter has a default."""

from __future__ import annotations

import hashlib
import io
import uuid
from typing import Any

from django.core.files.base import ContentFile
from django.utils import timezone
from PIL import Image as Picture

from annotation import queue
from annotation.crowd import studies
from annotation.models import (
    ApiToken,
    Comparison,
    Image,
    Judgment,
    MachineLabelling,
    Membership,
    Project,
    Prompt,
    Study,
    User,
)
from tests.numbers import number as new_number

PASSWORD = "correct horse battery"


def make_user(username: str = "", **fields: Any) -> User:
    """A person who logs in with PASSWORD."""
    username = username or f"person-{new_number()}"
    return User.objects.create_user(username=username, password=PASSWORD, **fields)


def make_admin(username: str = "") -> User:
    return make_user(username, is_staff=True, is_superuser=True)


def make_project(*, k: int = 3, maximum: int | None = None, **fields: Any) -> Project:
    """An open project that wants ``k`` judgments per comparison (at most ``maximum``)."""
    number = new_number()
    fields = {"slug": f"project-{number}", "name": f"Project {number}", **fields}
    return Project.objects.create(
        judgments_per_comparison=k, max_judgments=k if maximum is None else maximum, **fields
    )


def make_member(project: Project, role: str = "annotator", user: User | None = None) -> User:
    """A person (a new one unless given) who is in ``project`` as ``role``."""
    user = user or make_user()
    Membership.objects.create(project=project, user=user, role=role)
    return user


def make_study(project: Project, *, maker: User | None = None, **fields: Any) -> tuple[Study, str]:
    """A study whose code is DONE, and the text of its link; made by an administrator."""
    given = {"name": "A study", "platform": "prolific", "completion_code": "DONE", **fields}
    return studies.create(project, maker or make_admin(), **given)


def make_machine_labelling(project: Project, **fields: Any) -> MachineLabelling:
    """A reward model's, certified, that has decided nothing; with one label of the sample."""
    certificate = {
        **{"labelling": 1, "machine": "rm", "about": {"run": 1}, "method": "tests", "level": 0.1},
        **{"confidence": 0.9, "seed_sha256": "0" * 64, "comparisons": 23, "sample": 22},
        **{"cannot_tell": 0, "unsettled": 0, "audit": 0, "passed": True, "threshold": 0.9},
        **{"tested": 22, "errors": 0, "bound": 0.099, "taken": 0, "votes_a_comparison": 1},
        **{"guidelines_version": 1, "at": "2026-01-01T00:00:00+00:00"},
        "steps": [
            {"threshold": 0.9, "sample": 22, "errors": 0, "bound": 0.099, "passed": True},
        ],
    }
    given = {
        **{"number": 1, "machine": "reward_model:1", "machine_name": "rm", "state": "certified"},
        **{"sample_size": 22, "total": 23, "done": 23, "certificate": certificate},
        **{"about": {"run": 1}, "decided_at": timezone.now()},
    }
    found = MachineLabelling.objects.create(project=project, **{**given, **fields})
    found.labels.create(
        comparison=make_comparison(project, open_slots=0, wanted_judgments=0),
        use="sample",
        more_hallucinated="2",
        confidence=0.95,
        replies={"as_given": {"text": "[[B]] [[95]]", "state": "parsed", "chance_1": 0.05}},
        answered_at=timezone.now(),
    )
    return found


def make_token(user: User, *scopes: str) -> str:
    """The text of a new API token with ``scopes`` (all of them when none are named)."""
    return ApiToken.create(user, name="test", scopes=list(scopes or ApiToken.Scope.values))[1]


def picture_bytes(
    *, width: int = 8, height: int = 6, format: str = "PNG", colour: Any = None
) -> bytes:
    """The bytes of a picture in one colour; a colour of its own unless one is given."""
    number = new_number()
    colour = colour or (number % 256, number // 256 % 256, number // 65536 % 256)
    buffer = io.BytesIO()
    Picture.new("RGB", (width, height), colour).save(buffer, format)
    return buffer.getvalue()


def make_image(data: bytes | None = None) -> Image:
    """A stored PNG."""
    data = data or picture_bytes()
    with Picture.open(io.BytesIO(data)) as picture:
        width, height = picture.size
    sha256 = hashlib.sha256(data).hexdigest()
    image = Image(
        sha256=sha256,
        original_sha256=sha256,
        width=width,
        height=height,
        bytes=len(data),
        format=Image.Format.PNG,
    )
    image.file.save("", ContentFile(data), save=False)
    image.save()
    return image


def make_prompt(project: Project, *, image: Image | None = None, **fields: Any) -> Prompt:
    number = new_number()
    fields = {
        "external_id": f"prompt-{number}",
        "conversation": [{"from": "human", "value": f"<image>\nWhat is shown? ({number})"}],
        "captions": ["a red circle", "a blue cross"],
        "content_sha256": hashlib.sha256(str(number).encode()).hexdigest(),
        **fields,
    }
    return Prompt.objects.create(project=project, image=image or make_image(), **fields)


def make_comparison(project: Project, *, prompt: Prompt | None = None, **fields: Any) -> Comparison:
    """A comparison that waits for all the judgments that the project wants."""
    number = new_number()
    fields = {
        "external_id": f"comparison-{number}",
        "response_1": f"There is a red circle. ({number})",
        "response_2": f"There is a green star. ({number})",
        "wanted_judgments": project.judgments_per_comparison,
        "open_slots": project.judgments_per_comparison,
        "content_sha256": hashlib.sha256(f"comparison {number}".encode()).hexdigest(),
        **fields,
    }
    return Comparison.objects.create(
        project=project, prompt=prompt or make_prompt(project), **fields
    )


def make_comparisons(project: Project, count: int) -> list[Comparison]:
    """``count`` comparisons about one image, each with a prompt of its own."""
    image = make_image()
    prompts = [make_prompt(project, image=image) for _ in range(count)]
    return [make_comparison(project, prompt=prompt) for prompt in prompts]


def judge(
    comparison: Comparison, more_hallucinated: str = "2", more_helpful: str = "", **fields: Any
) -> Judgment:
    """A new member claims ``comparison`` and answers; the project must have no other to offer."""
    annotator = make_member(comparison.project)
    assignment = queue.claim(comparison.project, annotator)
    assert assignment is not None
    assert assignment.comparison_id == comparison.pk, "another comparison was handed out"
    answer = queue.Answer(more_hallucinated=more_hallucinated, more_helpful=more_helpful, **fields)
    return queue.submit(annotator, assignment.token, answer, client_uuid=uuid.uuid4()).judgment
