"""Settings of the whole installation: one file, everything from the environment.

Two ways to run: with DATABASE_URL (a real installation, which must also name its SECRET_KEY and
ALLOWED_HOSTS) or without (a private Postgres and Valkey under ``var/`` on this machine only).
Each variable is told in the comment above its line, from which the documents' page of settings is
made (docs/generate.py).
"""

import shlex
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.checks.security.base import (
    SECRET_KEY_INSECURE_PREFIX,
    SECRET_KEY_MIN_LENGTH,
    SECRET_KEY_MIN_UNIQUE_CHARACTERS,
)
from django.core.exceptions import ImproperlyConfigured

from config import embedded, oidc, places, proxies
from config.kept_secrets import kept_secret

env = environ.Env()

BASE_DIR = places.CODE
VAR = embedded.var_folder()
# Postgres 15 or newer; empty: a private one, for this machine alone. A pooler in between must keep
# sessions (PgBouncer: pool_mode = session), as statements are prepared.
PRIVATE = not env("DATABASE_URL", default="")
# As in Django; never on where others can reach the site.
DEBUG = env.bool("DEBUG", default=False)


def _required(name: str) -> str:
    value = env(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} must be set when DATABASE_URL is set")
    return value


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


# --- Identity and hosts ---------------------------------------------------------------------

# Signs sessions: 50 random characters at least, or nothing starts. Required with DATABASE_URL, else
# made on first use.
SECRET_KEY = _strong(
    env("SECRET_KEY", default="")
    or (kept_secret(VAR / "secret-key", random_bytes=50) if PRIVATE else _required("SECRET_KEY"))
)
# Names under which the site is asked for, by commas. Required with DATABASE_URL; else this machine
# alone.
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[]) or (
    ["localhost", "127.0.0.1", "[::1]"] if PRIVATE else [_required("ALLOWED_HOSTS")]
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

# --- Applications ---------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "annotation",
    "training",
    "benchmark",
    "demo",
]

