"""The optional second factor: a code of an authenticator app, asked after the password.

It is checked once, at log-in, and the session says so (``SESSION_MARK``): no later request pays
for it. Recovery codes stand in for a lost telephone; only their hashes are kept.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop
from django_otp.plugins.otp_totp.models import TOTPDevice

from annotation.models import RecoveryCode, User

SESSION_MARK = "second_factor"
"""In the session of somebody who gave a code."""

RECOVERY_CODES = 10
RECOVERY_CODE_LETTERS = 16
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""32 signs, none of which looks like another: 16 of them hold 80 bits, beyond guessing."""

WRONG = gettext_noop("That is not a code of now, or it was used already.")
PATIENCE = gettext_noop("Too many wrong codes. Wait a little before the next.")


def device_of(user: User) -> TOTPDevice | None:
    """The app that ``user`` must show a code of; None while there is no second factor."""
    return TOTPDevice.objects.filter(user=user, confirmed=True).first()


def begun(user: User) -> TOTPDevice | None:
    """The app that ``user`` is setting up and has not confirmed."""
    return TOTPDevice.objects.filter(user=user, confirmed=False).first()


def required_of(user: User | AnonymousUser) -> bool:
    """Whether the installation demands it of ``user``: of administrators, by setting."""
    demanded: bool = settings.SECOND_FACTOR_FOR_ADMINISTRATORS
    return demanded and user.is_authenticated and (user.is_superuser or user.is_staff)


@transaction.atomic
def begin(user: User) -> TOTPDevice:
    """A new key to be confirmed; it replaces one that never was. Does nothing to a live one."""
    User.objects.select_for_update().get(pk=user.pk)
    TOTPDevice.objects.filter(user=user, confirmed=False).delete()
    return TOTPDevice.objects.create(user=user, name="authenticator app", confirmed=False)


@transaction.atomic
def confirm(user: User, code: str) -> tuple[list[str], str]:
    """Turns the second factor on if ``code`` is right: (recovery codes, "") or ([], why not)."""
    device = _locked(user, confirmed=False)
    if device is None or _locked(user, confirmed=True) is not None:
        return [], gettext("Nothing is being set up. Begin again.")
    problem = _try(device, lambda: device.verify_token(_plain(code)))
    if problem:
        return [], problem
    device.confirmed = True
    device.save(update_fields=["confirmed"])
    return renew_recovery_codes(user), ""


@transaction.atomic
def check(user: User, code: str) -> str:
    """Why ``code`` does not open the door; empty if it does, which uses the code up.

    Wrong ones are slowed down for the person, wherever they come from: 1, 2, 4, … seconds.
    """
    device = _locked(user, confirmed=True)
    if device is None:
        return gettext(WRONG)
    plain = _plain(code)
    if len(plain) == RECOVERY_CODE_LETTERS:
        return _try(device, lambda: _spend_recovery_code(device, plain))
    return _try(device, lambda: device.verify_token(plain))


@transaction.atomic
def renew_recovery_codes(user: User) -> list[str]:
    """New recovery codes, which cannot be had again; the old ones end."""
    codes = [
        "".join(secrets.choice(ALPHABET) for _ in range(RECOVERY_CODE_LETTERS))
        for _ in range(RECOVERY_CODES)
    ]
    user.recovery_codes.all().delete()
    RecoveryCode.objects.bulk_create(
        RecoveryCode(user=user, digest=_digest(code)) for code in codes
    )
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


@transaction.atomic
def turn_off(user: User) -> bool:
    """Takes the second factor from ``user``; False where there was none."""
    user.recovery_codes.all().delete()
    removed, _ = TOTPDevice.objects.filter(user=user).delete()
    return bool(removed)


def _locked(user: User, *, confirmed: bool) -> TOTPDevice | None:
    """The row held, so that one code sent twice at once is taken once."""
    rows = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=confirmed)
    return rows.first()


def _try(device: TOTPDevice, verify: Callable[[], Any]) -> str:
    allowed, _ = device.verify_is_allowed()
    if not allowed:
        return gettext(PATIENCE)
    return "" if verify() else gettext(WRONG)


def _spend_recovery_code(device: TOTPDevice, plain: str) -> bool:
    unused = RecoveryCode.objects.filter(
        user_id=device.user_id, digest=_digest(plain), used_at=None
    )
    if not unused.update(used_at=timezone.now()):
        device.throttle_increment()
        return False
    device.throttle_reset()
    return True


def _plain(code: str) -> str:
    """Without the spaces and hyphens by which apps and people group it."""
    return "".join(code.split()).replace("-", "").lower()


def _digest(plain: str) -> str:
    # No salt and no slow hash: the code has 80 random bits, so nothing can be guessed.
    return hashlib.sha256(plain.encode()).hexdigest()
