"""What a person wants to be told, and the webhooks of the site."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from annotation.models import NoticeChoice, User, Webhook
from annotation.notices import kinds


class ChoicesForm(forms.Form):
    """A row of three fields for each kind, and the address of the mails."""

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person
        self.kinds = kinds.of(is_superuser=person.is_superuser)
        chosen = {one.kind: one for one in person.notice_choices.all()}
        webhooks = Webhook.objects.filter(enabled=True)
        self.fields["email"] = forms.EmailField(
            required=False, initial=person.email, label=gettext_lazy("Address of your mails")
        )
        for kind, words in self.kinds.items():
            had = chosen.get(kind) or NoticeChoice(person=person, kind=kind)
            says = {"aria-label": words}
            self.fields[f"{kind}-inbox"] = forms.BooleanField(
                required=False,
                initial=had.inbox,
                widget=forms.CheckboxInput(
                    attrs={"aria-label": format_lazy("{}: {}", gettext_lazy("On this site"), words)}
                ),
            )
            self.fields[f"{kind}-email"] = forms.BooleanField(
                required=False,
                initial=had.email,
                widget=forms.CheckboxInput(
                    attrs={"aria-label": format_lazy("{}: {}", gettext_lazy("By mail"), words)}
                ),
            )
            self.fields[f"{kind}-webhook"] = forms.ModelChoiceField(
                webhooks,
                required=False,
                empty_label=gettext_lazy("none"),
                initial=had.webhook_id,
                widget=forms.Select(attrs={**says, "class": "select-small"}),
            )

    def rows(self) -> list[tuple[Any, Any, Any, Any]]:
        """What a kind is called, and its three fields."""
        return [
            (words, self[f"{kind}-inbox"], self[f"{kind}-email"], self[f"{kind}-webhook"])
            for kind, words in self.kinds.items()
        ]

    def chosen(self) -> dict[str, dict[str, Any]]:
        """By kind."""
        return {
            kind: {how: self.cleaned_data[f"{kind}-{how}"] for how in ("inbox", "email", "webhook")}
            for kind in self.kinds
        }


class WebhookForm(forms.ModelForm):
    class Meta:
        model = Webhook
        fields: ClassVar = ["name", "address"]
        help_texts: ClassVar = {
            "name": "People choose it by this name.",
            "address": "Slack's, or that of a program of yours. The workers must reach it.",
        }


class WebhookActionForm(forms.Form):
    action = forms.ChoiceField(
        choices=[(one, one) for one in ("test", "turn-off", "turn-on", "delete")]
    )
