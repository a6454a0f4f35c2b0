"""When wrong passwords close the log-in: for a name at an address, for a name, for an address.

The first alone would let one address try every name, and many addresses one name. The other two
alone would let one stranger lock everybody out. So they hold only where the name has not logged in
from the address lately: whoever comes from where they always come from is locked out by wrong
passwords for their name from there, and by nothing else (docs/decisions/018d).

Where nobody knows the address, because a proxy does not say it, everybody has the same: names alone
are counted then, with their higher limit, or a stranger would lock out whomever they like.
"""

from __future__ import annotations

import logging
from typing import Any

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt, AccessLog
from django.conf import settings
from django.db.models import Sum

from config import proxies

log = logging.getLogger(__name__)


class Throttle(AxesDatabaseHandler):
    """The ``AXES_HANDLER``."""

    def get_failures(self, request: Any, credentials: dict[str, Any] | None = None) -> int:
        """Those of the name at the address, or AXES_FAILURE_LIMIT where another count is full."""
        name, address = get_client_username(request, credentials), request.axes_ip_address
        failures: int = super().get_failures(request, credentials)
        if not proxies.is_known(request):
            log.warning("The proxy in front does not say who logs in: see CLIENT_ADDRESS_HEADER")
            return failures if failures >= settings.LOGIN_FAILURES_OF_A_NAME else 0
        if AccessLog.objects.filter(username=name, ip_address=address).exists():
            return failures
        recent = AccessAttempt.objects.filter(attempt_time__gte=get_cool_off_threshold(request))
        full = (
            _sum(recent.filter(username=name)) >= settings.LOGIN_FAILURES_OF_A_NAME
            or _sum(recent.filter(ip_address=address)) >= settings.LOGIN_FAILURES_OF_AN_ADDRESS
        )
        return max(failures, settings.AXES_FAILURE_LIMIT) if full else failures


def _sum(attempts: Any) -> int:
    return attempts.aggregate(sum=Sum("failures_since_start"))["sum"] or 0
