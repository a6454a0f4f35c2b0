"""Connections of a web worker: its event loop reads and writes them, a thread only answers.

A thread gets a request once all of it is here, and is free again once its answer is written,
however slowly the client takes it: what the client has not taken yet waits in memory, beyond 1 MiB
in a temporary file. waitress does that. What this module adds are limits:

- *time*: whatever a client sends or takes has ``GRACE_SECONDS``, and a second more for each
  ``BYTES_A_SECOND`` that moved, and is given up after ``SILENT_SECONDS`` in which nothing moves;
- *number*: when a worker is full, a new connection takes the place of the one whose time is over
  first, so that those who hold many cannot keep others out;
- *size*: beyond what a stranger may send, reading stops until ``config.bodies`` has said who asks;
- *memory*: where all of a worker's clients together fill more than ``MOST_HELD_BYTES`` of it, those
  that fill most, and that the site is not answering, are given up.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from waitress import wasyncore
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import BaseWSGIServer
from waitress.task import WSGITask
from waitress.utilities import BadRequest

from config import bodies

GRACE_SECONDS = 30.0
BYTES_A_SECOND = 4096
SILENT_SECONDS = 60.0
LINGER_SECONDS = 5.0
"""How long what a refused client still sends is thrown away, so that it can read the refusal."""
LONGEST_CONTROL_LINE = 4096
"""Bytes between two chunks of a body, for which waitress has no limit."""
MOST_HELD_BYTES = 64 * 2**20
"""Of requests that arrive and answers that are not taken, as far as they are in memory."""
ALWAYS_HELD_BYTES = 64 * 2**10
"""Of one client: whoever sends a form or takes a page is never given up for it."""
TOO_MUCH = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

log = logging.getLogger(__name__)


class Arrival(HTTPRequestParser):
    """A request that arrives."""

    allowed = bodies.OF_A_STRANGER
    """Bytes of body that may be read before somebody says that it may be more."""
    refused = False

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        between = len(getattr(self.body_rcv, "control_line", b""))
        if max(between, len(getattr(self.body_rcv, "trailer", b""))) > LONGEST_CONTROL_LINE:
            self.error = BadRequest("A chunk of the body begins with too long a line.")
            self.completed = True
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # Content-Length has thousands of digits.
            raise ParsingError("Content-Length is invalid") from error
        if not self.adj.kept_open:
            self.headers["CONNECTION"] = "close"

    @property
    def held(self) -> int:
        """Bytes of it in memory."""
        body = 0 if self.body_rcv is None else _in_memory(self.body_rcv.getbuf())
        return len(self.header_plus) + body

    @property
    def size(self) -> int:
        return max(self.content_length, self.body_bytes_received)

    def refuse(self) -> None:
        """Ends it here. The site reads its length alone, and says what is wrong with it."""
        self.headers |= {"CONTENT_LENGTH": str(self.size), "CONNECTION": "close"}
        self.refused = self.completed = True


class Answer(WSGITask):
    """A request that has arrived is answered."""

    response_headers: list[tuple[str, str]]

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ |= {"wsgi.multiprocess": True, "SERVER_SOFTWARE": "FactLoop"}
        if self.request.command == "HEAD":
            environ.pop("wsgi.file_wrapper", None)
        return environ

    def build_response_header(self) -> bytes:
        # Django's cookies begin with a space, which the protocol allows and few expect.
        self.response_headers = [(name, value.strip()) for name, value in self.response_headers]
        header: bytes = super().build_response_header()
        return header

    def write(self, data: bytes) -> None:
        if self.request.command != "HEAD":
            super().write(data)
        else:
            super().write(b"")
            self.chunked_response = False


class Connection(HTTPChannel):
    """One client. What it does now began at ``since``, and has moved ``moved`` bytes."""

    request: Arrival | None
    parser_class = Arrival
    task_class = Answer

    def __init__(self, *args: Any, **options: Any) -> None:
        self.since = self.last = time.monotonic()
        self.moved = 0
        self.asking = self.lingering = False
        super().__init__(*args, **options)

    # --- Time ---------------------------------------------------------------------------------

    @property
    def is_answered(self) -> bool:
        """Whether the site has the word, and nothing waits for the client."""
        return bool(self.requests or self.asking) and not self.total_outbufs_len

    @property
    def is_arriving(self) -> bool:
        return self.request is not None and not self.requests

    @property
    def is_idle(self) -> bool:
        return not (self.request or self.requests or self.asking or self.total_outbufs_len)

    @property
    def deadline(self) -> float:
        if self.lingering:
            return self.since + LINGER_SECONDS
        earned = self.since + GRACE_SECONDS + self.moved // BYTES_A_SECOND
        return min(earned, self.last + SILENT_SECONDS)

    def _begin(self) -> None:
        self.since = self.last = time.monotonic()
        self.moved = 0

    def _note(self, number: int) -> None:
        if number:
            self.moved += number
            self.last = time.monotonic()

    def recv(self, most: int) -> bytes:
        if self.request is None and not self.lingering:
            self._begin()
        data: bytes = super().recv(most)
        self._note(len(data))
        return data

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent: int = super().send(data, do_close)
        self._note(sent)
        return sent

    def _flush_some(self, do_close: bool = True) -> bool:
        flushed: bool = super()._flush_some(do_close)
        if not self.total_outbufs_len:
            self._begin()
        return flushed

    def give_up(self, why: bytes = TOO_SLOW) -> None:
        """Closes it; whoever was still sending a request is told why, if they listen."""
        if self.is_arriving:
            with suppress(OSError):
                self.socket.send(why)
        self.unread = False
        self.handle_close()

    # --- Memory -------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Bytes in memory: of requests, and of answers that wait for the client."""
        requests = (self.request, *self.requests)
        return sum(one.held for one in requests if one) + sum(map(_in_memory, [*self.outbufs]))

    # --- Size ---------------------------------------------------------------------------------

    unread = False
    """Whether the client was answered before all that it sends had been read."""

    def received(self, data: bytes) -> bool:
        result: bool = super().received(data)
        arriving = self.request
        if arriving is not None and arriving.size > arriving.allowed and not self.asking:
            self.asking = True
            self.server.add_task(Question(self, arriving))
        return result

    def readable(self) -> bool:
        return self.lingering or (not self.asking and super().readable())

    def writable(self) -> bool:
        return not self.lingering and super().writable()

    def handle_read(self) -> None:
        if not self.lingering:
            super().handle_read()
        else:
            with suppress(OSError):
                self.recv(self.adj.recv_bytes)

    def refuse(self, arriving: Arrival) -> None:
        self.unread = True
        arriving.refuse()
        self.requests.append(arriving)
        self.request = None
        self.server.add_task(self)

    def handle_close(self) -> None:
        if not (self.unread and self.connected and self._shut()):
            super().handle_close()

    def _shut(self) -> bool:
        """Tells the client that nothing more will come, and goes on reading; once."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        self._begin()
        self.lingering, self.unread, self.will_close = True, False, False
        return True

    # --- Answers ------------------------------------------------------------------------------

    def _flush_outbufs_below_high_watermark(self) -> None:
        """waitress lets the thread wait here for a slow client."""


def _in_memory(buffer: Any) -> int:
    """Bytes of a buffer of waitress's that are in no file."""
    is_file = isinstance(buffer, ReadOnlyFileBasedBuffer) or buffer.overflowed
    return 0 if is_file else len(buffer)


