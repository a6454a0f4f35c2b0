"""The images and releases that the database says are in storage, to be checked and repaired."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from django.db.models import QuerySet

from annotation.models import Image, Release
from annotation.releases import freezing
from annotation.storage.checking import Held

LOST = (
    "Its file in storage is damaged, and what it was made from has changed since. "
    "Put the file back from a backup (manage.py check_storage --repair --from), or make a new one."
)


def held_images() -> Iterator[Held]:
    for image in Image.objects.order_by("pk").iterator(chunk_size=1000):
        yield Held(
            what=f"image {image.sha256[:12]}",
            name=str(image.file.name),
            sha256=image.sha256,
            size=image.bytes,
            advice="upload it again",
        )


def held_releases() -> Iterator[Held]:
    for release in _frozen().select_related("project").iterator(chunk_size=100):
        yield Held(
            what=f"release {release.number} of {release.project.slug}",
            name=str(release.artefact.name),
            sha256=release.sha256,
            again=partial(freezing.freeze_again, release),
            advice="it is no longer ready; make a new one",
        )


def mark_release(name: str, *, whole: bool) -> None:
    """Have the releases with this artefact be ready if it is whole, and failed if it is not."""
    State = Release.State
    releases = _frozen().filter(artefact=name)
    if whole:
        releases.filter(state=State.FAILED).update(state=State.READY, error="")
    else:
        releases.filter(state=State.READY).update(state=State.FAILED, error=LOST)


def _frozen() -> QuerySet[Release]:
    return Release.objects.exclude(sha256="").exclude(artefact="").order_by("pk")
