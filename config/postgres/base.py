"""A kept connection is asked whether it lives without a round trip to Postgres.

Django sends ``SELECT 1`` before the first query of each request (CONN_HEALTH_CHECKS), a round trip
of its own. A server that ended or crashed has closed the connection or said so, and between
two requests it says nothing else: where nothing waits to be read, the connection is as usable as
a query could tell. Where something does, the query is sent.
"""

from __future__ import annotations

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    def is_usable(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0) or super().is_usable()
