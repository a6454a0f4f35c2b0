"""Languages and time zones to choose from."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy

from annotation.models import User
from config import languages


class LanguageForm(forms.Form):
    language = forms.ChoiceField(choices=settings.LANGUAGES)


def _zones() -> list[tuple[str, Any]]:
    """Grouped by region; without the region, and with spaces, within the group."""
    grouped: list[tuple[str, Any]] = [("", gettext_lazy("That of this site"))]
    for region, names in languages.zones().items():
        choices = [(name, name.removeprefix(f"{region}/").replace("_", " ")) for name in names]
        grouped += [(region, choices)] if region else choices
    return grouped


class WordsAndTimeForm(forms.ModelForm):
    language = forms.ChoiceField(
        choices=[("", gettext_lazy("As this browser asks for")), *settings.LANGUAGES],
        required=False,
        label=gettext_lazy("Language"),
        help_text=gettext_lazy(
            "Of the pages and mails. Questions and guidelines stay as the project wrote them."
        ),
    )
    time_zone = forms.ChoiceField(
        choices=_zones,
        required=False,
        label=gettext_lazy("Time zone"),
        help_text=gettext_lazy("In which times are shown and your days begin."),
    )

    class Meta:
        model = User
        fields: ClassVar = ["language", "time_zone"]
