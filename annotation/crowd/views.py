"""Pages of studies: a manager's, and those by which a participant comes and goes."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation import access, leases
from annotation.crowd import report, sessions, studies
from annotation.crowd.forms import ActionForm, StudyChangeForm, StudyForm
from annotation.errors import DomainError
from annotation.models import Membership, Project, Study, User
from annotation.onboarding.quiz import QuizFirst
from annotation.views.login import BACKEND
from annotation.views.shared import one_page, project_page, says_domain_errors
from config import errors, proxies, rate_limits
from config.requests import PersonRequest

ARRIVALS_OF_AN_ADDRESS = 30
"""New arrivals a minute from one address, for one study: a class in one room, and no flood."""
ON_A_PAGE = 50
SECONDS_AN_ANSWER = 30
"""What a newcomer is told to expect: longer than most need."""


# --- A manager's --------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
@says_domain_errors(back="studies")
def index(request: PersonRequest, slug: str) -> HttpResponse:
    """The studies of a project; a new one, whose link is shown this once."""
    project = access.require(request.user, slug, "manage")
    form = StudyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        study, raw = studies.create(project, request.user, **form.given())
        return _study_page(request, study, raw=raw)
    page = one_page(request, project.studies.with_counts().order_by("-pk"))
    return project_page(
        request,
        project,
        "annotation/crowd/studies.html",
        tab="members",
        form=form,
        page=page,
        status=422 if form.errors else 200,
    )


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
@says_domain_errors(back="studies")
def detail(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    """A study and its participants; changing it."""
    study = studies.managed(request.user, slug, pk)
    form = StudyChangeForm(request.POST or None, instance=study)
    if request.method == "POST" and form.is_valid():
        studies.change(study, **form.cleaned_data)
        messages.success(request, "The study is changed.")
        return redirect(study)
    return _study_page(request, study, form=form, status=422 if form.errors else 200)


@login_required
@require_POST
@never_cache
def act(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    """Ends or reopens a study, or gives it another link or none."""
    study = studies.managed(request.user, slug, pk)
    form = ActionForm(request.POST)
    if not form.is_valid():
        return HttpResponse("Unknown action.", status=422, content_type="text/plain")
    action = form.cleaned_data["action"]
    if action == "renew-link":
        return _study_page(request, study, raw=studies.renew_link(study, request.user))
    actions = {
        "end": (studies.end, "The study takes nobody new; who is at it may go on."),
        "reopen": (studies.reopen, "The study takes people again."),
        "withdraw-link": (studies.withdraw_link, "The link opens nothing any more."),
    }
    do, said = actions[action]
    do(study)
    messages.success(request, said)
    return redirect(study)


@login_required
@require_GET
@never_cache
def participants_csv(request: PersonRequest, slug: str, pk: int) -> StreamingHttpResponse:
    study = studies.managed(request.user, slug, pk)
    people = list(study.participants.select_related("user"))
    rows = report.csv(study, report.lines(study, people))
    answer = StreamingHttpResponse(rows, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{slug}-study-{pk}.csv"'
    return answer


def _study_page(
    request: PersonRequest,
    study: Study,
    *,
    raw: str = "",
    form: StudyChangeForm | None = None,
    status: int = 200,
) -> HttpResponse:
    page = one_page(request, study.participants.select_related("user"), size=ON_A_PAGE)
    link = request.build_absolute_uri(reverse("annotation:study-begin", args=[raw])) if raw else ""
    return project_page(
        request,
        study.project,
        "annotation/crowd/study.html",
        tab="members",
        study=Study.objects.with_counts().get(pk=study.pk),
        page=page,
        lines=report.lines(study, list(page)),
        link=studies.address_to_paste(study, link) if link else "",
        form=form or StudyChangeForm(instance=study),
        status=status,
    )


# --- A participant's ----------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_variables("raw", "who")
def begin(request: HttpRequest, raw: str) -> HttpResponse:
    """What a study's link opens: what is asked, then, on a click, the session of a participant."""
    study = Study.objects.reachable().matching(raw).select_related("project").first()
    if study is None:
        return _no_such_link(request)
    person = request.user
    if isinstance(person, User) and not person.is_participant:
        return _arrival(request, study, logged_in=True, status=409)
    try:
        who = sessions.visit(study, request.GET)
        if request.method == "GET":
            return _arrival(request, study)
        address = proxies.counted_address(request) if proxies.is_known(request) else "unknown"
        if not rate_limits.within(f"study.{study.pk}.{address}", ARRIVALS_OF_AN_ADDRESS):
            return errors.answer(request, 429)
        here = person if isinstance(person, User) else None
        participant = sessions.begin(study, who, here=here)
    except DomainError as error:
        return _arrival(request, study, refusal=error, status=error.status)
    if isinstance(person, User) and person.pk != participant.user_id:
        logout(request)
    login(request, participant.user, backend=BACKEND)
    over = participant.finished_at is not None
    return redirect(f"annotation:{'study-finished' if over else 'label'}", study.project.slug)


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def finished(request: PersonRequest, slug: str) -> HttpResponse:
    """The end: the code, or how many are still to do; with POST, ending where no work is left."""
    project = access.require(request.user, slug, "annotate")
    participant = sessions.participant_of(request.user, project)
    if participant is None:
        raise Http404
    now = sessions.standing(participant)
    if now.is_over or (request.method == "POST" and now.judged and _nothing_left(project, request)):
        sessions.finish(participant)
        now = sessions.standing(participant)
    context = {"project": project, "study": participant.study, "now": now}
    return render(request, "annotation/crowd/finished.html", context)


def _nothing_left(project: Project, request: PersonRequest) -> bool:
    """Whether nothing is handed out although the person may have more."""
    try:
        return leases.claim(project, request.user) is None
    except leases.NotHandedOut:
        mine = Membership.objects.filter(project=project, user=request.user)
        return not mine.filter(paused=True).exists()
    except (QuizFirst, sessions.GuidelinesFirst):
        return False


def _no_such_link(request: HttpRequest) -> HttpResponse:
    stranger = proxies.counted_address(request)
    if not rate_limits.within(f"stranger.{stranger}", rate_limits.OF_A_STRANGER):
        return errors.answer(request, 429)
    gone = sessions.StudyClosed(
        gettext("Its link opens nothing. Please return your place on the platform.")
    )
    return _arrival(request, None, refusal=gone, status=gone.status)


def _arrival(
    request: HttpRequest, study: Study | None, *, status: int = 200, **context: Any
) -> HttpResponse:
    if study is not None:
        context["minutes"] = -(-study.answers * SECONDS_AN_ANSWER // 60)
    return render(
        request, "annotation/crowd/begin.html", {"study": study, **context}, status=status
    )