class Question:
    """Asks the site whether whoever sends a large body may; reading goes on, or it is refused."""

    def __init__(self, connection: Connection, arriving: Arrival) -> None:
        self._connection = connection
        self._arriving = arriving

    def service(self) -> None:
        connection, arriving = self._connection, self._arriving
        environ = connection.task_class(connection, arriving).get_environment()
        try:
            allowed = bodies.allowed(environ)
        except Exception:  # The database is away: the site meets the same, and says so.
            log.exception("It is not known who sends a large body")
            allowed = bodies.OF_A_STRANGER
        with connection.requests_lock:
            arriving.allowed = allowed
            if arriving.size > allowed:
                connection.refuse(arriving)
            connection.asking = False


class Listener(BaseWSGIServer):
    """Takes connections of a listening socket while a thread is free to answer."""

    channel_class = Connection

    def __init__(
        self, *args: Any, is_one_free: Callable[[], bool], most: int, **options: Any
    ) -> None:
        self._is_one_free = is_one_free
        self._most = most
        super().__init__(*args, bind_socket=False, **options)

    def getsockname(self) -> tuple[str, Any]:
        name = self.socket.getsockname()
        return ("unix", name) if self.family == socket.AF_UNIX else (name[0], name[1])

    def readable(self) -> bool:
        return self.accepting and self._is_one_free()

    def handle_accept(self) -> None:
        if len(self.active_channels) >= self._most:
            self._make_room()
        super().handle_accept()

    def set_socket_options(self, conn: socket.socket) -> None:
        if self.family != socket.AF_UNIX:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fix_addr(self, addr: Any) -> Any:
        # Whoever reaches a Unix socket is on this machine, and has no address.
        return ("127.0.0.1", 0) if self.family == socket.AF_UNIX else addr

    def give_up_late_ones(self) -> None:
        now = time.monotonic()
        for one in self._waiting():
            if one.deadline < now:
                one.give_up()

    def give_up_largest_ones(self) -> None:
        held = {one: one.held for one in self.active_channels.values()}
        total = sum(held.values())
        if total <= MOST_HELD_BYTES:
            return
        large = [one for one in self._waiting() if held[one] > ALWAYS_HELD_BYTES]
        for one in sorted(large, key=lambda one: (-held[one], one.deadline)):
            one.give_up(TOO_MUCH)
            total -= held[one]
            if total <= MOST_HELD_BYTES:
                return

    def stop_listening(self) -> None:
        """Connections that are open go on."""
        self.accepting = False
        wasyncore.dispatcher.close(self)

    def _make_room(self) -> None:
        waiting = self._waiting()
        if waiting:
            min(waiting, key=lambda one: one.deadline).give_up()

    def _waiting(self) -> list[Connection]:
        return [one for one in self.active_channels.values() if not one.is_answered]
