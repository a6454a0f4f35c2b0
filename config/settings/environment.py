"""Where the settings come from, and the two ways to run that most of the others follow."""

import environ
from django.core.exceptions import ImproperlyConfigured

from config import places

env = environ.Env()

BASE_DIR = places.CODE
# Postgres 15 or newer; empty: a private one, for this machine alone. A pooler in between must keep
# sessions (PgBouncer: pool_mode = session), as statements are prepared.
PRIVATE = not env("DATABASE_URL", default="")
VAR = places.made_var_folder() if PRIVATE else places.var_folder()
# As in Django; never on where others can reach the site.
DEBUG = env.bool("DEBUG", default=False)


def required(name: str) -> str:
    """What the environment says, which there is no going without."""
    value = env(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} must be set when DATABASE_URL is set")
    return value
