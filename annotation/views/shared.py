"""What several pages of annotation do alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render

from annotation import access
from annotation.errors import DomainError
from annotation.models import Project
from annotation.models.projects import Role

View = Callable[..., HttpResponseBase]


def project_page(
    request: HttpRequest, project: Project, template: str, *, status: int = 200, **context: Any
) -> HttpResponse:
    """A page inside a project, with what its tabs and buttons must know about the person."""
    held = access.role(request.user, project)
    context |= {
        "project": project,
        "may_review": held in (Role.REVIEWER, Role.MANAGER),
        "may_manage": held == Role.MANAGER,
    }
    return render(request, template, context, status=status)


def one_page(
    request: HttpRequest, rows: QuerySet[Any] | Sequence[Any], *, size: int = 50, name: str = "page"
) -> Page[Any]:
    """The rows of ``?page=``; the nearest page for a number that does not exist. Of two lists of
    one address, the second is turned by another ``name``."""
    return Paginator(rows, size).get_page(request.GET.get(name))


def query_without_page(request: HttpRequest, name: str = "page") -> str:
    """The parameters of this address, for links to its other pages."""
    parameters = request.GET.copy()
    parameters.pop(name, None)
    return parameters.urlencode()


def says_domain_errors(back: str) -> Callable[[View], View]:
    """Answers a DomainError: as text with its status to a script, as a message to a page.

    ``back`` names the route (of the project) to which a page returns.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                return view(request, *args, **kwargs)
            except DomainError as error:
                if request.headers.get("HX-Request"):
                    return HttpResponse(
                        error.detail, status=error.status, content_type="text/plain; charset=utf-8"
                    )
                messages.error(request, error.detail)
                arguments = [kwargs["slug"]] if "slug" in kwargs else []
                return redirect(f"annotation:{back}", *arguments)

        return wrapped

    return decorate
