"""What closes the loop in a project: new pairs, scores of waiting ones, and disagreement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation import access
from annotation.views.shared import one_page, project_page, query_without_page
from training import visibility
from training.checkpoints import registry
from training.forms import DisagreementFilterForm
from training.loop import disagreement
from training.loop.disagreement import Bucket
from training.models import Checkpoint, Run
from training.runs import requests

EXAMPLES_ON_A_PAGE = 8


@login_required
@require_GET
@never_cache
def disagreement_page(request: HttpRequest, slug: str) -> HttpResponse:
    """How often people and the reward model disagree, with examples."""
    project = access.require(request.user, slug, visibility.SEE)
    found = disagreement.report(project)
    form = DisagreementFilterForm(request.GET)
    page = one_page(
        request, disagreement.examples(project, **form.chosen()), size=EXAMPLES_ON_A_PAGE
    )
    return project_page(
        request,
        project,
        "training/disagreement.html",
        tab="disagreement",
        report=found,
        form=form,
        filtered=any(request.GET.get(name) for name in form.fields),
        page=page,
        examples=[_example(score) for score in page],
        query=query_without_page(request),
        by_confidence=_bars(found.by_confidence),
        by_margin=_bars(found.by_margin),
        by_spread=_bars(found.by_spread),
        reward_model=registry.newest(project, Checkpoint.Kind.REWARD_MODEL),
    )


@login_required
@require_GET
@never_cache
def card(request: HttpRequest, slug: str) -> HttpResponse:
    """The part of a project's page that is about its models."""
    project = access.require(request.user, slug, visibility.SEE)
    underway = Run.objects.filter(project=project, state__in=("queued", "running"))
    context = {
        "project": project,
        "policy": registry.newest(project, Checkpoint.Kind.POLICY),
        "reward_model": registry.newest(project, Checkpoint.Kind.REWARD_MODEL),
        "report": disagreement.headline(project),
        "underway": underway.filter(kind__in=("sample", "score_comparisons")).order_by("pk"),
        "may_act": access.may(request.user, project, visibility.ACT),
    }
    return render(request, "training/_loop_card.html", context)


@login_required
@require_POST
def sample(request: HttpRequest, slug: str) -> HttpResponse:
    """Has the newest policy answer the project's prompts: new pairs to compare."""
    said = "Queued. When it has ended, the pairs wait for annotators."
    return _ask(request, slug, Checkpoint.Kind.POLICY, requests.request_sampling, said)


@login_required
@require_POST
def score(request: HttpRequest, slug: str) -> HttpResponse:
    """Has the newest reward model score the project's comparisons."""
    said = "Queued. When it has ended, people get first what it is unsure about."
    return _ask(request, slug, Checkpoint.Kind.REWARD_MODEL, requests.request_scoring, said)


def _ask(
    request: HttpRequest,
    slug: str,
    kind: Checkpoint.Kind,
    ask: Callable[[Checkpoint, Any], Run],
    said: str,
) -> HttpResponse:
    project = access.require(request.user, slug, visibility.ACT)
    try:
        run = ask(registry.require_newest(project, kind), request.user)
    except (registry.NoneYet, requests.Refused) as error:
        messages.error(request, f"Nothing was started: {error.detail}")
        return redirect(project)
    messages.success(request, said)
    return redirect(run)


def _example(score: Any) -> dict[str, Any]:
    """A score with what the page says of both responses."""
    comparison = score.comparison
    made_by = score.run.reward_model.run if score.run.reward_model else None
    better = 1 if score.probability_1 >= 0.5 else 2
    return {
        "score": score,
        "comparison": comparison,
        "confidence": (1 + score.certainty) / 2,
        "facts": comparison.prompt.captions
        if made_by is not None and made_by.settings.get("with_facts")
        else None,
        "responses": [
            {
                "number": number,
                "text": getattr(comparison, f"response_{number}"),
                "reward": getattr(score, f"reward_{number}"),
                "spread": getattr(score, f"spread_{number}"),
                "votes": getattr(score, f"votes_{number}"),
                "people": comparison.preference == number,
                "machine": better == number,
            }
            for number in (1, 2)
        ],
    }


def _bars(buckets: list[Bucket]) -> dict[str, Any]:
    """As static/js/charts.js draws bars."""
    series: list[dict[str, Any]] = [
        {
            "name": "People disagree",
            "values": [bucket.disagree.value for bucket in buckets],
            "low": [bucket.disagree.interval[0] for bucket in buckets],
            "high": [bucket.disagree.interval[1] for bucket in buckets],
        }
    ]
    expected = [bucket.expected for bucket in buckets]
    if any(value is not None for value in expected):
        series.append({"name": "As its confidence says", "values": expected})
    return {
        "label": "share of comparisons",
        "min": 0,
        "max": 1,
        "categories": [f"{bucket.name} ({bucket.disagree.whole})" for bucket in buckets],
        "series": series,
    }
