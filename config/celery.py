"""Celery: wakes workers up. The database is the truth; a message carries an id and nothing else.

Queues: ``default`` for short tasks and beat, ``cpu`` for imports, releases and judges, ``gpu`` for
training runs. Accepts JSON only: a message can never be a pickle.
"""

import os
import signal
import sys
from typing import Any

import kombu
from billiard.process import current_process
from celery import Celery, signals
from celery.app.amqp import AMQP

from config.parent_death import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class PersistentConnection(kombu.Connection):
    """Looks every few seconds whether a broker that was away is back.

    kombu's own pauses grow to 30 s, for beat and for each worker, and Celery has no setting for it:
    what waits would begin up to a minute after Redis is back.
    """

    LONGEST_PAUSE_SECONDS = 5

    def ensure_connection(self, *args: Any, **options: Any) -> kombu.Connection:
        return super().ensure_connection(
            *args, **{"interval_max": self.LONGEST_PAUSE_SECONDS, **options}
        )


class PersistentAMQP(AMQP):
    Connection = PersistentConnection


# For Django, Celery puts the folder that we were called in before all others: a package of
# somebody's own there, named `training` or `demo`, would be taken for ours.
paths = sys.path[:]
app = Celery("factloop", amqp=PersistentAMQP)
sys.path[:] = paths
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.beat_embedded_init.connect
def beat_ends_with_its_worker(**_: Any) -> None:
    """``worker --beat`` starts beat as a process of its own, which would outlive kill -9."""
    die_with_parent(signal.SIGKILL)
    if os.getppid() != current_process()._parent_pid:
        os._exit(1)  # It was killed before that.
