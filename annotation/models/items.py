"""What is compared: images, prompts about them, and pairs of responses to a prompt."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib.postgres.indexes import GinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse

from annotation.models.projects import Project
from annotation.models.searched import CONVERSATION, RESPONSES
from annotation.models.stored_file import StoredFileField

SHA256_LENGTH = 64
MACHINE_ANSWERS = [("1", "Response 1"), ("2", "Response 2")]


def random_shuffle() -> int:
    """A random place in the queue: non-negative, within a signed 64-bit integer."""
    return secrets.randbits(62)


def image_path(image: Image, filename: str) -> str:
    """Storage path by content, spread over folders so that none grows without bound."""
    return f"images/{image.sha256[:2]}/{image.sha256}.{image.extension}"


class Image(models.Model):
    """A picture as we re-encoded it, kept once however often it was uploaded."""

    class Format(models.TextChoices):
        PNG = "png", "PNG"
        JPEG = "jpeg", "JPEG"

    sha256 = models.CharField(
        max_length=SHA256_LENGTH, unique=True, help_text="Of the stored, re-encoded bytes."
    )
    original_sha256 = models.CharField(
        max_length=SHA256_LENGTH, db_index=True, help_text="Of the bytes as uploaded."
    )
    file = StoredFileField(upload_to=image_path, max_length=200)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    bytes = models.PositiveIntegerField()
    format = models.CharField(max_length=8, choices=Format)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(width__gt=0, height__gt=0), name="image_has_area")
        ]

    def __str__(self) -> str:
        return f"{self.sha256[:12]}.{self.extension}"

    def get_absolute_url(self) -> str:
        return reverse("annotation-api:image", args=[self.sha256])

    @property
    def thumbnail_url(self) -> str:
        """For lists: see ``annotation.images.thumbnail``."""
        return f"{self.get_absolute_url()}?variant=thumbnail"

    @property
    def extension(self) -> str:
        return {"png": "png", "jpeg": "jpg"}[self.format]

    @property
    def content_type(self) -> str:
        return f"image/{self.format}"

    @property
    def filename(self) -> str:
        """The name of the file in exports and run directories."""
        return f"{self.sha256}.{self.extension}"


class ImageUpload(models.Model):
    """An image was uploaded into a project by itself, to be named by records that follow."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="image_uploads", db_index=False
    )
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="uploads")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "image"], name="image_upload_once")
        ]

    def __str__(self) -> str:
        return f"{self.image} in {self.project}"


