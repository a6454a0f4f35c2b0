"""The shapes of training's requests and answers. What a request may set is listed here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.api.serializers import JoinSerializer
from training.checkpoints import base_imports
from training.checkpoints.bases import BaseRefused
from training.models import LONGEST_TAG, Attempt, BaseImport, Chain, Checkpoint, Run, State
from training.rlhf.presets import OFFERED
from training.runs.organising import LONGEST_NOTES, MOST_TAGS, BadTag, read_tags
from training.runs.requests import MOST_ATTEMPTS, MOST_GPUS

MOST_STEPS = 10
JOINED = {"with_facts": "facts", "with_marks": "marked words", "with_corrections": "corrections"}
"""Counts of a release, of its preferences: what was found for how many."""


class RunSerializer(serializers.ModelSerializer):
    """A run: what was asked for, how far it is, what it started from."""

    project = serializers.CharField(source="project.slug", read_only=True)
    state = serializers.ChoiceField(State.choices, read_only=True)
    requested_by = serializers.CharField(source="requested_by.username", read_only=True)
    joins = serializers.SerializerMethodField(
        help_text="For how many of the release's preferences there are facts."
    )

    class Meta:
        model = Run
        fields = [
            "id",
            "project",
            "chain",
            "after",
            "kind",
            "name",
            "state",
            "stage",
            "progress_done",
            "progress_total",
            "progress_unit",
            "error",
            "settings",
            "model",
            "options",
            "preset",
            "seed",
            "gpus",
            "group",
            "tags",
            "notes",
            "archived_at",
            "release",
            "joins",
            "base",
            "policy",
            "reward_model",
            "attempt_count",
            "max_attempts",
            "cancel_requested_at",
            "created_at",
            "started_at",
            "finished_at",
            "requested_by",
        ]
        read_only_fields = fields

    @extend_schema_field(JoinSerializer(many=True))
    def get_joins(self, run: Run) -> list[dict[str, Any]]:
        counts = run.release.counts if run.release is not None else {}
        return [
            {"what": what, "found": counts[name], "of": counts["preferences"]}
            for name, what in JOINED.items()
            if counts.get(name) is not None
        ]


class RunChangeSerializer(serializers.Serializer):
    """What people call a run and say of it; whether lists leave it out."""

    name = serializers.CharField(max_length=200, required=False)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_TAG), required=False, max_length=MOST_TAGS
    )
    notes = serializers.CharField(max_length=LONGEST_NOTES, required=False, allow_blank=True)
    archived = serializers.BooleanField(required=False)

    def validate_tags(self, given: list[str]) -> list[str]:
        try:
            return read_tags(given)
        except BadTag as error:
            raise serializers.ValidationError(str(error)) from error


class EstimateSerializer(serializers.Serializer):
    """The mean of a figure over seeds with Student's t interval at 95 %; null of one seed."""

    figure = serializers.CharField()
    mean = serializers.FloatField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()


class RunGroupSerializer(serializers.Serializer):
    """Runs that differ in the seed alone; figures are of ``counted``: those that succeeded, of the
    same seeds the newest."""

    group = serializers.CharField()
    kind = serializers.CharField()
    name = serializers.CharField(help_text="Of its newest run.")
    runs = serializers.ListField(child=serializers.IntegerField())
    counted = serializers.ListField(child=serializers.IntegerField())
    seeds = serializers.ListField(child=serializers.IntegerField())
    figures = EstimateSerializer(many=True)


class AttemptSerializer(serializers.ModelSerializer):
    """One worker's try at a run; ``outcome`` is the state in which it left the run ("lost" also
    where the run is queued again), or empty while it goes on."""

    outcome = serializers.CharField(read_only=True)

    class Meta:
        model = Attempt
        fields = [
            "number",
            "host",
            "job",
            "claimed_at",
            "heartbeat_at",
            "ended_at",
            "outcome",
            "reason",
            "usage",
        ]
        read_only_fields = fields


class RunDetailSerializer(RunSerializer):
    """A run with its attempts, its checkpoints and the end of its log."""

    attempts = AttemptSerializer(many=True, read_only=True)
    checkpoints = serializers.SerializerMethodField()
    log_tail = serializers.SerializerMethodField()

    class Meta(RunSerializer.Meta):
        fields = [*RunSerializer.Meta.fields, "attempts", "checkpoints", "log_tail"]
        read_only_fields = fields

    def get_checkpoints(self, run: Run) -> list[int]:
        return list(run.checkpoints.filter(final=True).values_list("pk", flat=True))

    def get_log_tail(self, run: Run) -> str:
        newest = run.attempts.first()
        return newest.log_tail if newest is not None else ""


class CheckpointSerializer(serializers.ModelSerializer):
    """A model that runs may start from."""

    project = serializers.CharField(source="run.project.slug", default=None, read_only=True)

    class Meta:
        model = Checkpoint
        fields = [
            "id",
            "kind",
            "name",
            "project",
            "run",
            "base",
            "step",
            "source",
            "files",
            "size",
            "sha256",
            "metrics",
            "warnings",
            "code_version",
            "promoted",
            "created_at",
        ]
        read_only_fields = fields


