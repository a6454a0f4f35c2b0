"""REST of runs: asking for them, alone and in chains, following, cancelling, resuming."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access
from annotation.api.base import (
    ARCHIVED_PARAMETER,
    ById,
    KnownParameters,
    archived_of,
    idempotent,
    user_of,
)
from annotation.models import Release
from config.sanitising import is_storable
from training import visibility
from training.api.serializers import (
    ChainInSerializer,
    ChainSerializer,
    CurveSerializer,
    RunChangeSerializer,
    RunDetailSerializer,
    RunGroupSerializer,
    RunInSerializer,
    RunSerializer,
)
from training.figures import columns, run_table
from training.models import Metric, Run, RunQuerySet, State
from training.runs import organising, requests, scheduling
from training.runs.requests import Common, Step

MOST_POINTS = 100_000
MOST_FIGURES = 16


class NewestFirst(ById):
    """Runs are mostly asked for because something has just happened."""

    ordering = "-pk"


def _common(request: Request, asked: dict[str, Any]) -> Common:
    """What the request says about all its runs; ValidationError names what cannot be found."""
    user = user_of(request)
    project = access.require(user, asked["project"], visibility.ACT)
    mine = visibility.checkpoints(user)
    found: dict[str, Any] = {}
    for name in ("base", "policy", "reward_model"):
        found[name] = _find(mine, name, asked[name])
    releases = Release.objects.filter(project=project)
    return Common(
        project=project,
        requested_by=user,
        release=_find(releases, "release", asked["release"]),
        preset=asked["preset"],
        model_changes=asked["model"],
        seed=asked["seed"],
        gpus=asked["gpus"],
        max_attempts=asked["max_attempts"],
        **found,
    )


def _find(rows: QuerySet[Any], name: str, pk: int | None) -> Any:
    if pk is None:
        return None
    found = rows.filter(pk=pk).first()
    if found is None:
        raise ValidationError({name: f"There is none with the id {pk}, or it is not yours to use."})
    return found


def _step(asked: dict[str, Any]) -> Step:
    return Step(asked["kind"], changes=asked["settings"], options=asked["options"])


FILTERS = ("state", "project", "kind", "tag", "group", "search", "archived")
FILTER_PARAMETERS = [
    OpenApiParameter("state", enum=State.values),
    OpenApiParameter("project", description="The project's slug."),
    OpenApiParameter("kind"),
    OpenApiParameter("tag"),
    OpenApiParameter("group", description="Runs that differ in the seed alone."),
    OpenApiParameter("search", description="Words of name, notes, tags or kind; #12 is a number."),
    ARCHIVED_PARAMETER,
]


def _narrowed(rows: RunQuerySet, request: Request) -> RunQuerySet:
    """What the query asks for, as the page's filters do. Raises ValidationError."""
    given = request.query_params
    if "state" in given and given["state"] not in State.values:
        raise ValidationError({"state": f"Must be one of {', '.join(State.values)}."})
    archived = archived_of(request)
    for name in FILTERS:
        if not is_storable(given.get(name, "")):
            raise ValidationError({name: "holds characters that cannot be stored"})
    paths = {"state": "state", "kind": "kind", "project": "project__slug", "group": "group"}
    for name, path in paths.items():
        if name in given:
            rows = rows.filter(**{path: given[name]})
    if "tag" in given:
        rows = rows.filter(tags__contains=[given["tag"]])
    return run_table.search(rows, given.get("search", "")).listed(archived=archived)