MIDDLEWARE = [
    *(["config.proxies.ClientAddress"] if BEHIND_PROXY else []),
    "config.logs.RequestLog",
    *(["config.proxies.NoRedirectForEver"] if BEHIND_PROXY else []),
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.compression.CompressedPages",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.languages.SpeaksTheirLanguage",
    "config.bodies.BodyLimit",
    "config.guards.StorableTexts",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "annotation.whose_page.PagesSpeakForTheirPerson",
    "annotation.whose_page.LogInLeadsBackToThePage",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "annotation.middleware.AdministratorsShowSecondFactor",
    "annotation.crowd.confinement.ParticipantsStayInTheirStudy",
    "annotation.middleware.SaysStorageTrouble",
    "config.errors.OwnWords",
]
CSRF_FAILURE_VIEW = "config.errors.other_session"

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # A benchmark's folder may hold fragments of its own: "NAME/outcome.html".
        "DIRS": [places.TEMPLATES, places.CODE / "benchmark" / "protocols"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

FORM_RENDERER = "config.forms.FormRenderer"

# --- Database, cache, Celery ----------------------------------------------------------------

DATABASES: dict[str, Any] = {
    "default": {
        **env.db_url_config(env("DATABASE_URL", default="") or embedded.database_url(VAR)),
        "ENGINE": "config.postgres",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis or Valkey; empty: a private one.
REDIS_URL = env("REDIS_URL", default="") or embedded.redis_url(VAR)

# kombu spells a Unix socket differently from redis-py.
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "training.tasks.execute_run": {"queue": "gpu"},
    "training.tasks.import_base": {"queue": "cpu"},
    "training.tasks.tidy_storage": {"queue": "cpu"},
    "annotation.tasks.*": {"queue": "cpu"},
    "benchmark.tasks.*": {"queue": "cpu"},
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# However long Redis is away, a worker waits for it; what it is doing goes on.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# A request that announces a run must not wait for a broker that is away: beat announces it again.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 5,
    "socket_connect_timeout": 0.2,
    "retry_on_timeout": False,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
}
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "celerybeat-schedule")
# Messages that nobody took in time are thrown away: the next one asks the same question.
CELERY_BEAT_SCHEDULE = {
    "return-expired-leases": {
        "task": "annotation.tasks.return_expired_leases",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "announce-forgotten-jobs": {
        "task": "annotation.tasks.announce_forgotten_jobs",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "announce-ready-runs": {
        "task": "training.tasks.announce_ready_runs",
        "schedule": 10.0,
        "options": {"expires": 10},
    },
    "announce-forgotten-imports": {
        "task": "training.tasks.announce_forgotten_imports",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "reap-lost-runs": {
        "task": "training.tasks.reap_lost_runs",
        "schedule": 10.0,
        "options": {"expires": 10},
    },
    "resume-judging": {
        "task": "benchmark.tasks.resume_judging",
        "schedule": 20.0,
        "options": {"expires": 20},
    },
    "deliver-waiting-notices": {
        "task": "annotation.tasks.deliver_waiting_notices",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "watch-projects": {
        "task": "annotation.tasks.watch_projects",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "watch-machine-labels": {
        "task": "annotation.tasks.watch_machine_labels",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "watch-disks": {
        "task": "training.tasks.watch_disks",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "tidy-rows": {
        "task": "annotation.tasks.tidy",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "tidy-storage": {
        "task": "training.tasks.tidy_storage",
        "schedule": 6 * 3600.0,
        "options": {"expires": 3600},
    },
}

# In memory, each process its own. Thumbnails are kept apart: a few hundred would push out the
# figures of projects and what was counted against strangers.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "thumbnails": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "thumbnails",
    },
}

# --- People ---------------------------------------------------------------------------------

AUTH_USER_MODEL = "annotation.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
SESSION_ENGINE = "config.sessions"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "annotation:projects"
LOGOUT_REDIRECT_URL = "login"

AXES_HANDLER = "annotation.throttle.Throttle"
AXES_CLIENT_IP_CALLABLE = "config.proxies.counted_address"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
# Of strangers alone, within the same quarter of an hour (annotation.throttle).
LOGIN_FAILURES_OF_A_NAME = 50
LOGIN_FAILURES_OF_AN_ADDRESS = 100
# Whoever goes on guessing at a closed log-in neither prolongs the wait nor fills another count.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_COOLOFF_TIME = 0.25  # hours
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "locked_out.html"
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
# What axes keeps of a failed log-in without these: the page to go to may be an invitation, and a
# code may be a recovery code with one letter wrong.
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "next", "code"]

# Whether administrators must have a second factor, without which they reach only the page that sets
# it up; others may have one.
SECOND_FACTOR_FOR_ADMINISTRATORS = env.bool("SECOND_FACTOR_FOR_ADMINISTRATORS", default=False)
# What an authenticator app calls the account.
OTP_TOTP_ISSUER = "FactLoop"

# --- Single sign-on -------------------------------------------------------------------------

# The issuer of a provider of OpenID Connect, as https://login.example.org/realms/lab, which people
# log in through; empty: passwords alone. It sends people back to /login/sso/callback/.
OIDC_ISSUER = env("OIDC_ISSUER", default="")
# As what the provider knows this site.
OIDC_CLIENT_ID = env("OIDC_CLIENT_ID", default="")
# The secret that the provider gave it.
OIDC_CLIENT_SECRET = env("OIDC_CLIENT_SECRET", default="")
# What people call the provider: it stands on the button of the log-in.
OIDC_NAME = env("OIDC_NAME", default="Single sign-on")
# What the provider is asked to tell, by commas. Some tell groups only with one of their own.
OIDC_SCOPES = env.list("OIDC_SCOPES", default=["openid", "profile", "email"])
# The claim in which it tells a person's groups.
OIDC_GROUPS_CLAIM = env("OIDC_GROUPS_CLAIM", default="groups")
# What groups give, as JSON: {"lab": "street-scenes:annotator", "leads": ["administrator"]}. Brought
# up to date at each log-in; a group that names administrators takes it from everybody else.
OIDC_GROUPS = oidc.read_grants(env("OIDC_GROUPS", default=""))
# Groups whose people may enter, by commas; empty: everybody whom the provider lets log in.
OIDC_ENTRY_GROUPS = env.list("OIDC_ENTRY_GROUPS", default=[])
# How long such a log-in lasts: what changes at the provider is seen after this at the latest.
OIDC_SESSION_HOURS = env.float("OIDC_SESSION_HOURS", default=12)
# Whether passwords log in too. Without them the provider alone does, and invitations make no
# accounts.
LOCAL_LOGIN = env.bool("LOCAL_LOGIN", default=True)
if not LOCAL_LOGIN and not OIDC_ISSUER:
    raise ImproperlyConfigured("LOCAL_LOGIN is off and OIDC_ISSUER is not set: nobody could log in")
OIDC_PROVIDER_ID = oidc.provider_id(OIDC_ISSUER) if OIDC_ISSUER else ""
SOCIALACCOUNT_PROVIDERS = (
    oidc.provider(
        OIDC_ISSUER,
        client=OIDC_CLIENT_ID,
        secret=OIDC_CLIENT_SECRET,
        name=OIDC_NAME,
        scopes=OIDC_SCOPES,
    )
    if OIDC_ISSUER
    else {}
)
# Of allauth nothing is used but the protocol: accounts, passwords and addresses are ours.
ACCOUNT_ADAPTER = "annotation.single_sign_on.adapters.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "annotation.single_sign_on.adapters.SocialAccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
SOCIALACCOUNT_ONLY = True

# --- REST -----------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "annotation.api.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "annotation.api.auth.HasScope",
    ],
    # JSON alone: the framework's own pages write styles into themselves, which the
    # Content-Security-Policy refuses. People read the API at api/docs/.
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["annotation.api.base.BoundedJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "annotation.api.schema.Schema",
    "EXCEPTION_HANDLER": "annotation.api.errors.problem_details",
    "DEFAULT_PAGINATION_CLASS": "annotation.api.base.ById",
    "PAGE_SIZE": 100,
    # A query parameter named "format" is a release's format here, not a renderer's.
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "FactLoop",
    "DESCRIPTION": "Preference data, training runs and benchmark scores over REST.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": [
        "rest_framework.permissions.IsAuthenticated"
        # Whether /api/schema/ answers only people who are logged in.
        if env.bool("API_SCHEMA_NEEDS_LOGIN", default=False)
        else "rest_framework.permissions.AllowAny"
    ],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # Fields of one name with choices of their own; without this they are told apart by a hash.
    "ENUM_NAME_OVERRIDES": {
        "ChoiceEnum": "annotation.models.work.Choice",
        "RunState": "training.models.State",
        "RunPreset": "training.rlhf.presets.OFFERED",
        "ImportFormat": "annotation.models.exchange.ImportJob.Format",
        "ImportState": "annotation.models.exchange.ImportJob.State",
        "ProjectState": "annotation.models.projects.Project.State",
        "CheckpointKind": "training.models.Checkpoint.Kind",
        "MachineLabellingState": "annotation.models.machine.MachineLabelling.State",
    },
}

# --- Security -------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
# Secure cookies, redirect, HSTS; on with DATABASE_URL.
HTTPS = env.bool("HTTPS", default=not PRIVATE)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = HTTPS
# Probes and Prometheus come from inside, past the proxy that ends TLS.
SECURE_REDIRECT_EXEMPT = [r"^healthz/", r"^metrics$"]
# What Prometheus sends as its bearer token; empty: only administrators read /metrics.
METRICS_TOKEN = env("METRICS_TOKEN", default="")
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- Files ----------------------------------------------------------------------------------

STATIC_URL = "static/"
STATICFILES_DIRS = [places.STATIC]
STATIC_ROOT = VAR / "static"
WHITENOISE_USE_FINDERS = PRIVATE
if PRIVATE:
    # Nothing is collected there, but WhiteNoise warns about a folder that does not exist.
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)

MEDIA_ROOT = VAR / "storage"
# Storage in a bucket, with credentials as boto3 reads them; empty: a folder.
S3_BUCKET = env("S3_BUCKET", default="")
# How long the server of the bucket may be silent, each time; it is asked three times, unless
# AWS_MAX_ATTEMPTS says otherwise. Web workers wait as long.
S3_TIMEOUT_SECONDS = env.float("S3_TIMEOUT_SECONDS", default=20)
STORAGES: dict[str, Any] = {
    # Images, releases and checkpoints. Never served by address: views check who may read them.
    "default": (
        {
            "BACKEND": "annotation.storage.bucket.BucketStorage",
            "OPTIONS": {
                "bucket_name": S3_BUCKET,
                # The server of the bucket, where it is not Amazon's.
                "endpoint_url": env("S3_ENDPOINT_URL", default="") or None,
            },
        }
        if S3_BUCKET
        else {"BACKEND": "annotation.storage.folder.FolderStorage"}
    ),
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if PRIVATE
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}
# The largest request of somebody who has logged in or has a token; strangers may send 1 MiB.
LARGEST_BODY_MB = env.int("LARGEST_BODY_MB", default=4096)
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 2**20
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20

# --- Training -------------------------------------------------------------------------------

# Where workers keep run directories; needs room for checkpoints, is local to the host.
RUNS_ROOT = Path(env("RUNS_ROOT", default=str(VAR / "runs")))
# Folders of the workers from below which an administrator may import base models on a page.
BASE_MODEL_FOLDERS = env.list("BASE_MODEL_FOLDERS", default=[str(VAR / "models")])
# Where base models named by a hub id are fetched from, by a worker on `cpu` with the engine.
HUB_ENDPOINT = env("HF_ENDPOINT", default="https://huggingface.co")
# The name under which this host holds its GPUs; empty means what the system calls it. A container
# needs one that stays.
WORKER_HOST = env("WORKER_HOST", default="")
# GPUs this host lends to runs; 0 lets runs that ask for none run on the CPU.
WORKER_GPUS = env.int("WORKER_GPUS", default=0)
# The interpreter that starts the engine; empty means the worker's own.
TRAINER_PYTHON = env("TRAINER_PYTHON", default="")
# Threads of a trainer on the CPU; 0 leaves the choice to torch.
TRAINER_THREADS = env.int("TRAINER_THREADS", default=0)
# Where trainers run: "local" on the worker's host, "slurm" through the queue of a cluster.
RUN_LAUNCHER = env.str("RUN_LAUNCHER", default="local")
if RUN_LAUNCHER not in ("local", "slurm"):
    raise ImproperlyConfigured(f"RUN_LAUNCHER is local or slurm, not {RUN_LAUNCHER!r}")
# What sbatch is told beside the run's GPUs: partition, account, time, memory, processors.
SLURM_OPTIONS = shlex.split(env.str("SLURM_OPTIONS", default=""))
# A run that asks for more GPUs than this gets several nodes.
SLURM_GPUS_PER_NODE = env.int("SLURM_GPUS_PER_NODE", default=8)
# How often Slurm is asked about each job; its controller is shared with everybody.
SLURM_POLL_SECONDS = env.float("SLURM_POLL_SECONDS", default=10)
# A job that no worker follows for this long saves and ends itself.
SLURM_PATIENCE_SECONDS = env.float("SLURM_PATIENCE_SECONDS", default=1800)
# A worker that is silent for this long loses its run; its trainer is ended before that.
RUN_LEASE_SECONDS = env.float("RUN_LEASE_SECONDS", default=30)
# What a trainer gets to save its work when it is asked to stop, before it is killed.
RUN_STOP_SECONDS = env.float("RUN_STOP_SECONDS", default=60)
# How long a run that is trained waits for storage that is full or away before it fails.
RUN_STORAGE_PATIENCE_SECONDS = env.float("RUN_STORAGE_PATIENCE_SECONDS", default=600)
# How often a worker renews its lease and looks whether somebody cancelled the run.
RUN_HEARTBEAT_SECONDS = env.float("RUN_HEARTBEAT_SECONDS", default=3)

# --- Benchmarks -----------------------------------------------------------------------------

JUDGE_PATIENCE = {
    # How long one answer of a judge may take.
    "timeout_seconds": env.float("JUDGE_TIMEOUT_SECONDS", default=90),
    # How often one question is asked before its verdict has failed.
    "attempts": env.int("JUDGE_ATTEMPTS", default=7),
}

# Whether each run that makes a reward model is followed by one that reports what it looks at.
REPORT_CARDS = env.bool("REPORT_CARDS", default=True)

# Whether AMBER takes near synonyms for equal: "none", or "spacy" where spaCy and a model with word
# vectors are installed. Part of the wording: the two never rank together.
AMBER_SYNONYMS = env.str("AMBER_SYNONYMS", default="none")
# The model of spaCy for that: its name, or its folder.
AMBER_SPACY_MODEL = env.str("AMBER_SPACY_MODEL", default="en_core_web_lg")

# --- What is kept for how long ----------------------------------------------------------------

# How long the same request, sent again with its Idempotency-Key, gets the same answer.
IDEMPOTENCY_HOURS = env.float("IDEMPOTENCY_HOURS", default=24)
# Who logged in or failed to, for administrators. Throttling needs a quarter of an hour of it.
LOGIN_LOG_DAYS = env.float("LOGIN_LOG_DAYS", default=30)
# A run's directory on a host where nothing changes in it, once the run ended or went elsewhere.
RUN_DIRECTORY_DAYS = env.float("RUN_DIRECTORY_DAYS", default=3)
# Logs, events and TensorBoard's files of a run that ended, in its directory.
RUN_LOG_DAYS = env.float("RUN_LOG_DAYS", default=90)
# A run that ended without success goes on from its last checkpoint if it is resumed by then.
RESUME_DAYS = env.float("RESUME_DAYS", default=30)
# Files in storage of which no row tells, because whoever stored them was killed.
ORPHAN_DAYS = env.float("ORPHAN_DAYS", default=2)

# --- Words and time -------------------------------------------------------------------------

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

# "plain" for people, "json" for what collects logs: each line with its run and request.
LOG_FORMAT = env("LOG_FORMAT", default="plain")
if LOG_FORMAT not in ("plain", "json"):
    raise ImproperlyConfigured("LOG_FORMAT must be plain or json")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "()": "config.logs.PlainFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        },
        "json": {"()": "config.logs.JsonFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    # DEBUG, INFO, WARNING or ERROR.
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", default="INFO")},
    "loggers": {"axes": {"level": "WARNING"}},
}
