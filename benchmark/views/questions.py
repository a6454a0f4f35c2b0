"""A question with its image and what each model said to it."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation import images
from benchmark import access, reading

IMAGE_SECONDS = 7 * 24 * 3600


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    question = access.question(request.user, pk)
    answers = reading.answers_to(question, access.evaluations(request.user))
    context = {
        "question": question,
        "answers": answers,
        "addressing": sum(
            answer.evaluation.can_be_talked_to and answer.addresses_judge for answer in answers
        ),
        **reading.neighbours(question),
    }
    return render(request, "benchmark/question.html", context)


@login_required
@require_GET
def image(request: HttpRequest, pk: int) -> FileResponse:
    found = access.question(request.user, pk).image
    if found is None:
        raise Http404
    answer = FileResponse(images.opened(found), content_type=found.content_type)
    # The content under this address never changes, but only this reader may have it.
    answer["Cache-Control"] = f"private, max-age={IMAGE_SECONDS}, immutable"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
