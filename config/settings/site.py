"""Under which names the site is asked for, and whom it sends mail as."""

from django.core.checks.security.base import (
    SECRET_KEY_INSECURE_PREFIX,
    SECRET_KEY_MIN_LENGTH,
    SECRET_KEY_MIN_UNIQUE_CHARACTERS,
)
from django.core.exceptions import ImproperlyConfigured

from config import proxies
from config.kept_secrets import kept_secret
from config.settings.environment import PRIVATE, VAR, env, required

# --- Identity and hosts ---------------------------------------------------------------------


def _strong(key: str) -> str:
    """``key``, unless it can be guessed: whoever knows it can make sessions and tokens."""
    if (
        len(key) < SECRET_KEY_MIN_LENGTH
        or len(set(key)) < SECRET_KEY_MIN_UNIQUE_CHARACTERS
        or key.startswith(SECRET_KEY_INSECURE_PREFIX)
    ):
        raise ImproperlyConfigured(
            f"SECRET_KEY is too weak: {SECRET_KEY_MIN_LENGTH} random characters at least, for "
            "instance of: python -c 'import secrets; print(secrets.token_urlsafe(50))'"
        )
    return key


# Signs sessions: 50 random characters at least, or nothing starts. Required with DATABASE_URL, else
# made on first use.
SECRET_KEY = _strong(
    env("SECRET_KEY", default="")
    or (kept_secret(VAR / "secret-key", random_bytes=50) if PRIVATE else required("SECRET_KEY"))
)
# Names under which the site is asked for, by commas. Required with DATABASE_URL; else this machine
# alone.
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[]) or (
    ["localhost", "127.0.0.1", "[::1]"] if PRIVATE else [required("ALLOWED_HOSTS")]
)
# Origins of further addresses of the site, by commas: https://labels.example.org
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# One reverse proxy in front: what it says of the client (CLIENT_ADDRESS_HEADER) and of HTTPS
# (X-Forwarded-Proto) is believed, and each web worker answers one request at a time.
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)
# In which header the proxy says the client's address: X-Forwarded-For, X-Real-IP or Forwarded. It
# must overwrite or append to this one; the last entry counts, with or without a port.
CLIENT_ADDRESS_HEADER = env("CLIENT_ADDRESS_HEADER", default="X-Forwarded-For")
if CLIENT_ADDRESS_HEADER not in proxies.HEADERS:
    raise ImproperlyConfigured(f"CLIENT_ADDRESS_HEADER must be one of {', '.join(proxies.HEADERS)}")

# The address under which people reach the site, as https://labels.example.org: it stands before the
# links in mails and webhooks, which have none without it.
SITE_URL = env("SITE_URL", default="")

# --- Mail -----------------------------------------------------------------------------------

# The server that takes mails of notices; empty: none are sent.
EMAIL_HOST = env("EMAIL_HOST", default="")
# Its port.
EMAIL_PORT = env.int("EMAIL_PORT", default=587)
# Who logs in there; empty: nobody does.
EMAIL_HOST_USER = env("EMAIL_HOST_USER", default="")
# Their password.
EMAIL_HOST_PASSWORD = env("EMAIL_HOST_PASSWORD", default="")
# Whether the connection turns to TLS (STARTTLS).
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", default=True)
# Whose mails they are.
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", default="factloop@localhost")
EMAIL_TIMEOUT = 10