class Prompt(models.Model):
    """An image and the conversation about it, ending with the human turn to be answered."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    external_id = models.CharField(max_length=200)
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="prompts")
    conversation: models.JSONField[Any] = models.JSONField(
        help_text='[{"from": "human" or "gpt", "value": text}], the last from "human".'
    )
    captions: models.JSONField[Any] = models.JSONField(
        default=list, blank=True, help_text="Facts about the image: a list of texts."
    )
    caption_type = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(7)],
        help_text="1 general; 2-5 multiple choice with truth A-D; 6 yes/no, truth no; 7 truth yes.",
    )
    length_bonus = models.FloatField(
        default=1.0, help_text="Multiplies the length penalty; negative rewards length."
    )
    content_sha256 = models.CharField(max_length=SHA256_LENGTH)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "external_id"], name="prompt_id_once"),
            models.CheckConstraint(
                condition=Q(caption_type__gte=1, caption_type__lte=7),
                name="prompt_caption_type_known",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "content_sha256"], name="prompt_by_content"),
            GinIndex(CONVERSATION, name="prompt_by_words"),
        ]

    def __str__(self) -> str:
        return self.external_id


class ComparisonQuerySet(models.QuerySet["Comparison"]):
    def locked_in_order(self) -> ComparisonQuerySet:
        """Locked in the order of their ids: so no two who lock several wait for each other."""
        return self.order_by("pk").select_for_update(no_key=True)


class Comparison(models.Model):
    """Two responses to one prompt, and what people made of them.

    At all times ``wanted_judgments = judgment_count + open assignments + open_slots``; the queue
    keeps it so under a lock of this row.
    """

    class Outcome(models.TextChoices):
        WAITING = "waiting", "Waiting for judgments"
        DECIDED = "decided", "Decided"
        UNDECIDED = "undecided", "Judged equal"
        DISPUTED = "disputed", "Disputed"
        RETIRED = "retired", "Taken out"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="comparisons")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="comparisons")
    external_id = models.CharField(max_length=200)
    response_1 = models.TextField()
    response_2 = models.TextField()
    model_1 = models.CharField(max_length=200, blank=True, help_text="Never shown to annotators.")
    model_2 = models.CharField(max_length=200, blank=True, help_text="Never shown to annotators.")
    source = models.CharField(
        max_length=200, blank=True, help_text="What made it: an import or a run."
    )
    content_sha256 = models.CharField(max_length=SHA256_LENGTH)
    created_at = models.DateTimeField(auto_now_add=True)

    priority = models.IntegerField(default=0, help_text="Higher is handed out first.")
    shuffle = models.BigIntegerField(default=random_shuffle, editable=False)
    wanted_judgments = models.PositiveSmallIntegerField(editable=False)
    open_slots = models.PositiveSmallIntegerField(editable=False)
    judgment_count = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Judgments that count; surplus ones do not."
    )
    asked_judgments = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        editable=False,
        help_text="How many it gets where a manager has asked again; empty for the usual number.",
    )

    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.WAITING)
    preference = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="The better response, 1 or 2; empty while undecided."
    )
    hallucination = models.BooleanField(
        null=True, blank=True, help_text="True when honesty decided, false when helpfulness did."
    )
    margin = models.FloatField(null=True, blank=True)
    imported_votes: models.JSONField[Any] = models.JSONField(
        default=dict, blank=True, help_text="Votes stated by the file that brought the preference."
    )

    imported_marks: models.JSONField[Any] = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        blank=True,
        help_text='Marked words that came with it: {"1": [{"start": …, "end": …, "kind": …}]}, '
        "without a response that nobody looked through.",
    )
    imported_corrections: models.JSONField[Any] = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text="Corrections that came with it, as those of a judgment.",
    )
    machine_vote = models.CharField(
        max_length=1,
        blank=True,
        db_default="",
        default="",
        choices=MACHINE_ANSWERS,
        editable=False,
        help_text="The more hallucinated response, 1 or 2, where a certified machine decided it; "
        "empty once people have.",
    )

    gold_more_hallucinated = models.CharField(
        max_length=4,
        blank=True,
        choices=[("1", "Response 1"), ("2", "Response 2"), ("tie", "About the same")],
        help_text="The known answer of a gold item; empty for all others.",
    )
    gold_explanation = models.TextField(blank=True)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "external_id"], name="comparison_id_once"),
            models.CheckConstraint(
                condition=Q(preference__isnull=True) | Q(preference__in=[1, 2]),
                name="comparison_preference_1_or_2",
            ),
            models.CheckConstraint(
                condition=Q(outcome="decided", preference__isnull=False)
                | Q(outcome="retired")
                | ~Q(outcome="decided") & Q(preference__isnull=True),
                name="comparison_decided_names_preference",
            ),
            models.CheckConstraint(
                condition=Q(
                    preference__isnull=True, hallucination__isnull=True, margin__isnull=True
                )
                | Q(preference__isnull=False, hallucination__isnull=False, margin__gte=0),
                name="comparison_preference_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(
                    wanted_judgments__gte=models.F("open_slots") + models.F("judgment_count")
                ),
                name="comparison_slots_add_up",
            ),
        ]
        indexes = [
            # The queue's only search. Rows leave the index when their last slot is taken.
            models.Index(
                fields=["project", "-priority", "shuffle"],
                condition=Q(open_slots__gt=0),
                name="comparison_to_hand_out",
            ),
            models.Index(fields=["project", "outcome", "id"], name="comparison_by_outcome"),
            GinIndex(RESPONSES, name="comparison_by_words"),
            models.Index(
                fields=["project"],
                condition=~Q(gold_more_hallucinated=""),
                name="comparison_gold",
            ),
        ]

    def __str__(self) -> str:
        return self.external_id

    def get_absolute_url(self) -> str:
        return reverse("annotation:comparison", args=[self.project.slug, self.pk])

    @property
    def imported_spans(self) -> list[dict[str, Any]]:
        """``imported_marks`` in the form of those of a judgment."""
        return [
            {**mark, "response": int(number)}
            for number, marks in self.imported_marks.items()
            for mark in marks
        ]

    @property
    def is_gold(self) -> bool:
        return bool(self.gold_more_hallucinated)

    @property
    def better(self) -> int | None:
        """The better response, 1 or 2, while it is decided; what is taken out keeps its label."""
        return self.preference if self.outcome == self.Outcome.DECIDED else None

    @property
    def usual_judgments(self) -> int:
        """How many counted votes decide it, unless they are split."""
        return max(self.asked_judgments or 0, self.project.judgments_per_comparison)

    @property
    def most_judgments(self) -> int:
        """With how many a split is a dispute."""
        return max(self.usual_judgments, self.project.max_judgments)

    @property
    def decided_by(self) -> str:
        """Who settled it: "people", "machine", "file" where a label came with it, or "rule" where
        both texts look alike; empty while it waits, and once it is taken out."""
        if self.outcome in (self.Outcome.WAITING, self.Outcome.RETIRED):
            return ""
        if self.machine_vote:
            return "machine"
        if self.judgment_count or self.is_gold:
            return "people"
        return "file" if self.outcome == self.Outcome.DECIDED else "rule"

    def want_usual(self) -> None:
        """Opens slots up to ``usual_judgments``, leases that are out among them; not saved."""
        taken = self.wanted_judgments - self.open_slots
        self.wanted_judgments = max(self.usual_judgments, taken)
        self.open_slots = self.wanted_judgments - taken

    def take_slot(self) -> bool:
        """Whether a slot was free, which is taken; for a locked row, and not saved."""
        if self.open_slots == 0:
            return False
        self.open_slots -= 1
        return True

    def give_slot_back(self) -> None:
        """Undoes ``take_slot``; once the outcome is there, nobody else is wanted for the slot."""
        if self.outcome == self.Outcome.WAITING:
            self.open_slots += 1
        else:
            self.wanted_judgments -= 1
