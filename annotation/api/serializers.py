"""The shapes of the API's requests and answers. What a request may set is listed here, field by
field; anything else in it is ignored.
"""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from rest_framework import serializers

from annotation import access, projects
from annotation.answers import LONGEST_NOTE, SPAN_KINDS, Answer
from annotation.models import Assignment, Comparison, Image, Judgment, Project, Release
from annotation.models.work import ANSWER_FIELDS, Choice

MOST_RECORDS = 1000


class ProjectSerializer(serializers.ModelSerializer):
    """A project as a member sees it."""

    role = serializers.SerializerMethodField(help_text="Your role in it.")

    class Meta:
        model = Project
        fields = ["slug", *projects.SETTINGS, "guidelines_version", "created_at", "role"]
        read_only_fields = ["state", "guidelines_version", "created_at"]

    def get_role(self, project: Project) -> str | None:
        roles: dict[int, str] = self.context.get("roles", {})
        if project.pk in roles:
            return roles[project.pk]
        held = access.role(self.context["request"].user, project)
        return str(held) if held else None

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        default = Project._meta.get_field("judgments_per_comparison").default
        data.setdefault("max_judgments", data.get("judgments_per_comparison", default))
        return fitting({"judgments_per_comparison": default}, data)


class ProjectSettingsSerializer(serializers.ModelSerializer):
    """What a manager may change of a project."""

    class Meta:
        model = Project
        fields = projects.SETTINGS

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        return fitting({name: getattr(self.instance, name) for name in projects.SETTINGS}, data)


def fitting(before: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """``data``, which changes ``before``. Raises ValidationError where they do not fit together."""
    conflicts = projects.conflicts({**before, **data})
    if conflicts:
        raise serializers.ValidationError(conflicts)
    return data


class ImageSerializer(serializers.ModelSerializer):
    """A stored image; ``sha256`` is its name in comparisons."""

    url = serializers.SerializerMethodField()

    class Meta:
        model = Image
        fields = ["sha256", "url", "width", "height", "bytes", "format"]

    def get_url(self, image: Image) -> str:
        return reverse("annotation-api:image", args=[image.sha256])


class TurnSerializer(serializers.Serializer):
    vars()["from"] = serializers.ChoiceField(["human", "gpt"])
    value = serializers.CharField()


class ShownResponseSerializer(serializers.Serializer):
    """A response as the annotator sees it: a label and a text, and the number to answer with."""

    label = serializers.ChoiceField(["A", "B"])  # type: ignore[assignment]
    response = serializers.IntegerField(help_text="1 or 2: what an answer names.")
    text = serializers.CharField()


class AssignmentSerializer(serializers.Serializer):
    """A comparison on lease. Models, votes and gold are not in it."""

    token = serializers.UUIDField()
    project = serializers.CharField()
    state = serializers.ChoiceField(Assignment.State.choices)
    expires_at = serializers.DateTimeField()
    question = serializers.CharField()
    prompt = serializers.CharField()
    image = ImageSerializer()
    conversation = TurnSerializer(many=True)
    responses = ShownResponseSerializer(many=True, help_text="In the order to show them.")

    def to_representation(self, assignment: Assignment) -> dict[str, Any]:
        # By hand: this is made for each comparison anybody sees, and fields take 1 ms more.
        prompt, image = assignment.comparison.prompt, assignment.comparison.prompt.image
        return {
            "token": assignment.token,
            "project": assignment.project.slug,
            "state": assignment.state,
            "expires_at": assignment.expires_at,
            "question": assignment.project.question,
            "prompt": prompt.external_id,
            "image": {
                "sha256": image.sha256,
                "url": reverse("annotation-api:image", args=[image.sha256]),
                "width": image.width,
                "height": image.height,
                "bytes": image.bytes,
                "format": image.format,
            },
            "conversation": prompt.conversation,
            "responses": [
                {"label": label, "response": number, "text": text}
                for label, number, text in assignment.responses
            ],
        }


class NextSerializer(serializers.Serializer):
    ahead_of = serializers.UUIDField(
        required=False, allow_null=True, help_text="The lease on screen, to load one ahead of it."
    )


class SkipSerializer(serializers.Serializer):
    reason = serializers.ChoiceField(Assignment.SkipReason.choices)
    note = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_NOTE)


class SpanSerializer(serializers.Serializer):
    """Hallucinated words, by character offsets in the response."""

    response = serializers.IntegerField(min_value=1, max_value=2)
    start = serializers.IntegerField(min_value=0)
    end = serializers.IntegerField(min_value=1)
    kind = serializers.ChoiceField(SPAN_KINDS)


class AnswerSerializer(serializers.Serializer):
    """An answer; ``more_helpful`` is given after a tie and only then."""

    client_uuid = serializers.UUIDField(help_text="The same for each attempt to send one answer.")
    more_hallucinated = serializers.ChoiceField(Choice.choices)
    more_helpful = serializers.ChoiceField(Choice.choices, required=False, allow_blank=True)
    spans = SpanSerializer(many=True, required=False)
    confidence = serializers.IntegerField(min_value=1, max_value=5, required=False, allow_null=True)
    note = serializers.CharField(
        required=False, allow_blank=True, max_length=LONGEST_NOTE, trim_whitespace=False
    )
    active_seconds = serializers.FloatField(min_value=0, required=False, allow_null=True)

    def answer(self) -> Answer:
        data = {**self.validated_data}
        for name in ("client_uuid", "version"):
            data.pop(name, None)
        if "spans" in data:
            data["spans"] = [dict(span) for span in data["spans"]]
        return Answer(**data)


