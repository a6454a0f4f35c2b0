"""Makes an API token and prints it, once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.models import ApiToken, User
from annotation.models.people import DEFAULT_TOKEN_DAYS


class Command(BaseCommand):
    help = "Makes a token for USER and prints it. It cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="user name")
        parser.add_argument(
            "--scopes", nargs="+", choices=ApiToken.Scope.values, default=["read", "annotate"]
        )
        parser.add_argument("--name", default="command line")
        parser.add_argument("--days", type=int, default=DEFAULT_TOKEN_DAYS)

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"there is no user {options['user']!r}")
        _, raw = ApiToken.create(
            user, name=options["name"], scopes=options["scopes"], days=options["days"]
        )
        self.stdout.write(raw)
