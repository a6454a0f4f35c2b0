"""What several scenarios begin from and leave behind."""

from __future__ import annotations

import hashlib
import io
import itertools

from annotation.models import Image, Project, User
from perf.storage_scenarios.stored import take_away

RECORDS = 12
numbers = itertools.count(1)


class Refused(Exception):
    """The work was refused, and its row says why."""


def photograph(number: int) -> bytes:
    """A picture of noise, which no format makes small: several chunks to write."""
    from PIL import Image as Picture

    noise = hashlib.shake_256(str(number).encode()).digest(64 * 64 * 3)
    buffer = io.BytesIO()
    Picture.frombytes("RGB", (64, 64), noise).save(buffer, "PNG")
    return buffer.getvalue()


def project_and_user() -> tuple[Project, User]:
    """A project with decided comparisons, made once."""
    from tests.factories import judge, make_admin, make_comparison, make_project

    project = Project.objects.filter(name="Storage faults").first()
    if project is None:
        project = make_project(k=1, name="Storage faults")
        for _ in range(RECORDS):
            judge(make_comparison(project, response_1=f"A {'very ' * 2000}long answer."))
        make_admin("storage-faults")
    return project, User.objects.get(username="storage-faults")


def forget(image: Image) -> None:
    """So that it is not looked at again after each later death."""
    image.delete()
    take_away(image.file.name)
