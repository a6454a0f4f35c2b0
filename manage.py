#!/usr/bin/env python
"""Django's command line; starts the private Postgres and Valkey first where none is configured."""

import os
import sys

COMMANDS_WITHOUT_DATABASE = {"help", "version", "--help", "--version", "collectstatic"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    from config import embedded

    if len(sys.argv) > 1 and sys.argv[1] not in COMMANDS_WITHOUT_DATABASE:
        embedded.start_if_needed()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
