"""Members of a project and invitations to it."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from annotation import access, leases
from annotation.forms.members import InvitationForm, MemberForm, MembershipForm, SignUpForm
from annotation.models import Invitation, Membership, Project
from annotation.onboarding import joining
from annotation.progress import member_progress
from annotation.views.login import BACKEND, ways_in
from annotation.views.shared import (
    one_page,
    project_page,
    query_without_page,
    says_domain_errors,
)
from config.requests import PersonRequest


@login_required
@require_http_methods(["GET", "POST"])
@says_domain_errors(back="members")
def index(request: PersonRequest, slug: str) -> HttpResponse:
    project = access.require(request.user, slug, "manage")
    form = MemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        added = joining.add(project, form.cleaned_data["username"], form.cleaned_data["role"])
        messages.success(request, f"{added.user.username} is a member now.")
        return redirect("annotation:members", slug)
    return _page(request, project, form=form, status=422 if form.errors else 200)


@login_required
@require_POST
@never_cache
def invite(request: PersonRequest, slug: str) -> HttpResponse:
    """Makes invitations and shows their links, this once."""
    project = access.require(request.user, slug, "manage")
    form = InvitationForm(request.POST)
    if not form.is_valid():
        return _page(request, project, invitation_form=form, status=422)
    count = form.cleaned_data.pop("count") or 1
    about = {"created_by": request.user, **form.cleaned_data}
    made = [Invitation.create(project, **about)[1] for _ in range(count)]
    links = [request.build_absolute_uri(reverse("annotation:join", args=[raw])) for raw in made]
    return _page(request, project, links=links)


@login_required
@require_POST
def withdraw(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    """The link of an invitation that nobody has used opens nothing from now on."""
    project = access.require(request.user, slug, "manage")
    get_object_or_404(project.invitations.usable(), pk=pk).delete()
    messages.success(request, "The invitation is withdrawn.")
    return redirect("annotation:members", slug)


@login_required
@require_POST
@says_domain_errors(back="members")
def change(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    project = access.require(request.user, slug, "manage")
    membership = get_object_or_404(Membership, project=project, pk=pk)
    form = MembershipForm(request.POST)
    if not form.is_valid():
        return HttpResponse("Unknown role or action.", status=422, content_type="text/plain")
    actions = {"pause": leases.pause, "resume": joining.resume, "remove": joining.remove}
    if form.cleaned_data["action"]:
        actions[form.cleaned_data["action"]](membership)
    elif form.cleaned_data["role"]:
        joining.change_role(membership, form.cleaned_data["role"])
    return redirect("annotation:members", slug)


@require_http_methods(["GET", "POST"])
@never_cache
@says_domain_errors(back="projects")
def join(request: HttpRequest, raw: str) -> HttpResponse:
    """What an invitation link opens: joining, for a newcomer after choosing a password."""
    invitation = Invitation.objects.usable().matching(raw).select_related("project").first()
    if invitation is None:
        return render(request, "annotation/join.html", {"invitation": None}, status=410)
    if request.user.is_authenticated:
        if request.method == "POST":
            return redirect(joining.accept(raw, request.user))
        return render(request, "annotation/join.html", {"invitation": invitation})
    if not settings.LOCAL_LOGIN:
        if request.method == "POST":
            return redirect_to_login(request.get_full_path())
        context = {"invitation": invitation, **ways_in()}
        return render(request, "annotation/join.html", context)
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            user = form.save(commit=False)
            user.language = get_language() or ""
            user.save()
            project = joining.accept(raw, user)
        login(request, user, backend=BACKEND)
        return redirect(project)
    context = {"invitation": invitation, "form": form, **ways_in()}
    return render(request, "annotation/join.html", context, status=422 if form.errors else 200)


def _page(
    request: PersonRequest,
    project: Project,
    *,
    form: MemberForm | None = None,
    invitation_form: InvitationForm | None = None,
    links: Sequence[str] = (),
    status: int = 200,
) -> HttpResponse:
    done = {one.user.pk: one.own for one in member_progress(project)}
    memberships = project.memberships.filter(user__is_participant=False).select_related("user")
    memberships = memberships.order_by("joined_at", "pk")
    page = one_page(request, memberships)
    open_ones = project.invitations.usable().order_by("-created_at", "-pk")
    return project_page(
        request,
        project,
        "annotation/members.html",
        tab="members",
        page=page,
        people=[(one, done.get(one.user_id)) for one in page],
        roles=Membership._meta.get_field("role").choices,
        invitations=one_page(request, open_ones, name="invitations"),
        other_pages={name: query_without_page(request, name) for name in ("page", "invitations")},
        form=form or MemberForm(),
        invitation_form=invitation_form or InvitationForm(),
        links=links,
        participants=project.participants.count(),
        status=status,
    )
