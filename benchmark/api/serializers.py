"""The shapes of benchmark's requests and answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from annotation.models import Project
from benchmark import protocols
from benchmark.evaluation_requests import evaluable
from benchmark.importing import LONGEST_NAME
from benchmark.models import Answer, Evaluation, Judge, QuestionSet, ReportCard, Verdict
from benchmark.report_cards.figures import findings
from training.models import Checkpoint
from training.rlhf.presets import PRESETS


class QuestionSetSerializer(serializers.ModelSerializer):
    """One version of a benchmark."""

    question_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = QuestionSet
        fields = ["id", "protocol", "name", "version", "question_count", "missing_images"]
        read_only_fields = fields


class QuestionSetsMadeSerializer(serializers.Serializer):
    """One per file of questions."""

    question_sets = QuestionSetSerializer(many=True)


class JudgeSerializer(serializers.ModelSerializer):
    """Who rates, without its address and the name of its key."""

    prompt_hash = serializers.CharField(read_only=True, help_text="The wording it is asked in.")

    class Meta:
        model = Judge
        fields = ["id", "name", "kind", "model", "parser", "prompt_hash"]
        read_only_fields = fields


class EvaluationSerializer(serializers.ModelSerializer):
    """An evaluation; ``summary`` holds figures as {"value", "low", "high"}, null while open. A
    figure that has nothing to divide by has null for all three, and in "undefined" why. A share has
    in "whole" what it divides by where that is not all answers, a figure of a part of the questions
    their number in "count"."""

    project = serializers.CharField(
        source="project.slug",
        default=None,
        read_only=True,
        allow_null=True,
        help_text="Null when it belongs to none.",
    )
    question_set_name = serializers.CharField(source="question_set.name", read_only=True)
    judge_name = serializers.CharField(source="judge.name", read_only=True)
    method = serializers.CharField(
        read_only=True,
        help_text='"Base", "SFT", "DPO", "RLHF", "Fact-RLHF", or empty if unknown.',
    )
    units = serializers.DictField(
        source="question_set.rules.units",
        child=serializers.CharField(),
        read_only=True,
        help_text="Of each figure, what its value is stored in.",
    )

    class Meta:
        model = Evaluation
        fields = [
            "id",
            "state",
            "error",
            "model_name",
            "method",
            "project",
            "question_set",
            "question_set_name",
            "judge",
            "judge_name",
            "prompt_hash",
            "coverage",
            "checkpoint",
            "run",
            "sampling",
            "summary",
            "units",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields


class EvaluationInSerializer(serializers.Serializer):
    """An evaluation to be started: of a base, a policy or a reward model as a run; without a
    checkpoint, of the judge itself, on pairs of responses."""

    project = serializers.SlugField(help_text="A project that you manage.")
    checkpoint = serializers.PrimaryKeyRelatedField(
        queryset=Checkpoint.objects.none(),
        required=False,
        allow_null=True,
        default=None,
        help_text="A base, or a policy or reward model of your projects; none measures the judge.",
    )
    question_set = serializers.PrimaryKeyRelatedField(queryset=QuestionSet.objects.all())
    judge = serializers.PrimaryKeyRelatedField(queryset=Judge.objects.all())
    temperature = serializers.FloatField(
        default=0.0, min_value=0, max_value=2, help_text="0 is greedy."
    )
    preset = serializers.ChoiceField(choices=list(PRESETS), default="default")
    seed = serializers.IntegerField(default=0, min_value=0, max_value=2**31 - 1)
    gpus = serializers.IntegerField(default=0, min_value=0, max_value=64)

    def __init__(self, *args: Any, projects: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        projects = Project.objects.none() if projects is None else projects
        self.fields["checkpoint"].queryset = evaluable(projects)  # type: ignore[attr-defined]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["checkpoint"] is None and not attrs["question_set"].rules.ranks_judges:
            raise serializers.ValidationError({"checkpoint": "This field is required."})
        return attrs


class QuestionsInSerializer(serializers.Serializer):
    """The published files of a benchmark. Documents the shape; the form of the page reads it."""

    protocol = serializers.ChoiceField(protocols.choices())
    questions = serializers.ListField(
        child=serializers.FileField(), help_text="One or more, under their published names."
    )
    images = serializers.FileField(required=False, help_text="A zip.")
    allow_missing = serializers.BooleanField(required=False, default=False)
    name = serializers.CharField(required=False, max_length=LONGEST_NAME)


class AnswersInSerializer(serializers.Serializer):
    """A file of answers that a model gave elsewhere."""

    project = serializers.SlugField(help_text="A project that you manage.")
    question_set = serializers.IntegerField()
    judge = serializers.IntegerField()
    model_name = serializers.CharField(max_length=200)
    answers = serializers.FileField(help_text="JSON or JSON lines in the benchmark's form.")
    leave_out_others = serializers.BooleanField(required=False, default=False)


class RunStartedSerializer(serializers.Serializer):
    """The run that was queued; its evaluation appears when a worker takes it."""

    run = serializers.IntegerField(allow_null=True)
    evaluation = serializers.IntegerField(
        allow_null=True, default=None, help_text="Of a judge, which needs no run."
    )


class ReportCardSerializer(serializers.ModelSerializer):
    """What a reward model is worth on the held-out pairs of its release, and what it looks at."""

    findings = serializers.SerializerMethodField()

    class Meta:
        model = ReportCard
        fields = ["checkpoint", "run", "updated_at", "findings", "figures"]
        read_only_fields = fields

    def get_findings(self, report: ReportCard) -> list[str]:
        """What the tests show, in sentences."""
        return findings(report.figures)


class ReviewSerializer(serializers.ModelSerializer):
    """A verdict: one per answer, or one per order where two answers are set side by side."""

    class Meta:
        model = Verdict
        fields = ["order", "state", "text", "rating", "reference_score", "model_score", "found"]
        read_only_fields = fields


class EvaluatedAnswerSerializer(serializers.ModelSerializer):
    """What the model said, and what the evaluation's own judge made of it."""

    index = serializers.IntegerField(source="question.index")
    question_type = serializers.CharField(source="question.type")
    image = serializers.CharField(
        source="question.data.image_src", default="", help_text="As the benchmark names it."
    )
    question = serializers.CharField(source="question.text")
    reference = serializers.CharField(source="question.data.gt_answer")
    verdict_state = serializers.CharField(
        source="verdict.state",
        default=None,
        allow_null=True,
        help_text='"parsed", "unparsed", "failed" or "settled"; null while not judged, '
        "and where several orders are asked (see verdicts).",
    )
    verdict = serializers.CharField(source="verdict.text", default=None, allow_null=True)
    rating = serializers.IntegerField(source="verdict.rating", default=None, allow_null=True)
    verdicts = ReviewSerializer(source="reviews", many=True, read_only=True)

    class Meta:
        model = Answer
        fields = [
            "index",
            "question_type",
            "image",
            "question",
            "reference",
            "text",
            "finished",
            "verdict_state",
            "verdict",
            "rating",
            "verdicts",
        ]
        read_only_fields = fields
