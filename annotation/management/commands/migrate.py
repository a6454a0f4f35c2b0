"""Django's own, one at a time and never on a newer version's database (``config.migrating``)."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from config import migrating


class Command(migrate.Command):
    def handle(self, *arguments: Any, **options: Any) -> Any:
        connection = connections[options["database"]]
        if options["check_unapplied"] or options["plan"]:
            migrating.refuse_newer(connection)
            return super().handle(*arguments, **options)
        with migrating.alone(connection):
            migrating.refuse_newer(connection)
            return super().handle(*arguments, **options)
