"""Django's command line; starts the private Postgres and Valkey first where none is configured."""

from __future__ import annotations

import os

COMMANDS_WITHOUT_DATABASE = {"help", "version", "--help", "--version", "collectstatic"}


def execute(words: list[str]) -> None:
    """Run ``words``, the first of which is how the program was called."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    from config import embedded

    if len(words) > 1 and words[1] not in COMMANDS_WITHOUT_DATABASE and "--help" not in words:
        embedded.start_or_say()
    execute_from_command_line(words)
