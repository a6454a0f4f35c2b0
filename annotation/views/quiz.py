"""The entry quiz: taking it, choosing its questions, and letting people in."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from annotation import access
from annotation.forms.quiz import QuizAnswerForm, QuizForm
from annotation.models import Membership, Project, QuizAnswer
from annotation.onboarding import quiz, quiz_desk
from annotation.page_owner import says_stored
from annotation.views.shared import one_page, project_page, says_domain_errors
from config.requests import PersonRequest

MOST_CANDIDATES = 200


@login_required
@require_http_methods(["GET", "POST"])
@says_domain_errors(back="quiz")
def page(request: PersonRequest, slug: str) -> HttpResponse:
    """The questions and everybody's results; choosing other questions."""
    project = access.require(request.user, slug, "manage")
    candidates = quiz.candidates(project).select_related("prompt__image")[:MOST_CANDIDATES]
    form = QuizForm(request.POST or None, candidates=[one.pk for one in candidates])
    if request.method == "POST" and form.is_valid():
        quiz.choose(project, form.cleaned_data["questions"])
        messages.success(request, "The questions are saved.")
        return redirect("annotation:quiz", slug)
    return project_page(
        request,
        project,
        "annotation/quiz.html",
        tab="guidelines",
        form=form,
        status=422 if form.errors else 200,
        **_shown(request, project, list(candidates)),
    )


def _shown(request: PersonRequest, project: Project, candidates: list[Any]) -> dict[str, Any]:
    chosen = set(quiz.questions(project).values_list("pk", flat=True))
    difficulty = quiz_desk.difficulty(project)
    return {
        "candidates": [(one, one.pk in chosen, difficulty.get(one.pk)) for one in candidates],
        "chosen": len(chosen),
        "needed": quiz.needed(len(chosen), project.quiz_pass_mark),
        "results": one_page(request, quiz_desk.results(project)),
        "most": MOST_CANDIDATES,
    }


@login_required
@require_POST
def admit(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    membership = _member(request, slug, pk)
    quiz_desk.admit(membership, request.user)
    messages.success(request, f"{membership.user.username} gets work without a pass.")
    return redirect("annotation:quiz", slug)


@login_required
@require_POST
@says_domain_errors(back="quiz")
def grant(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    membership = _member(request, slug, pk)
    quiz_desk.grant(membership, request.user)
    messages.success(request, f"{membership.user.username} may try once more.")
    return redirect("annotation:quiz", slug)


def _member(request: PersonRequest, slug: str, pk: int) -> Membership:
    project = access.require(request.user, slug, "manage")
    return get_object_or_404(project.memberships.select_related("user"), pk=pk)


@login_required
@require_POST
@says_domain_errors(back="label")
def begin(request: PersonRequest, slug: str) -> HttpResponse:
    project = access.require(request.user, slug, "annotate")
    quiz.begin(project, request.user)
    return redirect("annotation:label", slug)


@login_required
@require_POST
def answer(request: PersonRequest, pk: int) -> HttpResponse:
    """Stores an answer and leads to what is right; only the first answer counts."""
    mine = QuizAnswer.objects.filter(attempt__membership__user=request.user)
    question = get_object_or_404(mine.select_related("attempt__membership__project"), pk=pk)
    project = access.require(request.user, question.attempt.membership.project, "annotate")
    form = QuizAnswerForm(request.POST)
    if not form.is_valid():
        return HttpResponse(gettext("No such answer."), status=422, content_type="text/plain")
    try:
        quiz.answer(question, form.cleaned_data["more_hallucinated"])
    except quiz.AnsweredAlready as error:
        messages.info(request, error.detail)
    if request.htmx:
        return says_stored(HttpResponse(status=204))
    label = reverse("annotation:label", args=[project.slug])
    return redirect(f"{label}?answered={question.pk}")
