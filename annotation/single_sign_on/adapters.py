"""What django-allauth asks when somebody comes back from the provider (its two adapters)."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers.base import AuthError
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.crypto import constant_time_compare

from annotation import second_factor
from annotation.models import User
from annotation.onboarding import joining
from annotation.single_sign_on import claims
from annotation.views.login import BACKEND, wait_for_code
from config import errors

log = logging.getLogger(__name__)

CONNECT = "connect"
"""The ``process`` of somebody who is logged in and connects their account to the provider's."""


def refuse(request: HttpRequest, status: int, title: str, detail: str) -> NoReturn:
    raise ImmediateHttpResponse(errors.answer(request, status, title, detail))


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """The ``SOCIALACCOUNT_ADAPTER``."""

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: Any) -> User:
        """Reads the claims; of them, the account here keeps the name and a verified address."""
        said = claims.read(sociallogin.account.extra_data)
        request.claims = said  # type: ignore[attr-defined]
        sociallogin.account.extra_data = {}
        user: User = sociallogin.user
        user.username, user.email = said.username, said.email
        return user

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        said: claims.Claims = request.claims  # type: ignore[attr-defined]
        if not constant_time_compare(said.nonce, sociallogin.state["nonce"]):
            self.on_authentication_error(request, sociallogin.provider, "another nonce")
        # Addresses are kept with the person; allauth would keep them in a table of its own.
        sociallogin.email_addresses = []
        allowed = settings.OIDC_ENTRY_GROUPS
        if allowed and not said.groups & set(allowed):
            refuse(
                request,
                403,
                "Your account does not open this site",
                f"{settings.OIDC_NAME} knows you, but you are in none of the groups that may "
                "enter here. Whoever runs this site can tell you which.",
            )
        if sociallogin.state.get("process") == CONNECT:
            raise ImmediateHttpResponse(self._connect(request, sociallogin))
        if sociallogin.is_existing:
            return
        if said.email and User.objects.filter(email__iexact=said.email).exists():
            refuse(
                request,
                409,
                "There is an account with your address already",
                "Log in with its password, and connect it under “Single sign-on” in the account "
                "menu; or ask an administrator to connect it.",
            )

    def _connect(self, request: HttpRequest, sociallogin: SocialLogin) -> HttpResponse:
        """Ties the provider's account to whoever is logged in here and began this."""
        person = request.user
        if not isinstance(person, User) or person.pk != sociallogin.state.get("person"):
            return redirect("login")
        known = SocialAccount.objects.filter(
            provider=sociallogin.account.provider, uid=sociallogin.account.uid
        ).first()
        if known is not None and known.user_id != person.pk:
            messages.error(request, "That account is connected to somebody else here.")
        elif known is None:
            sociallogin.connect(request, person)
            messages.success(request, f"From now on {settings.OIDC_NAME} logs you in as well.")
        return redirect("annotation:single-sign-on")

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        if error == AuthError.CANCELLED:
            raise ImmediateHttpResponse(redirect("login"))
        log.warning("single sign-on failed: %s %s", error, exception)
        refuse(
            request,
            400,
            "The log-in was not completed",
            f"{settings.OIDC_NAME} and this site did not come to an end with it, perhaps because "
            "it took too long or was begun in another browser. Begin again at the log-in page.",
        )


class AccountAdapter(DefaultAccountAdapter):
    """The ``ACCOUNT_ADAPTER``."""

    def pre_login(self, request: HttpRequest, user: Any, **hook: Any) -> HttpResponse | None:
        """Gives the roles of the groups; the answer where the log-in does not go on at once."""
        said: claims.Claims = request.claims  # type: ignore[attr-defined]
        if not user.is_active or user.is_participant:
            return errors.answer(
                request,
                403,
                "This account is closed",
                "An administrator of this site can open it again.",
            )
        joining.follow_groups(user, said.groups)
        if second_factor.device_of(user) is None or said.second_factor:
            return None
        return wait_for_code(request, user, _target(hook), seconds=_session_seconds())

    def get_login_stages(self) -> list[str]:
        """None of allauth's: addresses are the provider's matter, codes are ours."""
        return []

    def login(self, request: HttpRequest, user: Any) -> None:
        said: claims.Claims = request.claims  # type: ignore[attr-defined]
        login(request, user, backend=BACKEND)
        request.session.set_expiry(_session_seconds())
        if said.second_factor:
            request.session[second_factor.SESSION_MARK] = True

    def post_login(self, request: HttpRequest, user: Any, **hook: Any) -> HttpResponse:
        return redirect(_target(hook))


def _target(hook: dict[str, Any]) -> str:
    return hook.get("redirect_url") or resolve_url(settings.LOGIN_REDIRECT_URL)


def _session_seconds() -> int:
    return int(settings.OIDC_SESSION_HOURS * 3600)
