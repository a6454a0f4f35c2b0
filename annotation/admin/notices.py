"""Notices, where they are sent to, and what came of sending them."""

from django.contrib import admin

from annotation.admin.permissions import ReadOnlyAdmin
from annotation.models import (
    Condition,
    Delivery,
    Notice,
    NoticeChoice,
    Webhook,
)


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
