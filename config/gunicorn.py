"""How gunicorn serves the site; the command line names address, workers and threads.

The application is loaded once and forked: workers start at once, also the one that takes the place
of a worker that was killed, and share its memory. What was loaded is then left out of garbage
collection, which would otherwise walk through all of Django during somebody's request.

In each worker an event loop reads requests and writes answers, and threads answer what has arrived
(``config.server``): clients that are slow, or send nothing, hold none.

Behind a proxy (BEHIND_PROXY, docs/deployment.md) a worker answers one request at a time, takes no
other before it is done, and closes the connection, so that the kernel gives each to a worker that
is free. Where browsers connect directly, connections stay open, and a worker has threads.
"""

import gc
import os
import sys
from typing import Any

preload_app = True
worker_class = "config.server.worker.ServingWorker"
asked = os.environ.get("WEB_CONCURRENCY")
if os.environ.get("BEHIND_PROXY", "").lower() in ("1", "true", "yes", "on"):
    # Each keeps a connection to Postgres, which takes 100 unless it is told otherwise.
    workers = int(asked or min(2 * (os.cpu_count() or 1) + 4, 32))
    threads = 1
    keepalive = 0
else:
    workers = int(asked or 2)
    threads = 4
    keepalive = 30
# Open ones of each worker; fewer where the system lends a process fewer files.
worker_connections = 1000
max_requests = 100_000
max_requests_jitter = 20_000
# Nothing here uses it, and it would be one file for all sites of this user.
control_socket_disable = True


def post_fork(server: Any, worker: Any) -> None:
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    # A request asks the database a dozen times, and after each answer waits for the interpreter
    # until the thread that has it is interrupted: 5 ms by default. See docs/performance.md.
    sys.setswitchinterval(0.0005)
