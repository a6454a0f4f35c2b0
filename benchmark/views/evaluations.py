"""One evaluation: starting it, watching it, reading its answers, settling unclear verdicts."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.errors import DomainError
from benchmark import access, evaluating, evaluation_queries, evaluation_requests
from benchmark.answer_upload import AnswersForm
from benchmark.board import leaderboard, parentage
from benchmark.forms import AnswerFilter, StartForm
from benchmark.judging import agreement, costs

ANSWERS_ON_A_PAGE = 12


@login_required
@require_http_methods(["GET", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    access.require_starter(request.user)
    form = StartForm(request.POST or None, user=request.user, initial=request.GET.dict())
    if request.method == "POST" and form.is_valid():
        started = form.start()
        if started is not None:
            messages.success(request, "The evaluation waits for a worker.")
            return redirect(started)
    status = 422 if form.errors else 200
    missing = access.what_is_missing(request.user)
    context = {"form": form, "costs": costs.expected_by_choice(), **missing}
    return render(request, "benchmark/start.html", context, status=status)


@login_required
@require_http_methods(["GET", "POST"])
def bring_answers(request: HttpRequest) -> HttpResponse:
    """A file of answers that a model gave elsewhere."""
    access.require_starter(request.user)
    form = AnswersForm(request.POST or None, request.FILES or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        evaluation = form.start()
        if evaluation is not None:
            return redirect(evaluation)
    status = 422 if form.errors else 200
    context = {"form": form, **access.what_is_missing(request.user)}
    return render(request, "benchmark/bring_answers.html", context, status=status)


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    evaluation = access.evaluation(request.user, pk)
    form = AnswerFilter(request.GET, evaluation=evaluation)
    visible = access.evaluations(request.user)
    base = evaluation_queries.base_of(evaluation, visible)
    context = {
        "evaluation": evaluation,
        "progress": evaluation_queries.progress(evaluation),
        "page": Paginator(form.answers(), ANSWERS_ON_A_PAGE).get_page(request.GET.get("page")),
        "form": form,
        "query": form.query,
        "base": base,
        "chart": leaderboard.chart_of([base, evaluation] if base else [evaluation]),
        "agreements": agreement.with_other_judges(evaluation, visible),
        "spent": costs.spent(evaluation),
        "expected": None
        if evaluation.ended
        else costs.expected(evaluation.judge, evaluation.question_set),
        "addressing": len(evaluation_queries.addressing_judge(evaluation)),
        "lineage": evaluation_queries.lineage(evaluation),
        "change": parentage.change_of(evaluation, visible),
        "may_manage": access.may_manage(request.user, evaluation),
        "may_share": access.may_share(request.user),
        "sees_project": access.sees_project(request.user, evaluation),
    }
    return render(request, "benchmark/evaluation.html", context)


@login_required
@require_GET
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The fragment that polls itself; once it has ended the whole page is asked for again."""
    evaluation = access.evaluation(request.user, pk)
    context = {"evaluation": evaluation, "progress": evaluation_queries.progress(evaluation)}
    answer = render(request, "benchmark/_progress.html", context)
    if evaluation.ended:
        answer["HX-Refresh"] = "true"
    return answer


@login_required
@require_POST
def judge_again(request: HttpRequest, pk: int) -> HttpResponse:
    evaluation = access.evaluation(request.user, pk)
    access.require_manager(request.user, evaluation)
    try:
        evaluating.judge_again(evaluation)
    except DomainError as error:
        messages.error(request, str(error))
    return redirect(evaluation)


@login_required
@require_POST
def repeat(request: HttpRequest, pk: int) -> HttpResponse:
    """The same evaluation as a new run, with everything that it depends on."""
    evaluation = access.evaluation(request.user, pk)
    access.require_manager(request.user, evaluation)
    try:
        run = evaluation_requests.repeat(evaluation, request.user)  # type: ignore[arg-type]
    except DomainError as error:
        messages.error(request, str(error))
        return redirect(evaluation)
    messages.success(request, "The same evaluation waits for a worker.")
    return redirect(run)


@login_required
@require_POST
def settle(request: HttpRequest, pk: int) -> HttpResponse:
    verdict = access.verdict_to_settle(request.user, pk)
    evaluation = verdict.answer.evaluation
    try:
        evaluating.settle(verdict, request.POST, request.user)
    except DomainError as error:
        messages.error(request, str(error))
        return redirect(evaluation)
    return redirect(f"{evaluation.get_absolute_url()}?show=open")
