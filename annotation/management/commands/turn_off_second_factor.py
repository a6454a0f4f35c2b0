"""Takes the second factor from somebody who lost it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation import second_factor
from annotation.models import User


class Command(BaseCommand):
    help = "Turns the second factor of USER off: the password alone logs in again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="user name")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"there is no user {options['user']!r}")
        removed = second_factor.turn_off(user)
        self.stdout.write(f"{user.username} {'has no longer' if removed else 'had no'} one")
