"""What beat asks for, how often."""

from config.settings.environment import VAR

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
