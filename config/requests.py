"""The type of the requests that views behind ``login_required`` get; nothing is ever one of it.

Django's own type allows for strangers and does not know what middleware adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

if TYPE_CHECKING:
    from annotation.models import User


class PersonRequest(HttpRequest):
    """A request of a person who is logged in."""

    user: User
    htmx: HtmxDetails
