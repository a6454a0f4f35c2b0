"""Celery: wakes workers up. The database is the truth; a message carries an id and nothing else.

Queues: ``default`` for short tasks and beat, ``cpu`` for imports, releases and judges, ``gpu`` for
training runs. Accepts JSON only: a message can never be a pickle.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("factloop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
