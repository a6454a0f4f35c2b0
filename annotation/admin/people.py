"""People, what they may do, and what they log in with."""

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
from annotation.admin.permissions import ChangedBySuperusers, ReadOnlyAdmin
from annotation.models import (
    ApiToken,
    Invitation,
    Membership,
    RecoveryCode,
    User,
)

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