class Runs(KnownParameters, generics.ListAPIView):
    """The runs of your projects, newest first; archived ones where ``archived`` asks for them."""

    scopes = {"GET": "read", "POST": "train"}
    parameters = frozenset(FILTERS)
    serializer_class = RunSerializer
    pagination_class = NewestFirst
    queryset = Run.objects.none()

    def get_queryset(self) -> QuerySet[Run]:
        rows = visibility.runs(self.request.user).with_context().select_related("release")
        return _narrowed(rows, self.request)

    @extend_schema(parameters=FILTER_PARAMETERS)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(request=RunInSerializer, responses={201: RunSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Queues one run."""
        asked = RunInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        data = asked.validated_data
        common = _common(request, data)
        mine = Run.objects.filter(project=common.project)
        after = _find(mine, "after", data["after"])
        run = requests.request_run(common, _step(data), name=data["name"], after=after)
        return Response(RunSerializer(run).data, status=status.HTTP_201_CREATED)


class Chains(KnownParameters, APIView):
    """Queues runs that follow one another: all of them, or none."""

    scopes = {"POST": "train"}

    @extend_schema(request=ChainInSerializer, responses={201: ChainSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        asked = ChainInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        data = asked.validated_data
        steps = [_step(step) for step in data["steps"]]
        chain = requests.request_chain(_common(request, data), steps, name=data["name"])
        return Response(ChainSerializer(chain).data, status=status.HTTP_201_CREATED)


class NewestGroupsFirst(ById):
    """By the newest run of each."""

    ordering = "-newest"


class RunGroups(KnownParameters, APIView):
    """Runs in groups that differ in the seed alone, with means over seeds of the figures asked for.

    Filters choose the groups of which some run fits.
    """

    scopes = {"GET": "read"}
    parameters = frozenset({*FILTERS, "figure"})
    pagination_class = NewestGroupsFirst

    @extend_schema(
        parameters=[
            *FILTER_PARAMETERS,
            OpenApiParameter("figure", description="Such as held_out/accuracy.", many=True),
        ],
        responses=RunGroupSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        names = request.query_params.getlist("figure")
        if len(names) > MOST_FIGURES or not all(map(is_storable, names)):
            raise ValidationError({"figure": f"At most {MOST_FIGURES}, of plain characters."})
        every = visibility.runs(request.user)
        asked = _narrowed(every, request).order_by().values("group")
        shown = every.listed(archived=archived_of(request))
        figures = [columns.figure(name) for name in dict.fromkeys(names)]
        pages = self.pagination_class()
        groups = run_table.groups(shown.filter(group__in=asked), run_table.Order(), [])
        page = pages.paginate_queryset(groups, request, view=self) or []
        keys = [one["group"] for one in page]
        rows = run_table.group_rows(shown, keys, figures)
        return pages.get_paginated_response([_group(row) for row in rows])


def _group(row: run_table.GroupRow) -> dict[str, Any]:
    return {
        "group": row.key,
        "kind": row.newest.kind,
        "name": row.newest.name,
        "runs": [run.pk for run in row.runs],
        "counted": [run.pk for run in row.counted],
        "seeds": row.seeds,
        "figures": [
            {
                "figure": column.key.partition(":")[2],
                "mean": found.mean,
                "low": found.low if found.has_interval else None,
                "high": found.high if found.has_interval else None,
                "n": found.n,
            }
            for column, found in row.cells
            if found is not None
        ],
    }


class RunDetail(KnownParameters, APIView):
    """A run of yours."""

    scopes = {"GET": "read", "PATCH": "train"}

    @extend_schema(responses=RunDetailSerializer)
    def get(self, request: Request, pk: int) -> Response:
        return Response(RunDetailSerializer(visibility.run(request.user, pk)).data)

    @extend_schema(request=RunChangeSerializer, responses=RunSerializer)
    def patch(self, request: Request, pk: int) -> Response:
        """Renames, tags, notes, archives or brings back; nothing of what the run is changes."""
        run = visibility.run(request.user, pk, visibility.ACT)
        sent = RunChangeSerializer(data=request.data, partial=True)
        sent.is_valid(raise_exception=True)
        organising.change(run, **sent.validated_data)
        return Response(RunSerializer(run).data)


class CancelRun(KnownParameters, APIView):
    """Cancels a run, and with it what waits for it. A run that has ended stays as it is."""

    scopes = {"POST": "train"}

    @extend_schema(request=None, responses=RunSerializer)
    def post(self, request: Request, pk: int) -> Response:
        run = visibility.run(request.user, pk, visibility.ACT)
        scheduling.cancel(run)
        return Response(RunSerializer(run).data)


class ResumeRun(KnownParameters, APIView):
    """Queues a run that failed, was lost or cancelled: it goes on from its last checkpoint."""

    scopes = {"POST": "train"}

    @extend_schema(request=None, responses=RunSerializer)
    def post(self, request: Request, pk: int) -> Response:
        run = visibility.run(request.user, pk, visibility.ACT)
        requests.resume_run(run)
        return Response(RunSerializer(run).data)


class RunMetrics(KnownParameters, APIView):
    """All figures of a run, each as a curve over its steps."""

    scopes = {"GET": "read"}
    parameters = frozenset({"name"})

    @extend_schema(
        parameters=[OpenApiParameter("name", description="One figure alone.")],
        responses=CurveSerializer(many=True),
    )
    def get(self, request: Request, pk: int) -> Response:
        rows = Metric.objects.filter(run=visibility.run(request.user, pk))
        if "name" in request.query_params:
            rows = rows.filter(name=request.query_params["name"])
        curves: dict[str, dict[str, Any]] = {}
        points = rows.order_by("name", "step").values_list("name", "step", "value")
        for name, step, value in points[:MOST_POINTS]:
            curve = curves.setdefault(name, {"name": name, "steps": [], "values": []})
            curve["steps"].append(step)
            curve["values"].append(value)
        return Response(list(curves.values()))
