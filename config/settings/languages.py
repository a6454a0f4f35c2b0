"""Languages, time zone."""

from config import places
from config.settings.environment import env
from config.settings.security import HTTPS

# --- Languages and time -------------------------------------------------------------------------

LANGUAGE_CODE = "en"
# Each by its own name: people look for theirs. Texts that lack a translation are English.
LANGUAGES = [
    ("en", "English"),
    ("ar", "العربية"),
    ("es", "Español"),
    ("pt-br", "Português (Brasil)"),
    ("zh-hans", "简体中文"),
]
LOCALE_PATHS = [places.LOCALE]
FORMAT_MODULE_PATH = ["config.formats"]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SECURE = HTTPS
# In which days begin, and in which times are shown to people who have chosen no zone of their own.
TIME_ZONE = env("TIME_ZONE", default="UTC")
USE_TZ = True