class EditSerializer(AnswerSerializer):
    version = serializers.IntegerField(min_value=1, help_text="The version you saw.")


class JudgmentSerializer(serializers.ModelSerializer):
    """One's own judgment, as it stands."""

    assignment = serializers.UUIDField(source="assignment.token")
    surplus = serializers.BooleanField(help_text="Its place had gone to somebody else.")

    class Meta:
        model = Judgment
        fields = ["id", "assignment", "version", "surplus", *ANSWER_FIELDS, "created_at"]
        fields += ["changed_at"]

    def to_representation(self, judgment: Judgment) -> dict[str, Any]:
        # By hand, as above: it answers each answer.
        return {
            "id": judgment.pk,
            "assignment": judgment.assignment.token,
            "version": judgment.version,
            # Of gold and repeats nothing may show that they do not count.
            "surplus": judgment.surplus and judgment.assignment.counts,
            **{name: getattr(judgment, name) for name in ANSWER_FIELDS},
            "created_at": judgment.created_at,
            "changed_at": judgment.changed_at,
        }


class ComparisonSerializer(serializers.ModelSerializer):
    """A comparison as reviewers see it."""

    prompt = serializers.CharField(source="prompt.external_id")
    image = serializers.CharField(source="prompt.image.sha256")

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
            "preference",
            "hallucination",
            "margin",
            "judgment_count",
            "wanted_judgments",
            "created_at",
        ]


class ResponseInSerializer(serializers.Serializer):
    vars()["from"] = serializers.CharField(required=False, allow_blank=True)
    value = serializers.CharField()


class PromptInSerializer(serializers.Serializer):
    """A prompt record. Documents the shape; ``annotation.records`` reads it."""

    id = serializers.CharField()
    image = serializers.CharField(help_text="SHA-256 of an uploaded image.")
    conversations = TurnSerializer(many=True)
    captions = serializers.ListField(child=serializers.CharField(), required=False)
    caption_type = serializers.IntegerField(required=False)
    length_bonus = serializers.FloatField(required=False)


class PairInSerializer(PromptInSerializer):
    """A preference record, labelled or not (docs/labelling-protocol.md)."""

    output_1 = ResponseInSerializer()
    output_2 = ResponseInSerializer()
    preference = serializers.IntegerField(required=False, help_text="The better output, 1 or 2.")
    hallucination = serializers.BooleanField(required=False)


class ComparisonsInSerializer(serializers.Serializer):
    comparisons = PairInSerializer(many=True, help_text=f"At most {MOST_RECORDS}.")


class PromptsInSerializer(serializers.Serializer):
    prompts = PromptInSerializer(many=True, help_text=f"At most {MOST_RECORDS}.")


class ProblemSerializer(serializers.Serializer):
    file = serializers.CharField()
    line = serializers.IntegerField(help_text="Position in the list, from 1.")
    field = serializers.CharField()
    reason = serializers.CharField()


class ImportedSerializer(serializers.Serializer):
    created = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    warnings = ProblemSerializer(many=True)


class PolicySerializer(serializers.Serializer):
    minimum_margin = serializers.FloatField(required=False, min_value=0, max_value=1)
    minimum_reliability = serializers.FloatField(required=False, min_value=0, max_value=1)
    honesty_only = serializers.BooleanField(required=False)
    imported_labels = serializers.BooleanField(required=False)


class ReleaseInSerializer(serializers.Serializer):
    policy = PolicySerializer(required=False)
    seed = serializers.IntegerField(required=False, min_value=-(2**63), max_value=2**63 - 1)
    held_out_share = serializers.FloatField(required=False, min_value=0, max_value=0.9)


class ReleaseSerializer(serializers.ModelSerializer):
    project = serializers.CharField(source="project.slug")

    class Meta:
        model = Release
        fields = [
            "id",
            "project",
            "number",
            "state",
            "policy",
            "seed",
            "held_out_share",
            "guidelines_version",
            "counts",
            "agreement",
            "sha256",
            "error",
            "created_at",
            "frozen_at",
        ]


class CountsSerializer(serializers.Serializer):
    comparisons = serializers.IntegerField()
    waiting = serializers.IntegerField()
    decided = serializers.IntegerField()
    undecided = serializers.IntegerField()
    disputed = serializers.IntegerField()
    judgments = serializers.IntegerField()
    wanted = serializers.IntegerField()
    surplus = serializers.IntegerField()
    open_leases = serializers.IntegerField()
    share = serializers.FloatField()


class OwnCountsSerializer(serializers.Serializer):
    judged = serializers.IntegerField()
    judged_today = serializers.IntegerField()
    skipped = serializers.IntegerField()


class MemberCountsSerializer(serializers.Serializer):
    user = serializers.CharField(source="user.username")
    role = serializers.CharField()
    paused = serializers.BooleanField()
    own = OwnCountsSerializer()


class ProgressSerializer(serializers.Serializer):
    project = CountsSerializer()
    own = OwnCountsSerializer()
    members = MemberCountsSerializer(many=True, required=False, help_text="For reviewers only.")
