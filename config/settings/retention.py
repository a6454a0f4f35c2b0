"""What is kept, for how long."""

from config.settings.environment import env

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
