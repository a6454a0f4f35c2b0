"""What managers do with a study: make it, change it, end it, and give out another link."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils import timezone

from annotation import access
from annotation.crowd.platforms import PLATFORMS, fault_of_address
from annotation.errors import DomainError
from annotation.models import Project, Study, User

CHANGEABLE = (
    "name",
    "answers",
    "places",
    "session_hours",
    "completion_code",
    "return_url",
    "failed_code",
)
"""What may be changed once people may have come."""


class AnswersFixed(DomainError):
    status = 409
    title = "The number of answers stands"


def managed(user: Any, slug: str, pk: int) -> Study:
    """A study of a project that ``user`` manages; whatever it is not, it is not found."""
    project = access.require(user, slug, "manage")
    study = get_object_or_404(Study, project=project, pk=pk)
    study.project = project
    return study


def faults(given: dict[str, Any]) -> dict[str, str]:
    """What is wrong between fields of a study, by field: for forms and REST alike."""
    found = {}
    if not given.get("completion_code") and not given.get("return_url"):
        found["completion_code"] = "Give a completion code, an address to lead back to, or both."
    if given.get("return_url"):
        fault = fault_of_address(given["return_url"], given["platform"])
        if fault:
            found["return_url"] = fault
    names = [
        given[name]
        for name in ("participant_parameter", "study_parameter", "session_parameter")
        if given.get(name)
    ]
    if len(set(names)) < len(names):
        found["participant_parameter"] = "Each parameter needs a name of its own."
    return found


def create(project: Project, maker: User, **fields: Any) -> tuple[Study, str]:
    """A new study and the text of its link, which is shown this once.

    Parameters that are not named get the platform's usual names.
    """
    usual = PLATFORMS[fields["platform"]]
    defaults = {
        "participant_parameter": usual.participant,
        "study_parameter": usual.study,
        "session_parameter": usual.session,
    }
    study = Study(project=project, **{**defaults, **fields})
    raw = study.new_link(maker)
    study.save()
    return study, raw


def change(study: Study, **fields: Any) -> None:
    """Changes some of CHANGEABLE. Raises AnswersFixed once somebody has come for a number."""
    with transaction.atomic():
        locked = Study.objects.select_for_update(no_key=True).get(pk=study.pk)
        answers = fields.get("answers", locked.answers)
        if answers != locked.answers and locked.participants.exists():
            raise AnswersFixed("People came for this number and are paid for it; make a new study.")
        for name in CHANGEABLE:
            setattr(study, name, fields.get(name, getattr(locked, name)))
        study.save(update_fields=CHANGEABLE)


def renew_link(study: Study, maker: User) -> str:
    """Another link; the one before opens nothing from now on."""
    raw = study.new_link(maker)
    study.save(update_fields=["digest", "link_by"])
    return raw


def withdraw_link(study: Study) -> None:
    """No link opens the study; who is at it goes on."""
    study.digest = None
    study.save(update_fields=["digest"])


def end(study: Study) -> None:
    """Takes nobody new; who is at it goes on."""
    study.ended_at = study.ended_at or timezone.now()
    study.save(update_fields=["ended_at"])


def reopen(study: Study) -> None:
    study.ended_at = None
    study.save(update_fields=["ended_at"])


def address_to_paste(study: Study, link: str) -> str:
    """The link with its parameters and what the platform puts into them."""
    placeholders = PLATFORMS[study.platform].placeholders
    names = (study.participant_parameter, study.study_parameter, study.session_parameter)
    pairs = [
        f"{quote(name)}={placeholder}"
        for name, placeholder in zip(names, placeholders, strict=True)
        if name
    ]
    return f"{link}?{'&'.join(pairs)}"
