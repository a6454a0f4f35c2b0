"""Participants reach the pages of their labelling and no other: a list of what they may ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext

from annotation.models import Participant, User
from config import errors

OPEN = {
    "logout",
    "annotation-api:image",
    *(
        f"annotation:{name}"
        for name in (
            *("label", "label-next", "label-previous", "answer", "skip", "renew", "my-answers"),
            *("acknowledge", "guidelines", "quiz-begin", "quiz-answer"),
            *("study-begin", "study-finished", "language-choose"),
        )
    ),
}
"""Routes. Whatever is added to the site later is closed to them until it stands here."""
HOME = {"home", "annotation:projects", "annotation:project"}
"""Where links of pages lead; for them that is their labelling."""


class ParticipantsStayInTheirStudy:
    """Middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponse | None:
        match = request.resolver_match
        if match is None or match.view_name in OPEN:
            return None
        user = request.user
        if not isinstance(user, User) or not user.is_participant:
            return None
        if match.view_name in HOME and request.method in ("GET", "HEAD"):
            mine = Participant.objects.select_related("project").filter(user=user).first()
            if mine is not None:
                return redirect("annotation:label", mine.project.slug)
        return errors.answer(
            request,
            403,
            gettext("This is not part of the study"),
            gettext("Your browser's Back leads to it again."),
        )
