"""How often pages that need no log-in may be asked for: by link, and for those that open nothing.

Counted in Django's cache per minute. With the default cache each web process counts for itself,
so that the true limit is this one times their number.
"""

from __future__ import annotations

import time

from django.core.cache import cache

OF_A_LINK = 600
"""Requests a minute: a page of answers brings a dozen pictures."""
OF_A_STRANGER = 60
"""Requests a minute from one address for links that do not open."""
WINDOW_SECONDS = 60


def within(key: str, most: int) -> bool:
    """Counts a request; False once there were more than ``most`` in this minute."""
    window = int(time.time()) // WINDOW_SECONDS
    name = f"limits.{key}.{window}"
    cache.add(name, 0, 2 * WINDOW_SECONDS)
    try:
        return bool(cache.incr(name) <= most)
    except ValueError:  # Thrown out of a full cache in between: this request is the first.
        return True
