"""People of a project: adding, inviting, changing, and signing up by an invitation."""

from __future__ import annotations

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.core.exceptions import ValidationError

from annotation.models import User
from annotation.models.projects import Role


class MemberForm(forms.Form):
    """Adds somebody who has an account already."""

    username = forms.CharField(max_length=150, label="Username")
    role = forms.ChoiceField(choices=Role.choices)

    def clean_username(self) -> User:
        user = User.objects.filter(username=self.cleaned_data["username"], is_active=True).first()
        if user is None:
            raise ValidationError("Nobody has this username. Send an invitation link instead.")
        return user


class InvitationForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)
    note = forms.CharField(max_length=120, required=False, label="For whom")
    count = forms.IntegerField(
        min_value=1,
        max_value=100,
        required=False,
        initial=1,
        label="How many links",
        help_text="Each lets one person join.",
    )


class MembershipForm(forms.Form):
    """One change of a member; the buttons of the list send one field at a time."""

    role = forms.ChoiceField(choices=Role.choices, required=False)
    action = forms.ChoiceField(
        choices=[(one, one) for one in ("pause", "resume", "remove")], required=False
    )


class SignUpForm(UserCreationForm):
    class Meta:
        model = User
        fields = ["username"]
