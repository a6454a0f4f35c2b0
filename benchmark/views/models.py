"""One model across all benchmarks, with what it was trained from; and the same for a paper."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from benchmark import access
from benchmark.board import papers, parentage
from benchmark.models import Evaluation
from training.checkpoints import registry
from training.models import Checkpoint

MOST_BENCHMARKS = 40


@login_required
@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Each benchmark's newest score, and whether it rose or fell since the model's parent."""
    checkpoint, found = _model(request, pk)
    visible = access.evaluations(request.user)
    rows = [(one, parentage.change_of(one, visible)) for one in found]
    context = {
        "checkpoint": checkpoint,
        "rows": rows,
        "rose": [one for one, change in rows if change and change.verdict == "rose"],
        "fell": [one for one, change in rows if change and change.verdict == "fell"],
        "tested": sum(change is not None for _, change in rows),
        "lineage": registry.lineage(checkpoint),
        "forms": list(papers.FORMS),
    }
    return render(request, "benchmark/model.html", context)


@login_required
@require_GET
@never_cache
def summary(request: HttpRequest, pk: int, form: str) -> HttpResponse:
    _, found = _model(request, pk)
    if form not in papers.FORMS:
        raise Http404
    make, content_type = papers.FORMS[form]
    return HttpResponse(make(found), content_type=content_type)


def _model(request: HttpRequest, pk: int) -> tuple[Checkpoint, list[Evaluation]]:
    """A checkpoint that some visible evaluation measures, and the newest one with a score of each
    group. Http404 otherwise."""
    mine = access.evaluations(request.user).filter(checkpoint=pk)
    if not mine.exists():
        raise Http404
    newest: dict[object, Evaluation] = {}
    for evaluation in mine.scored().with_origin():
        newest.setdefault((evaluation.group, str(evaluation.sampling)), evaluation)
    checkpoint = Checkpoint.objects.select_related("run", "base").get(pk=pk)
    ordered = sorted(newest.values(), key=lambda one: (str(one.question_set), str(one.judge)))
    return checkpoint, ordered[:MOST_BENCHMARKS]
