"""How gunicorn serves the site; the command line names address, workers and threads.

The application is loaded once and forked: workers start at once, also the one that takes the place
of a worker that was killed, and share its memory. What was loaded is then left out of garbage
collection, which would otherwise walk through all of Django during somebody's request.
"""

import gc
import sys
from typing import Any

preload_app = True
worker_class = "gthread"
keepalive = 30
max_requests = 100_000
max_requests_jitter = 20_000


def post_fork(server: Any, worker: Any) -> None:
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    # A request asks the database a dozen times, and after each answer waits for the interpreter
    # until the thread that has it is interrupted: 5 ms by default. See docs/performance.md.
    sys.setswitchinterval(0.0005)
