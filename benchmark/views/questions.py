"""A question with its image and what each model said to it; and questions on their way in."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from annotation.api.images import image_response
from benchmark import access, evaluation_queries
from benchmark.question_upload import QuestionsForm

IMAGE_SECONDS = 7 * 24 * 3600


@login_required
@require_http_methods(["GET", "POST"])
def bring(request: HttpRequest) -> HttpResponse:
    """The published files of a benchmark, for administrators."""
    access.require_question_importer(request.user)
    form = QuestionsForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        made = form.start()
        for question_set in made:
            messages.success(request, question_set.told)
        if made:
            return redirect(f"{reverse('benchmark:bring-questions')}?made={made[0].pk}")
    status = 422 if form.errors else 200
    context = {"form": form, "may_start": access.may_start(request.user)}
    return render(request, "benchmark/bring_questions.html", context, status=status)


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    question = access.question(request.user, pk)
    answers = evaluation_queries.answers_to(question, access.evaluations(request.user))
    context = {
        "question": question,
        "answers": answers,
        "addressing": sum(
            answer.evaluation.can_be_talked_to and answer.addresses_judge for answer in answers
        ),
        **evaluation_queries.neighbours(question),
    }
    return render(request, "benchmark/question.html", context)


@login_required
@require_GET
def image(request: HttpRequest, pk: int) -> HttpResponse | FileResponse:
    found = access.question(request.user, pk).image
    if found is None:
        raise Http404
    answer = image_response(found, thumbnail=request.GET.get("variant") == "thumbnail")
    # The content under this address never changes, but only this reader may have it.
    answer["Cache-Control"] = f"private, max-age={IMAGE_SECONDS}, immutable"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
