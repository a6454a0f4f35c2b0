"""REST of changing many comparisons at once."""

from __future__ import annotations

from dataclasses import asdict

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, bulk_actions
from annotation.api.base import KnownParameters, idempotent
from annotation.api.comparisons import FILTERS, asked_for
from annotation.bulk_actions import MOST_AT_ONCE, Action, Change


class ChangeInSerializer(serializers.Serializer):
    action = serializers.ChoiceField(Action.choices)
    amount = serializers.IntegerField(
        required=False,
        default=0,
        help_text="Points for priority, further answers for hand_out_again; else left out.",
    )
    comparisons = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        max_length=MOST_AT_ONCE,
        help_text="Their ids; left out together with all, which means all that the address finds.",
    )
    all = serializers.BooleanField(required=False, default=False)
    dry_run = serializers.BooleanField(
        required=False, default=False, help_text="Say what would be changed, and change nothing."
    )

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        if bool(attrs.get("comparisons")) == bool(attrs["all"]):
            raise ValidationError(
                {"comparisons": "Name some, or say all: true for what the address finds."}
            )
        return attrs


class ChangedSerializer(serializers.Serializer):
    changed = serializers.IntegerField()
    left = serializers.DictField(
        child=serializers.IntegerField(), help_text="By reason, how many stay as they are."
    )


class ComparisonChanges(KnownParameters, APIView):
    """Changes many comparisons: priority, out and back in, further answers."""

    scopes = {"POST": "manage"}
    parameters = frozenset(filter.name for filter in FILTERS)

    @extend_schema(
        parameters=FILTERS, request=ChangeInSerializer, responses={200: ChangedSerializer}
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Those that the body names among the ones that the address finds; all or none of it."""
        project = access.require(request.user, slug, "manage")
        body = ChangeInSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        change = Change(action=Action(asked["action"]), amount=asked["amount"])
        rows = asked_for(project, request)
        named = set(asked.get("comparisons", ()))
        ids = bulk_actions.chosen(rows if asked["all"] else rows.filter(pk__in=named))
        absent = sorted(named.difference(ids))
        if absent and not asked["all"]:
            few = ", ".join(map(str, absent[:5])) + (", …" if len(absent) > 5 else "")
            raise ValidationError(
                {"comparisons": f"{len(absent):,} of {len(named):,} are not found here: {few}"}
            )
        do = bulk_actions.foreseen if asked["dry_run"] else bulk_actions.carry_out
        return Response(ChangedSerializer(asdict(do(project, ids, change))).data)
