"""A participant's way: the link, guidelines and quiz, a set number of answers, the code.

1. Whoever opens a link says who they are by its parameters, and becomes an annotator without a
   password, in one project, for ever (``Membership.save``). Nothing but the browser's session lets
   them in (annotation.crowd.confinement).
2. Once in a project, whichever of its studies it was. The same session of the platform leads back
   to where they were; another one is refused.
3. ``leases.claim`` asks ``may_have_more``: no work before the guidelines are read, and none beyond
   the number. Gold and repeats are among that number, as everywhere (annotation.blindness).
4. An answer is an answer, whenever it comes; the end is noted when no more is handed out.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from annotation.crowd.platforms import LONGEST_ID, PLATFORMS
from annotation.errors import DomainError
from annotation.models import Assignment, Membership, Participant, Project, Study, User
from annotation.models.projects import Role
from annotation.onboarding import guidelines
from config.sanitising import is_storable


class NotByThisLink(DomainError):
    """The link lacks who comes, or the platform has not let them begin."""

    status = 422
    title = gettext_noop("Please open the study from its platform")


class TakenPart(DomainError):
    status = 409
    title = gettext_noop("You have taken part already")


class StudyClosed(DomainError):
    status = 410
    title = gettext_noop("This study takes nobody any more")


class StudyPaused(StudyClosed):
    status = 409
    title = gettext_noop("This study is paused")


class GuidelinesFirst(DomainError):
    status = 409
    title = gettext_noop("The guidelines come first")


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Who the platform says is coming."""

    participant: str
    study: str = ""
    session: str = ""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a participant is, in answers and skips of whatever kind."""

    participant: Participant
    judged: int
    skipped: int
    open: int

    @property
    def wanted(self) -> int:
        return self.participant.study.answers

    @property
    def is_over(self) -> bool:
        return self.participant.finished_at is not None or self.judged >= self.wanted


def visit(study: Study, parameters: Mapping[str, str]) -> Visit:
    """Who comes, from the parameters of the address. Raises NotByThisLink."""
    names = {
        "participant": study.participant_parameter,
        "study": study.study_parameter,
        "session": study.session_parameter,
    }
    found = {kind: parameters.get(name, "").strip() for kind, name in names.items() if name}
    platform = PLATFORMS[study.platform]
    if platform.unaccepted and found.get("session") == platform.unaccepted:
        raise NotByThisLink(
            gettext("You are only looking at it: accept the task first, then open it.")
        )
    untouched = dict(zip(("participant", "study", "session"), platform.placeholders, strict=True))
    for kind, text in found.items():
        if not text or text == untouched[kind]:
            if kind == "study":
                continue
            raise NotByThisLink(
                gettext("The address lacks %(name)s, by which the platform names you.")
                % {"name": names[kind]}
            )
        if len(text) > LONGEST_ID or not is_storable(text) or not text.isprintable():
            raise NotByThisLink(
                gettext("What the address says as %(name)s is no id.") % {"name": names[kind]}
            )
    return Visit(**found)


def begin(study: Study, who: Visit, *, here: User | None = None) -> Participant:
    """The participant, new or at their unfinished session.

    ``here`` is the participant this browser is logged in as. Where the platform tells no session,
    nothing but the browser shows who somebody is: ids of participants are known to others.

    Raises TakenPart for another session of the same person, and StudyClosed where nobody new, or
    nobody who was away for too long, is taken.
    """
    try:
        with transaction.atomic():
            # One arrival at a time, so that places are neither given twice nor kept free.
            locked = Study.objects.select_for_update(no_key=True).get(pk=study.pk)
            known = (
                Participant.objects.select_related("study", "user")
                .filter(project=locked.project_id, external_id=who.participant)
                .first()
            )
            if known is None:
                return _new(locked, who)
            if not who.session and known.user != here:
                raise TakenPart(
                    gettext(
                        "Somebody with your id has begun. If it was you, go on in the browser in "
                        "which you began."
                    )
                )
            return _again(locked, known, who)
    except IntegrityError as error:
        # The same person in two studies of the project at once.
        if "participant_once_in_a_project" not in str(error):
            raise
        raise TakenPart(gettext("You take part in a study of this project already.")) from None


def _new(study: Study, who: Visit) -> Participant:
    _require_place(study)
    user = User(username=f"study-{secrets.token_hex(5)}", is_participant=True)
    user.set_unusable_password()
    user.save()
    Membership.objects.create(project_id=study.project_id, user=user, role=Role.ANNOTATOR)
    return Participant.objects.create(
        study=study,
        project_id=study.project_id,
        user=user,
        external_id=who.participant,
        platform_study=who.study,
        session=who.session,
        seen_at=timezone.now(),
    )


def _again(study: Study, known: Participant, who: Visit) -> Participant:
    same = known.study_id == study.pk and known.session == who.session
    if not same or (known.finished_at and not known.session):
        raise TakenPart(gettext("Everybody takes part once, and you have. Thank you."))
    if known.finished_at is None:
        mine = Participant.objects.holding_places(study).filter(pk=known.pk)
        if not mine.exists():
            _require_place(study)
        known.seen_at = timezone.now()
        known.save(update_fields=["seen_at"])
    return known


def _require_place(study: Study) -> None:
    project = study.project
    over = (Project.State.CLOSED, Project.State.ARCHIVED)
    if study.ended_at is not None or project.state in over:
        raise StudyClosed(gettext("It has ended. Please return your place on the platform."))
    if project.state == Project.State.PAUSED:
        raise StudyPaused(gettext("Please come back later, or return your place on the platform."))
    if Participant.objects.holding_places(study).count() >= study.places:
        raise StudyClosed(gettext("It is full. Please return your place on the platform."))


def participant_of(user: User, project: Project) -> Participant | None:
    """The participant that ``user`` is in ``project``; None for people with a log-in."""
    if not user.is_participant:
        return None
    mine = Participant.objects.select_related("study").filter(user=user, project=project)
    return mine.first()


def standing(participant: Participant) -> Standing:
    """One query."""
    states = Assignment.State
    mine = Assignment.objects.filter(project=participant.project_id, annotator=participant.user_id)
    counts = mine.aggregate(
        judged=Count("pk", filter=Q(state=states.JUDGED)),
        skipped=Count("pk", filter=Q(state=states.SKIPPED)),
        open=Count("pk", filter=Q(state=states.OPEN)),
    )
    return Standing(participant=participant, **counts)


def may_have_more(project: Project, user: User) -> bool:
    """Whether a participant gets one comparison more; asked with their membership locked.

    Raises GuidelinesFirst. Notes the end of whoever has answered all.
    """
    participant = participant_of(user, project)
    if participant is None:
        return False
    if guidelines_unread(project, user):
        raise GuidelinesFirst(gettext("Read the guidelines first; work comes after them."))
    now = standing(participant)
    if now.is_over:
        finish(participant)
        return False
    return now.judged + now.open < now.wanted


def guidelines_unread(project: Project, user: User) -> bool:
    """Whether there are guidelines of which the person has read no version."""
    if guidelines.acknowledged(project, user) != 0:
        return False
    rules = guidelines.at(project)
    return rules is not None and bool(rules.text or rules.examples)


def finish(participant: Participant) -> None:
    """Notes the end, once: no more is handed out, and the place is taken for good."""
    mine = Participant.objects.filter(pk=participant.pk, finished_at__isnull=True)
    if mine.update(finished_at=Now()):
        participant.refresh_from_db(fields=["finished_at"])
