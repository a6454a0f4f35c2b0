"""The labelling page: one comparison at a time, the next one ahead, the last ones again.

Every view but ``page`` answers the page's script with a fragment; without scripts the form of a
comparison still works and leads back to ``page``.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.forms import Form
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation import access, blindness, corrections, leases, queue
from annotation.answers import SPAN_KINDS
from annotation.crowd import sessions
from annotation.forms.labelling import AheadForm, AnswerForm, LabelForm, PreviousForm, SkipForm
from annotation.models import Assignment, Judgment, Membership, Project, QuizAnswer
from annotation.onboarding import guidelines, quiz
from annotation.onboarding.quiz import QuizFirst
from annotation.page_owner import says_stored
from annotation.progress import own_progress, size
from annotation.views.shared import project_page, says_domain_errors
from config.requests import PersonRequest

CONFIDENCES = [
    (1, gettext_lazy("A guess")),
    (2, gettext_lazy("Unsure")),
    (3, gettext_lazy("Fairly sure")),
    (4, gettext_lazy("Sure")),
    (5, gettext_lazy("Certain")),
]
NOTHING = {
    "work": gettext_lazy("There is no work for you right now"),
    "earlier": gettext_lazy("There is no earlier answer that can be changed"),
}


@login_required
@require_GET
@never_cache
def page(request: PersonRequest, slug: str) -> HttpResponse:
    """The comparison to judge now; with ``?change=`` one of my last answers, to change it."""
    project = access.require(request.user, slug, "annotate")
    form = LabelForm(request.GET)
    if not form.is_valid():
        raise Http404
    if form.cleaned_data["change"]:
        mine = queue.editable_judgments(project, request.user)
        judgment = get_object_or_404(mine, pk=form.cleaned_data["change"])
        return _page(request, project, judgment.assignment, judgment=judgment)
    if form.cleaned_data["answered"]:
        return _page(request, project, None, **_quiz_feedback(request, form))
    if request.user.is_participant and (stop := _stop_of_participant(request, project)):
        return stop
    refusal = ""
    try:
        assignment = queue.claim(project, request.user)
    except QuizFirst:
        return _page(request, project, None, **_quiz_state(project, request))
    except queue.NotHandedOut as error:
        assignment, refusal = None, error.detail
    return _page(request, project, assignment, refusal=refusal)


def _stop_of_participant(request: PersonRequest, project: Project) -> HttpResponse | None:
    """What comes before work, or in place of it, for somebody whom a study brought."""
    participant = sessions.participant_of(request.user, project)
    if participant is not None and sessions.standing(participant).is_over:
        return redirect("annotation:study-finished", project.slug)
    if sessions.guidelines_unread(project, request.user):
        return _page(request, project, None, guidelines_first=True, guidelines_unread=False)
    return None


@login_required
@require_POST
@says_domain_errors(back="label")
def ahead(request: PersonRequest, slug: str) -> HttpResponse:
    """One more comparison than those that the page has, whose tokens are ``beside``."""
    project = access.require(request.user, slug, "annotate")
    form = AheadForm(request.POST)
    if not form.is_valid():
        return _invalid(form)
    assignment = queue.claim(project, request.user, ahead_of=form.cleaned_data["beside"])
    return _fragment(request, project, assignment, nothing="work")


@login_required
@require_POST
@says_domain_errors(back="projects")
def answer(request: PersonRequest, token: uuid.UUID) -> HttpResponse:
    """Stores an answer, or a new version of one when ``version`` is named."""
    assignment = access.require_assignment(request.user, token)
    form = AnswerForm(request.POST)
    if not form.is_valid():
        if request.htmx or not form.lacks_only_helpfulness():
            return _invalid(form)
        return _ask_next(request, assignment, form, step="helpful")
    given, client_uuid = (
        blindness.meant(form.answer(), assignment),
        form.cleaned_data["client_uuid"],
    )
    if not request.htmx and (step := _asked_next(assignment.project, form, given)):
        return _ask_next(request, assignment, form, step=step)
    version = form.cleaned_data["version"]
    if version is None:
        queue.submit(request.user, token, given, client_uuid=client_uuid)
    else:
        judgment = get_object_or_404(Judgment, assignment=assignment)
        queue.edit(request.user, judgment.pk, given, version=version, client_uuid=client_uuid)
    return _done(request, assignment.project)


@login_required
@require_POST
@says_domain_errors(back="projects")
def skip(request: PersonRequest, token: uuid.UUID) -> HttpResponse:
    assignment = access.require_assignment(request.user, token)
    form = SkipForm(request.POST)
    if not form.is_valid():
        return _invalid(form)
    queue.skip(request.user, token, reason=form.cleaned_data["reason"])
    return _done(request, assignment.project)


@login_required
@require_POST
@says_domain_errors(back="projects")
def renew(request: PersonRequest, token: uuid.UUID) -> HttpResponse:
    access.require_assignment(request.user, token)
    queue.renew(request.user, token)
    return HttpResponse(status=204)


@login_required
@require_POST
@says_domain_errors(back="label")
def previous(request: PersonRequest, slug: str) -> HttpResponse:
    """My answer before the one named by ``before`` (a judgment), or my last one."""
    project = access.require(request.user, slug, "annotate")
    form = PreviousForm(request.POST)
    if not form.is_valid():
        return _invalid(form)
    mine = list(queue.editable_judgments(project, request.user))
    before = form.cleaned_data["before"]
    place = next((i + 1 for i, one in enumerate(mine) if one.pk == before), 0)
    judgment = mine[place] if place < len(mine) else None
    assignment = judgment.assignment if judgment else None
    return _fragment(request, project, assignment, judgment=judgment, nothing="earlier")


@login_required
@require_GET
@never_cache
def my_answers(request: PersonRequest, slug: str) -> HttpResponse:
    """The answers that can still be changed, newest first."""
    project = access.require(request.user, slug, "annotate")
    judgments = list(queue.editable_judgments(project, request.user))
    for judgment in judgments:
        judgment.assignment.comparison = judgment.comparison
    return project_page(
        request,
        project,
        "annotation/my_answers.html",
        judgments=judgments,
        most=queue.EDITABLE_ANSWERS,
    )


def _page(
    request: PersonRequest,
    project: Project,
    assignment: Assignment | None,
    /,
    *,
    judgment: Judgment | None = None,
    refusal: str = "",
    step: str = "hallucinates",
    **given: Any,
) -> HttpResponse:
    membership = Membership.objects.filter(project=project, user=request.user).first()
    unread = membership and membership.guidelines_acknowledged < project.guidelines_version
    rules = guidelines.at(project)
    context = {
        "refusal": refusal,
        "step": step,
        "nothing": NOTHING["work"],
        "span_kinds": SPAN_KINDS,
        "guidelines": rules,
        "guidelines_unread": bool(rules and (rules.text or rules.examples) and unread),
        "skip_reasons": Assignment.SkipReason.choices,
        "renew_seconds": max(60, project.lease_minutes * 60 // 3),
        **_progress(project, request),
        **_task(assignment, judgment),
        **given,
    }
    return project_page(request, project, "annotation/label.html", **context)


def _quiz_state(project: Project, request: PersonRequest) -> dict[str, Any]:
    """The question that a newcomer is at, or what stands before it."""
    standing = quiz.standing_of(project, request.user)
    if standing is None or standing.attempt is None:
        last = standing.last if standing else None
        return {"quiz": standing, "last_right": quiz.right(last) if last else 0}
    question = quiz.next_question(standing.attempt)
    return {"quiz": standing, **_question(question)} if question else {"quiz": standing}


def _quiz_feedback(request: PersonRequest, form: LabelForm) -> dict[str, Any]:
    """An answered question with the right answer, and how the attempt stands."""
    mine = quiz.shown(QuizAnswer.objects.filter(attempt__membership__user=request.user))
    question = get_object_or_404(mine.exclude(given=""), pk=form.cleaned_data["answered"])
    return {"feedback": True, "right": quiz.right(question.attempt), **_question(question)}


def _question(question: QuizAnswer) -> dict[str, Any]:
    comparison = question.comparison
    return {
        "question": question,
        "assignment": question,
        "prompt": comparison.prompt,
        "image": comparison.prompt.image,
        "of": question.attempt.answers.count(),
    }


def _asked_next(project: Project, form: AnswerForm, given: queue.Answer) -> str:
    """The question that is still to be answered; "" when all are."""
    asked = corrections.asked_for(project, given.more_hallucinated, given.more_helpful)
    if asked is not None and not form.cleaned_data["correction"]:
        return "correction"
    return "confidence" if project.ask_confidence and given.confidence is None else ""


def _ask_next(
    request: PersonRequest, assignment: Assignment, form: AnswerForm, *, step: str
) -> HttpResponse:
    """The page with its next question, for a browser without scripts."""
    answered = [
        (name, form.cleaned_data[name])
        for name in ("more_hallucinated", "more_helpful", "correction", "corrects", "corrected")
        if form.cleaned_data.get(name) and not (step == "correction" and name.startswith("correct"))
    ]
    if step == "helpful":
        answered = [("more_hallucinated", "tie")]
    shown = leases.load(assignment.pk, assignment.project)
    return _page(
        request,
        assignment.project,
        shown,
        step=step,
        answered=answered,
        note=form.cleaned_data["note"],
        **(_to_correct(shown, form) if step == "correction" else {}),
    )


def _to_correct(shown: Assignment, form: AnswerForm) -> dict[str, Any]:
    given = form.answer()
    asked = corrections.asked_for(shown.project, given.more_hallucinated, given.more_helpful)
    [(letter, number, text)] = [one for one in shown.responses if one[1] == asked]
    return {"correcting": {"letter": letter, "number": number, "text": text}}


def _task(assignment: Assignment | None, judgment: Judgment | None = None) -> dict[str, Any]:
    if assignment is None:
        return {"assignment": None}
    comparison = judgment.comparison if judgment else assignment.comparison
    assignment.comparison = comparison
    return {
        "assignment": assignment,
        "judgment": judgment,
        "told": blindness.told(judgment) if judgment else {},
        "prompt": comparison.prompt,
        "image": comparison.prompt.image,
        "client_uuid": uuid.uuid4(),
        **_extras(assignment.project, judgment),
    }


def _extras(project: Project, judgment: Judgment | None) -> dict[str, Any]:
    """What else is asked. An earlier answer shows all it has, so that changing it loses nothing."""
    told = blindness.told(judgment) if judgment else {"spans": [], "corrections": []}
    spans = told["spans"]
    confidence = judgment.confidence if judgment else None
    return {
        "marks_spans": project.mark_spans or bool(spans),
        "spans": json.dumps(spans),
        "corrects": corrections.side_asked_for(project, judgment),
        "corrections": json.dumps(told["corrections"]),
        "asks_confidence": project.ask_confidence or confidence is not None,
        "confidences": CONFIDENCES,
        "note": judgment.note if judgment else "",
    }


def _progress(project: Project, request: PersonRequest) -> dict[str, Any]:
    own = own_progress(project, request.user)
    return {"size": size(project), "own": own, **_study(project, request)}


def _study(project: Project, request: PersonRequest) -> dict[str, Any]:
    participant = sessions.participant_of(request.user, project)
    return {"study": participant.study} if participant else {}


def _fragment(
    request: PersonRequest,
    project: Project,
    assignment: Assignment | None,
    *,
    judgment: Judgment | None = None,
    nothing: str,
) -> HttpResponse:
    template = "annotation/_task.html" if assignment else "annotation/_nothing.html"
    context = {"project": project, "nothing": NOTHING[nothing], **_task(assignment, judgment)}
    if assignment is None and request.user.is_participant:
        context |= _progress(project, request)
    return render(request, template, context)


def _done(request: PersonRequest, project: Project) -> HttpResponse:
    if not request.htmx:
        return redirect("annotation:label", project.slug)
    context = {"project": project, **_progress(project, request)}
    return says_stored(render(request, "annotation/_label_progress.html", context))


def _invalid(form: Form) -> HttpResponse:
    problems = [f"{name}: {error}" for name, errors in form.errors.items() for error in errors]
    return HttpResponse("\n".join(problems), status=422, content_type="text/plain; charset=utf-8")
