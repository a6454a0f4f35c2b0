"""Shapes that several parts of the API have in common; the others stand beside their views.

What a request may set is listed field by field; anything else in it is ignored.
"""

from __future__ import annotations

from django.urls import reverse
from rest_framework import serializers

from annotation.models import Image


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


class JoinSerializer(serializers.Serializer):
    """For how many of how many records or images something was found."""

    what = serializers.CharField()
    found = serializers.IntegerField()
    of = serializers.IntegerField()


class ProblemSerializer(serializers.Serializer):
    file = serializers.CharField()
    line = serializers.IntegerField(help_text="Position in the list, from 1.")
    field = serializers.CharField()
    reason = serializers.CharField()
