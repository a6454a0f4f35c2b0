"""The servers behind the site: Postgres, Redis with Celery; and the caches in memory."""

from typing import Any

from config import embedded
from config.settings.environment import VAR, env

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

# In memory, each process its own. Thumbnails are kept apart: a few hundred would push out the
# figures of projects and what was counted against strangers.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "thumbnails": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "thumbnails",
    },
}
