"""The gunicorn worker: gunicorn starts, watches and replaces processes, waitress serves in them.

A worker ends by itself when its master has gone or ``max_requests`` is reached, and in good order
when it is told to (SIGTERM): nothing new is taken, and what is under way has ``graceful_timeout``.
"""

from __future__ import annotations

import logging
import os
import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from socket import socket
from typing import Any

from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.trigger import trigger

from config.server.connections import Connection, Listener

LOOK_SECONDS = 1.0
STOP_SECONDS = 5.0
"""How long a worker that is told to end waits for requests that are still arriving."""
FILES_OF_A_CONNECTION = 3
"""The socket, and a temporary file of what comes and of what goes, each where that is large."""
FILES_OF_THE_SITE = 100

log = logging.getLogger(__name__)


class Threads:
    """The threads that answer; knows how many are busy."""

    def __init__(self, count: int, wake: Callable[[], None]) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="answer")
        self._count = count
        self._wake = wake
        self._lock = threading.Lock()
        self._busy = 0
        self.done = 0

    def is_one_free(self) -> bool:
        return self._busy < self._count

    def add_task(self, task: Any) -> None:
        with self._lock:
            self._busy += 1
        self._pool.submit(self._carry_out, task)

    def _carry_out(self, task: Any) -> None:
        try:
            task.service()
        except Exception:
            log.exception("A request was not answered")
        finally:
            with self._lock:
                self._busy -= 1
                self.done += 1
            self._wake()


class ServingWorker(Worker):
    """One process: an event loop (this thread), and the threads that answer."""

    def run(self) -> None:
        self._map: dict[int, Any] = {}
        self._trigger = trigger(self._map)
        self._threads = Threads(self.cfg.threads, self._trigger.pull_trigger)
        self._listeners = [self._listen(one.sock) for one in self.sockets]
        next_look = 0.0
        while self.alive:
            self._turn()
            if time.monotonic() >= next_look:
                self._look()
                next_look = time.monotonic() + LOOK_SECONDS
        self._stop()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.alive = False
        self._trigger.pull_trigger()

    def _turn(self) -> None:
        self.notify()
        wasyncore.loop(timeout=LOOK_SECONDS, use_poll=True, map=self._map, count=1)
        for listener in self._listeners:
            listener.give_up_largest_ones()

    def _listen(self, sock: socket) -> Listener:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = max(1, (files - FILES_OF_THE_SITE) // FILES_OF_A_CONNECTION)
        return Listener(
            self.wsgi,
            self._map,
            True,
            sock,
            dispatcher=self._threads,
            adj=self._adjustments(),
            sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
            is_one_free=self._threads.is_one_free,
            most=min(self.cfg.worker_connections, room),
        )

    def _adjustments(self) -> Adjustments:
        """waitress's settings; ``kept_open`` is ours."""
        found = Adjustments(
            ident="",
            backlog=self.cfg.backlog,
            # config.proxies reads these headers.
            clear_untrusted_proxy_headers=False,
            log_socket_errors=False,
            max_request_header_size=32 * 2**10,
            # config.bodies says how much; here is no second limit.
            max_request_body_size=2**62,
            recv_bytes=2**16,
            inbuf_overflow=2**20,
        )
        found.kept_open = self.cfg.keepalive > 0
        return found

    def _look(self) -> None:
        for listener in self._listeners:
            listener.give_up_late_ones()
        if os.getppid() != self.ppid:
            self.log.info("Parent changed, shutting down: %s", self)
            self.alive = False
        if self._threads.done >= self.max_requests:
            self.log.info("Autorestarting worker after %s requests.", self._threads.done)
            self.alive = False

    def _connections(self) -> list[Connection]:
        return [one for one in self._map.values() if isinstance(one, Connection)]

    def _stop(self) -> None:
        began = time.monotonic()
        for listener in self._listeners:
            listener.stop_listening()
        while self._connections() and time.monotonic() < began + self.cfg.graceful_timeout:
            late = time.monotonic() > began + STOP_SECONDS
            for one in self._connections():
                if one.is_idle or (late and one.is_arriving):
                    one.give_up()
            self._turn()
