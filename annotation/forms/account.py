"""One's own account: tokens, and the second factor at log-in."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy

from annotation.models import ApiToken


class CodeForm(forms.Form):
    """A code of an authenticator app, or a recovery code in its place."""

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=40,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
    )


class OwnPasswordForm(forms.Form):
    """Shows that it is still the same person who sits there."""

    password = forms.CharField(
        max_length=4096,
        strip=False,
        label=gettext_lazy("Your password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class TokenForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        help_text=gettext_lazy("What uses it, such as “export script”."),
    )
    scopes = forms.MultipleChoiceField(
        choices=ApiToken.Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        label=gettext_lazy("It may"),
    )
    days = forms.TypedChoiceField(
        coerce=int,
        choices=[
            (7, gettext_lazy("7 days")),
            (30, gettext_lazy("30 days")),
            (90, gettext_lazy("90 days")),
            (365, gettext_lazy("1 year")),
        ],
        initial=90,
        label=gettext_lazy("Expires after"),
    )