class AncestorSerializer(serializers.Serializer):
    """One thing that a checkpoint was made from."""

    depth = serializers.IntegerField()
    role = serializers.CharField()
    type = serializers.SerializerMethodField(help_text='"checkpoint" or "release".')
    id = serializers.IntegerField(source="item.pk")
    name = serializers.CharField(source="item")

    def get_type(self, ancestor: Any) -> str:
        return str(ancestor.item._meta.model_name)


class CheckpointDetailSerializer(CheckpointSerializer):
    """A checkpoint with its lineage, nearest first."""

    lineage = serializers.SerializerMethodField()

    class Meta(CheckpointSerializer.Meta):
        fields = [*CheckpointSerializer.Meta.fields, "lineage"]
        read_only_fields = fields

    def get_lineage(self, checkpoint: Checkpoint) -> list[dict[str, Any]]:
        ancestors = self.context["lineage"](checkpoint)
        return [dict(AncestorSerializer(ancestor).data) for ancestor in ancestors]


class CommonInSerializer(serializers.Serializer):
    """What every run that is asked for must or may say."""

    project = serializers.SlugField()
    name = serializers.CharField(max_length=120, required=False, default="")
    base = serializers.IntegerField(help_text="A checkpoint of kind base.")
    release = serializers.IntegerField(required=False, allow_null=True, default=None)
    policy = serializers.IntegerField(required=False, allow_null=True, default=None)
    reward_model = serializers.IntegerField(required=False, allow_null=True, default=None)
    preset = serializers.ChoiceField(OFFERED, default="default")
    model = serializers.DictField(
        required=False, default=dict, help_text="Changes to how the base is loaded."
    )
    seed = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0)
    gpus = serializers.IntegerField(min_value=0, max_value=MOST_GPUS, default=0)
    max_attempts = serializers.IntegerField(min_value=1, max_value=MOST_ATTEMPTS, default=3)


class StepInSerializer(serializers.Serializer):
    """One run of a chain."""

    kind = serializers.CharField(max_length=40)
    settings = serializers.DictField(
        required=False, default=dict, help_text="Changes to the preset's settings."
    )
    options = serializers.DictField(
        required=False, default=dict, help_text="What the kind asks beyond the settings."
    )


class RunInSerializer(CommonInSerializer, StepInSerializer):
    """A single run."""

    after = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="A run to wait for."
    )


class ChainInSerializer(CommonInSerializer):
    """Runs one after the other; each takes what the runs before it made."""

    name = serializers.CharField(max_length=120)
    steps = serializers.ListField(child=StepInSerializer(), min_length=1, max_length=MOST_STEPS)


class ChainSerializer(serializers.ModelSerializer):
    """Runs that were asked for together, in their order."""

    project = serializers.CharField(source="project.slug", read_only=True)
    runs = serializers.SerializerMethodField()

    class Meta:
        model = Chain
        fields = ["id", "project", "name", "created_at", "runs"]
        read_only_fields = fields

    def get_runs(self, chain: Chain) -> list[int]:
        return list(chain.runs.order_by("pk").values_list("pk", flat=True))


class CurveSerializer(serializers.Serializer):
    """One figure over steps."""

    name = serializers.CharField()
    steps = serializers.ListField(child=serializers.IntegerField())
    values = serializers.ListField(child=serializers.FloatField())


class PromotionSerializer(serializers.Serializer):
    """Whether a model is recommended."""

    promoted = serializers.BooleanField(default=True)


class BaseImportInSerializer(serializers.Serializer):
    """A base model to import; what it is, a worker finds out."""

    name = serializers.CharField(max_length=200)
    source = serializers.CharField(  # type: ignore[assignment]  # hides Field.source, unused here
        max_length=500, help_text="A hub id, or a folder that every worker sees."
    )
    copy = serializers.BooleanField(
        default=True, help_text="Into storage; otherwise each run opens it where it is."
    )

    def validate_name(self, name: str) -> str:
        return _checked(base_imports.check_name, name)

    def validate_source(self, source: str) -> str:
        return _checked(base_imports.check_source, source)


def _checked(check: Callable[[str], str], value: str) -> str:
    try:
        return check(value)
    except BaseRefused as error:
        raise serializers.ValidationError(str(error)) from error


class BaseImportSerializer(serializers.ModelSerializer):
    """An import of a base model; ``done`` and ``total`` are bytes."""

    state = serializers.ChoiceField(BaseImport.State.choices, read_only=True)

    class Meta:
        model = BaseImport
        fields = [
            "id",
            "name",
            "source",
            "copy",
            "state",
            "stage",
            "done",
            "total",
            "family",
            "tensors",
            "revision",
            "error",
            "checkpoint",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields
