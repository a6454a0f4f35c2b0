"""REST of comparisons and prompts: adding them, and what became of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, importing, searching
from annotation.api.base import ById, KnownParameters, idempotent, user_of
from annotation.api.labelling import CorrectionSerializer
from annotation.api.serializers import JoinSerializer, ProblemSerializer, TurnSerializer
from annotation.image_sources import Stored
from annotation.importing.formats import parse_any_pair
from annotation.importing.forms.prompts import parse_any_prompt
from annotation.importing.records import PairIn, PromptIn
from annotation.machine.disclosure import with_priority_told
from annotation.models import Comparison, Judgment, Project

MOST_RECORDS = 1000


class ComparisonSerializer(serializers.ModelSerializer):
    """A comparison as reviewers see it."""

    prompt = serializers.CharField(source="prompt.external_id")
    image = serializers.CharField(source="prompt.image.sha256")
    corrections = serializers.SerializerMethodField(
        help_text="Of the votes that count, and those that came with the file."
    )
    priority = serializers.IntegerField(
        source="priority_told",
        help_text="Higher is handed out first; what a machine labelling under way adds is left "
        "out.",
    )
    preference = serializers.IntegerField(
        source="better", allow_null=True, help_text="The better response, 1 or 2, once decided."
    )
    decided_by = serializers.CharField(
        help_text="people, machine, file (its label came with it), rule (equal texts), or empty."
    )

    class Meta:
        model = Comparison
        fields = [
            "id",
            "external_id",
            "prompt",
            "image",
            "response_1",
            "response_2",
            "model_1",
            "model_2",
            "source",
            "priority",
            "outcome",
            "decided_by",
            "preference",
            "hallucination",
            "margin",
            "judgment_count",
            "wanted_judgments",
            "imported_marks",
            "corrections",
            "created_at",
        ]

    @extend_schema_field(CorrectionSerializer(many=True))
    def get_corrections(self, comparison: Comparison) -> list[dict[str, Any]]:
        given = getattr(comparison, "corrected_judgments", [])
        found = [one for judgment in given for one in judgment.corrections]
        return [*found, *comparison.imported_corrections]


class ResponseInSerializer(serializers.Serializer):
    vars()["from"] = serializers.CharField(required=False, allow_blank=True)
    value = serializers.CharField()
    marks = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text='Hallucinated words: [{"start", "end", "kind"}], in characters.',
    )


class CorrectionInSerializer(serializers.Serializer):
    output = serializers.IntegerField(min_value=1, max_value=2, help_text="Which it corrects.")
    value = serializers.CharField()


class PromptInSerializer(serializers.Serializer):
    """A prompt record. Documents the shape; ``annotation.importing.records`` reads it."""

    id = serializers.CharField()
    image = serializers.CharField(
        help_text="SHA-256 of an uploaded image, or the picture itself as a data URI."
    )
    conversations = TurnSerializer(many=True)
    captions = serializers.ListField(child=serializers.CharField(), required=False)
    caption_type = serializers.IntegerField(required=False)
    length_bonus = serializers.FloatField(required=False)


class PairInSerializer(PromptInSerializer):
    """A preference record, labelled or not, or one of another project's form
    (docs/labelling-protocol.md)."""

    output_1 = ResponseInSerializer()
    output_2 = ResponseInSerializer()
    preference = serializers.IntegerField(required=False, help_text="The better output, 1 or 2.")
    hallucination = serializers.BooleanField(required=False)
    corrections = CorrectionInSerializer(many=True, required=False)


class ComparisonsInSerializer(serializers.Serializer):
    comparisons = PairInSerializer(many=True, help_text=f"At most {MOST_RECORDS}.")
    leave_out_unusable = serializers.BooleanField(
        required=False, help_text="Leave out records that cannot be used instead of refusing all."
    )


class PromptsInSerializer(serializers.Serializer):
    prompts = PromptInSerializer(many=True, help_text=f"At most {MOST_RECORDS}.")
    leave_out_unusable = serializers.BooleanField(
        required=False, help_text="Leave out records that cannot be used instead of refusing all."
    )


class ImportedSerializer(serializers.Serializer):
    created = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    left_out = ProblemSerializer(many=True, help_text="Each record that was left out, and why.")
    joins = JoinSerializer(many=True, help_text="What had to be found, and how much was.")
    warnings = ProblemSerializer(many=True)


FILTERS = [
    OpenApiParameter("outcome", enum=Comparison.Outcome.values),
    OpenApiParameter("source", description="An import or a run, as written on it."),
    OpenApiParameter("model", description="Made one of the responses, or both."),
    OpenApiParameter(
        "search", description="Words of the question, the responses or the id: all of them."
    ),
]
"""What comparisons can be chosen by; see ``asked_for``."""


def asked_for(project: Project, request: Request) -> QuerySet[Comparison]:
    """The comparisons that the parameters of the address choose. Raises ValidationError."""
    asked = {filter.name: request.query_params.get(filter.name) for filter in FILTERS}
    if asked["outcome"] not in (None, *Comparison.Outcome.values):
        known = ", ".join(Comparison.Outcome.values)
        raise ValidationError({"outcome": f"Must be one of {known}."})
    return searching.found(
        project,
        outcome=asked["outcome"] or "",
        source=asked["source"] or "",
        model=asked["model"] or "",
        search=asked["search"],
    )


class Comparisons(KnownParameters, generics.ListAPIView):
    """The comparisons of a project, with what became of them."""

    scopes = {"GET": "read", "POST": "manage"}
    parameters = frozenset(filter.name for filter in FILTERS)
    serializer_class = ComparisonSerializer
    pagination_class = ById
    queryset = Comparison.objects.none()

    def get_queryset(self) -> QuerySet[Comparison]:
        project = access.require(self.request.user, self.kwargs["slug"], "review")
        given = Judgment.objects.filter(surplus=False).exclude(corrections=[]).order_by("pk")
        corrected = Prefetch("judgments", given, to_attr="corrected_judgments")
        comparisons = asked_for(project, self.request).select_related("prompt__image")
        return with_priority_told(comparisons.prefetch_related(corrected))

    @extend_schema(parameters=FILTERS)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(request=ComparisonsInSerializer, responses={201: ImportedSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Adds comparisons: all of them, or none and every fault is named."""
        project = access.require(request.user, slug, "manage")
        return _add(request, project, "comparisons", parse_any_pair)


