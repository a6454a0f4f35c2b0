"""The site for administrators: to look at and mend rows, not to work in.

What must not be changed by hand (votes, counters, frozen artefacts) is shown read-only.
"""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db import models
from django.http import HttpRequest
from django_otp.plugins.otp_totp.models import TOTPDevice

from annotation import second_factor
from annotation.machine.disclosure import told, with_priority_told
from annotation.models import (
    Adjudication,
    ApiToken,
    Assignment,
    Comparison,
    Condition,
    Delivery,
    Figures,
    IdempotentAnswer,
    Image,
    ImageUpload,
    ImportJob,
    Invitation,
    Judgment,
    JudgmentVersion,
    MachineLabel,
    MachineLabelling,
    Membership,
    Notice,
    NoticeChoice,
    Participant,
    Project,
    Prompt,
    QuizAnswer,
    QuizAttempt,
    QuizGrant,
    QuizQuestion,
    RecoveryCode,
    Release,
    Study,
    SupersededGuidelines,
    User,
    Webhook,
    WorkDay,
    WorkedExample,
)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that other code keeps consistent: visible, but neither edited nor deleted here.

    Nor is what they hang on: Django asks for their permission before it deletes a person or a
    project with them.
    """

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ChangedBySuperusers(admin.ModelAdmin):
    """What gives power over the installation: no permission lets others change it."""

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser


# Keys of second factors are for nobody to read; what an administrator may do is below. Of allauth's
# tables one is used.
admin.site.unregister([TOTPDevice, Group, SocialApp, SocialToken, SocialAccount, EmailAddress])


@admin.register(Group)
class PermissionGroupAdmin(ChangedBySuperusers, GroupAdmin):
    """A group gives its permissions to whoever is in it."""


@admin.register(User)
class PersonAdmin(ChangedBySuperusers, UserAdmin):
    readonly_fields = ["pseudonym"]
    list_display = [
        "username",
        "email",
        "is_active",
        "is_superuser",
        "has_second_factor",
        "last_login",
    ]
    actions = ["turn_off_second_factor"]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[User]:
        confirmed = TOTPDevice.objects.filter(user=models.OuterRef("pk"), confirmed=True)
        return super().get_queryset(request).annotate(with_factor=models.Exists(confirmed))

    @admin.display(boolean=True, description="second factor")
    def has_second_factor(self, person: Any) -> bool:
        shown: bool = person.with_factor
        return shown

    @admin.action(description="Turn off the second factor", permissions=["change"])
    def turn_off_second_factor(self, request: HttpRequest, queryset: models.QuerySet[User]) -> None:
        """For people who lost their telephone."""
        names = [person.username for person in queryset if second_factor.turn_off(person)]
        self.message_user(request, f"Turned off for: {', '.join(names) or 'nobody'}.")


@admin.register(SocialAccount)
class SingleSignOnAccountAdmin(ChangedBySuperusers):
    """Whom the provider logs in as whom: ``uid`` is its subject ("sub")."""

    list_display = ["user", "uid", "provider", "last_login"]
    list_select_related = ["user"]
    search_fields = ["uid", "user__username"]
    autocomplete_fields = ["user"]
    fields = ["user", "uid"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.provider = obj.provider or settings.OIDC_PROVIDER_ID
        super().save_model(request, obj, form, change)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    list_display = ["name", "prefix", "user", "scopes", "expires_at", "last_used_at", "revoked_at"]
    list_select_related = ["user"]
    exclude = ["digest"]
    actions = ["revoke"]

    @admin.action(description="Revoke selected tokens", permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: models.QuerySet[ApiToken]) -> None:
        for token in queryset:
            token.revoke()


@admin.register(RecoveryCode)
class RecoveryCodeAdmin(ReadOnlyAdmin):
    list_display = ["user", "created_at", "used_at"]
    list_select_related = ["user"]
    exclude = ["digest"]


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ["name", "slug", "state", "judgments_per_comparison", "created_at"]
    list_filter = ["state"]
    search_fields = ["name", "slug"]
    readonly_fields = ["created_by", "guidelines_version"]
    inlines = [MembershipInline]


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    list_display = ["user", "project", "role", "paused", "joined_at"]
    list_filter = ["role", "paused", "project"]
    list_select_related = ["user", "project"]
    autocomplete_fields = ["user", "project"]


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = ["project", "role", "note", "expires_at", "accepted_by", "accepted_at"]
    list_select_related = ["project", "accepted_by"]
    exclude = ["digest"]


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    list_display = ["sha256", "format", "width", "height", "bytes", "created_at"]
    search_fields = ["sha256", "original_sha256"]


@admin.register(ImageUpload)
class ImageUploadAdmin(ReadOnlyAdmin):
    list_display = ["image", "project", "created_at"]
    list_filter = ["project"]
    list_select_related = ["image", "project"]


@admin.register(Prompt)
class PromptAdmin(ReadOnlyAdmin):
    list_display = ["external_id", "project", "caption_type", "created_at"]
    list_filter = ["project", "caption_type"]
    list_select_related = ["project"]
    search_fields = ["external_id"]


@admin.register(Comparison)
class ComparisonAdmin(ReadOnlyAdmin):
    list_display = [
        "external_id",
        "project",
        "outcome",
        "judgment_count",
        "wanted_judgments",
        "open_slots",
        "preference",
        "margin",
    ]
    list_filter = ["outcome", "project"]
    list_select_related = ["project"]
    search_fields = ["external_id"]
    exclude = ["priority"]
    readonly_fields = ["priority_told"]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Comparison]:
        return with_priority_told(super().get_queryset(request))

    @admin.display(description="priority")
    def priority_told(self, comparison: Any) -> int:
        """Without what its being in a sample adds: who looks here may annotate too."""
        shown: int = comparison.priority_told
        return shown

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        asks_priority = lookup.split("__")[0] == "priority"
        return not asks_priority and super().lookup_allowed(lookup, value, request)


@admin.register(Assignment)
class AssignmentAdmin(ReadOnlyAdmin):
    list_display = ["comparison", "annotator", "state", "leased_at", "expires_at", "skip_reason"]
    list_filter = ["state", "skip_reason", "project"]
    list_select_related = ["comparison", "annotator"]


@admin.register(Judgment)
class JudgmentAdmin(ReadOnlyAdmin):
    list_display = ["comparison", "more_hallucinated", "more_helpful", "version", "surplus"]
    list_filter = ["surplus", "more_hallucinated"]
    list_select_related = ["comparison"]


@admin.register(JudgmentVersion)
class JudgmentVersionAdmin(ReadOnlyAdmin):
    list_display = ["judgment", "version", "more_hallucinated", "more_helpful", "created_at"]
    list_select_related = ["judgment"]


@admin.register(Adjudication)
class AdjudicationAdmin(ReadOnlyAdmin):
    list_display = ["comparison", "adjudicator", "more_hallucinated", "created_at"]
    list_select_related = ["comparison", "adjudicator"]


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    list_display = ["project", "number", "state", "held_out_share", "frozen_at", "sha256"]
    list_filter = ["state", "project"]
    list_select_related = ["project"]


@admin.register(ImportJob)
class ImportJobAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "format", "state", "created_count", "created_at"]
    list_filter = ["state", "format"]
    list_select_related = ["project"]


@admin.register(IdempotentAnswer)
class IdempotentAnswerAdmin(ReadOnlyAdmin):
    list_display = ["key", "user", "path", "status", "created_at"]
    list_select_related = ["user"]


@admin.register(SupersededGuidelines)
class SupersededGuidelinesAdmin(ReadOnlyAdmin):
    list_display = ["project", "version", "replaced_at"]
    list_select_related = ["project"]


@admin.register(WorkedExample)
class WorkedExampleAdmin(ReadOnlyAdmin):
    list_display = ["comparison", "project", "more_hallucinated", "added_in", "removed_in"]
    list_filter = ["project"]
    list_select_related = ["comparison", "project"]


@admin.register(QuizQuestion)
class QuizQuestionAdmin(ReadOnlyAdmin):
    list_display = ["comparison"]
    list_select_related = ["comparison"]


@admin.register(QuizAttempt)
class QuizAttemptAdmin(ReadOnlyAdmin):
    list_display = ["membership", "number", "passed", "started_at", "ended_at"]
    list_filter = ["passed"]
    list_select_related = ["membership__user", "membership__project"]


@admin.register(QuizGrant)
class QuizGrantAdmin(ReadOnlyAdmin):
    list_display = ["membership", "granted_by", "granted_at"]
    list_select_related = ["membership__user", "membership__project", "granted_by"]


@admin.register(QuizAnswer)
class QuizAnswerAdmin(ReadOnlyAdmin):
    list_display = ["attempt", "position", "comparison", "known", "given"]
    list_select_related = ["attempt__membership__user", "attempt__membership__project"]


@admin.register(Figures)
class FiguresAdmin(ReadOnlyAdmin):
    list_display = ["project", "as_of", "cost_seconds"]
    list_select_related = ["project"]


@admin.register(WorkDay)
class WorkDayAdmin(ReadOnlyAdmin):
    list_display = ["project", "annotator", "day", "answers", "skipped"]
    list_filter = ["project"]
    list_select_related = ["project", "annotator"]


@admin.register(MachineLabelling)
class MachineLabellingAdmin(ReadOnlyAdmin):
    list_display = ["project", "number", "machine_name", "state", "level", "total", "decided_at"]
    list_filter = ["state"]
    list_select_related = ["project"]
    exclude = ["seed"]  # By which the sample can be drawn again.

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup.split("__")[0] != "seed" and super().lookup_allowed(lookup, value, request)


@admin.register(MachineLabel)
class MachineLabelAdmin(ReadOnlyAdmin):
    """Who looks here may annotate too, so what waits for people is told to nobody."""

    list_display = ["labelling", "comparison", "use", "more_hallucinated", "confidence", "stands"]
    list_filter = ["use", "stands"]
    list_select_related = ["labelling__project", "comparison"]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[MachineLabel]:
        return told(super().get_queryset(request))


@admin.register(Study)
class StudyAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "platform", "created_at"]
    list_select_related = ["project"]
    exclude = ["digest"]


@admin.register(Participant)
class ParticipantAdmin(ReadOnlyAdmin):
    list_display = ["user", "study", "arrived_at", "finished_at"]
    list_select_related = ["user", "study"]


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    list_display = ["title", "person", "kind", "created_at", "read_at"]
    list_filter = ["kind"]
    list_select_related = ["person"]


@admin.register(NoticeChoice)
class NoticeChoiceAdmin(ReadOnlyAdmin):
    list_display = ["person", "kind", "inbox", "email", "webhook"]
    list_filter = ["kind"]
    list_select_related = ["person", "webhook"]


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    """Its address may hold a secret, and what signs is made of its salt: neither is shown."""

    list_display = ["name", "host", "enabled", "created_by", "created_at"]
    list_select_related = ["created_by"]
    exclude = ["address", "salt"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ["event", "webhook", "state", "attempts", "said", "created_at"]
    list_filter = ["state"]
    list_select_related = ["webhook"]


@admin.register(Condition)
class ConditionAdmin(ReadOnlyAdmin):
    list_display = ["key", "since"]
