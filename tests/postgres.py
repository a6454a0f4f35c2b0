"""Postgres's own programs on the test server, as an operator calls them."""

from __future__ import annotations

import os
import subprocess

from django.db import connection

from config import embedded


def address(database: str) -> dict[str, str]:
    """libpq's variables for a database of the test server."""
    found = connection.settings_dict
    named = {"HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD"}
    known = {variable: str(found[name]) for name, variable in named.items() if found[name]}
    # A socket's folder may stand among the options of the address.
    host = found.get("OPTIONS", {}).get("host")
    return {**known, **({"PGHOST": host} if host else {}), "PGDATABASE": database}


def run(program: str, *arguments: str, database: str) -> str:
    """What the program prints; CalledProcessError where it fails."""
    folder = embedded._postgres_binaries(embedded.Paths.under(embedded.var_folder()))
    command = [str(folder / program), *arguments]
    environment = {**os.environ, **address(database)}
    done = subprocess.run(
        command, env=environment, check=True, timeout=120, stdout=subprocess.PIPE, text=True
    )
    return done.stdout
