"""Telling people: rows are written in the transaction of what they tell, and sent after it.

1. An event has a name. Nobody is told of one twice, and no webhook gets one twice, however often
   ``tell`` is called for it.
2. A row of each person who is concerned, by what they chose (NoticeChoice); a Delivery for each
   mail and webhook.
3. Workers send (annotation.notices.delivering); a message that is lost leaves the row, which beat
   finds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.functional import Promise

from annotation.models import Delivery, Notice, NoticeChoice, Project, User
from annotation.models.projects import Role
from annotation.notices.kinds import KINDS
from config import languages, wakeup
from config.sanitising import storable

TASK = "annotation.tasks.deliver_notice"


def tell(
    kind: str,
    people: Iterable[User],
    *,
    event: str,
    title: str | Promise,
    link: str,
    project: Project | None = None,
) -> None:
    """Tells ``people`` of ``event``; those who were told of it are not told again.

    ``title`` is read in the language of each of them, where it is lazy (``format_lazy``).
    Call it in the transaction of what happened. Raises ValueError for a kind that is not listed.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind} is no kind of notice")
    told = {one.pk: one for one in people}
    choices = NoticeChoice.objects.filter(kind=kind, person__in=told).select_related("webhook")
    chosen = {one.person_id: one for one in choices}
    with transaction.atomic():
        for person in (told[pk] for pk in sorted(told)):
            if not person.is_active or person.is_participant:
                continue
            choice = chosen.get(person.pk) or NoticeChoice(person=person, kind=kind)
            about: dict[str, Any] = {"kind": kind, "project": project, "link": link[:300]}
            with languages.spoken_to(person):
                words = storable(str(title))[:300]
            notice, is_new = Notice.objects.get_or_create(
                person=person,
                event=event[:120],
                defaults={**about, "title": words, "in_inbox": choice.inbox},
            )
            if is_new:
                _send(notice, choice, person)


def _send(notice: Notice, choice: NoticeChoice, person: User) -> None:
    made = []
    if choice.email and person.email and settings.EMAIL_HOST:
        made.append(Delivery.objects.create(notice=notice, event=notice.event))
    if choice.webhook is not None and choice.webhook.enabled:
        delivery, is_new = Delivery.objects.get_or_create(
            webhook=choice.webhook, event=notice.event, defaults={"notice": notice}
        )
        made += [delivery] if is_new else []
    if made:
        wakeup.after_commit(TASK, *(one.pk for one in made))


def members(project: Project, *roles: str) -> list[User]:
    """The people of a project with one of ``roles`` (managers unless named)."""
    memberships = project.memberships.filter(role__in=roles or (Role.MANAGER,))
    return [one.user for one in memberships.select_related("user")]


def superusers() -> list[User]:
    return list(User.objects.filter(is_superuser=True, is_active=True))
