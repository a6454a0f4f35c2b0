"""To the provider and back, and the page on which a person connects an account that they have."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect import views as allauth
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe
from requests import RequestException

from annotation.single_sign_on.adapters import CONNECT
from annotation.views.second_factor import proof_of
from config import errors, proxies, rate_limits
from config.requests import PersonRequest

log = logging.getLogger(__name__)

BEGINNINGS_OF_AN_ADDRESS = 300
"""A minute, as a lab may come from one address at nine o'clock. Each makes a session and asks the
provider where its log-in is."""


@require_POST
@never_cache
def begin(request: HttpRequest) -> HttpResponse:
    """Sends a stranger to the provider's log-in; ``next`` is where they go afterwards."""
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, request.is_secure())
    return _to_provider(request, process="login", next_url=wanted if safe else None)


@require_safe
@never_cache
@sensitive_post_parameters()
def come_back(request: HttpRequest, provider_id: str) -> HttpResponse:
    """The provider sends the browser here with a code, which is exchanged for the claims."""
    _only_where_it_is_set_up()
    try:
        with transaction.atomic():
            return allauth.callback(request, str(provider_id))
    except IntegrityError:
        # Two first log-ins of one person at once: the other made the account.
        return redirect("login")
    except (RequestException, OAuth2Error, ValueError, KeyError, TypeError) as error:
        return _away(request, error)


@login_required
@require_safe
@never_cache
def page(request: PersonRequest) -> HttpResponse:
    return _page(request)


@login_required
@require_POST
@never_cache
@sensitive_post_parameters("password")
def connect(request: PersonRequest) -> HttpResponse:
    """Sends somebody who knows their password to the provider, to connect what they are there."""
    form = proof_of(request)
    if not form.is_valid():
        return _page(request, form=form)
    return _to_provider(request, process=CONNECT, person=request.user.pk)


@login_required
@require_POST
@sensitive_post_parameters("password")
def disconnect(request: PersonRequest) -> HttpResponse:
    _only_where_it_is_set_up()
    form = proof_of(request)
    if not form.is_valid():
        return _page(request, form=form)
    if not _may_disconnect(request):
        return errors.answer(
            request,
            409,
            gettext("Nothing else would let you in"),
            gettext("You have no password on this site."),
        )
    mine(request).delete()
    messages.success(
        request, gettext("%(name)s logs you in no more.") % {"name": settings.OIDC_NAME}
    )
    return redirect("annotation:single-sign-on")


def mine(request: PersonRequest) -> Any:
    return SocialAccount.objects.filter(user=request.user, provider=settings.OIDC_PROVIDER_ID)


def _may_disconnect(request: PersonRequest) -> bool:
    return settings.LOCAL_LOGIN and request.user.has_usable_password()


def _page(request: PersonRequest, form: Any = None) -> HttpResponse:
    _only_where_it_is_set_up()
    context = {
        "name": settings.OIDC_NAME,
        "connected": mine(request).first(),
        "may_disconnect": _may_disconnect(request),
        "form": form or proof_of(request, fresh=True),
    }
    status = 422 if form is not None and form.errors else 200
    return render(request, "annotation/single_sign_on.html", context, status=status)


def _to_provider(request: HttpRequest, **state: Any) -> HttpResponse:
    _only_where_it_is_set_up()
    address = proxies.counted_address(request)
    if not rate_limits.within(f"single-sign-on.{address}", BEGINNINGS_OF_AN_ADDRESS):
        return errors.answer(request, 429)
    process, next_url = state.pop("process"), state.pop("next_url", None)
    try:
        provider = get_adapter().get_provider(request, settings.OIDC_PROVIDER_ID)
        nonce = secrets.token_urlsafe(16)
        to = provider.redirect(
            request,
            process,
            next_url=next_url,
            auth_params={"nonce": nonce},
            nonce=nonce,
            **state,
        )
    except (RequestException, OAuth2Error, ValueError, KeyError, TypeError) as error:
        return _away(request, error)
    if "Location" not in to:
        return to
    # No redirect: the Content-Security-Policy lets forms lead to this site alone, and where the
    # provider's log-in lies is known from the provider alone.
    context = {"name": settings.OIDC_NAME, "address": to["Location"]}
    return render(request, "to_provider.html", context)


def _only_where_it_is_set_up() -> None:
    if not settings.OIDC_PROVIDER_ID:
        raise Http404


def _away(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("single sign-on: %s answers wrongly or not at all: %r", settings.OIDC_ISSUER, error)
    return errors.answer(
        request,
        503,
        gettext("%(name)s does not answer") % {"name": settings.OIDC_NAME},
        gettext(
            "Nobody can log in through it at the moment. Try again in a minute; whoever runs this "
            "site finds the reason in its log."
        ),
    )
