"""One's own account: tokens, and the second factor at log-in."""

from __future__ import annotations

from django import forms

from annotation.models import ApiToken


class CodeForm(forms.Form):
    """A code of an authenticator app, or a recovery code in its place."""

    code = forms.CharField(
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
        label="Your password",
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class TokenForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="What uses it, such as “export script”.")
    scopes = forms.MultipleChoiceField(
        choices=ApiToken.Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        label="It may",
    )
    days = forms.TypedChoiceField(
        coerce=int,
        choices=[(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year")],
        initial=90,
        label="Expires after",
    )