class Prompts(KnownParameters, APIView):
    """Adds prompts without responses, to train and to sample with."""

    scopes = {"POST": "manage"}

    @extend_schema(request=PromptsInSerializer, responses={201: ImportedSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        project = access.require(request.user, slug, "manage")
        return _add(request, project, "prompts", parse_any_prompt)


def _add(
    request: Request,
    project: Project,
    name: str,
    parse: Callable[[int, Any], PairIn | PromptIn],
) -> Response:
    body: dict[str, Any] = request.data if isinstance(request.data, dict) else {}
    given = body.get(name)
    if not isinstance(given, list) or not given:
        raise ValidationError({name: "Must be a list of records."})
    if len(given) > MOST_RECORDS:
        raise ValidationError({name: f"Must be at most {MOST_RECORDS} records at a time."})
    leave_out = body.get("leave_out_unusable", False)
    if not isinstance(leave_out, bool):
        raise ValidationError({"leave_out_unusable": "Must be true or false."})
    left_out = io.StringIO()
    options = importing.Options(
        source=f"api {user_of(request).username}",
        leave_out_unusable=leave_out,
        left_out_to=left_out,
    )
    images = Stored(access.images_to_name(user_of(request), project))
    done = importing.import_values(project, given, parse, images, options)
    answer = {
        "created": done.created,
        "unchanged": done.unchanged,
        "left_out": [
            {**row, "line": int(row["line"] or 0)}
            for row in csv.DictReader(io.StringIO(left_out.getvalue()))
        ],
        "joins": [asdict(join) for join in done.joins],
        "warnings": [warning.to_json() for warning in done.warnings],
    }
    return Response(answer, status=status.HTTP_201_CREATED)
