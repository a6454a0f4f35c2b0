"""A client of FactLoop's REST API in one file: preference data in five lines.

    from factloop import Client

    client = Client("https://labels.example.org", "fl_...")
    for record in client.project("cats").release(3).records():
        print(record["id"], record["preference"])

It needs httpx and nothing else of FactLoop, so it may be copied to where it is used. Requests that
fail on the way are sent again: those that only read, and those that create, which carry a key by
which the server knows them. What cannot be helped by trying again is raised as FactLoopError.
"""

from __future__ import annotations

import json
import os
import random
import time
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

__version__ = "0.1.0"
"""Of all of FactLoop: the packages' metadata, the command and checkpoints take it from here."""

__all__ = ["Client", "FactLoopError", "Project", "Release"]

AGAIN = frozenset({429, 502, 503, 504})
MOST_RECORDS = 1000
"""The server takes so many records in one request."""
COUNTED = ("llava_rlhf", "trl", "rlhf_v")
"""Formats of a release with one line for each preference."""


class FactLoopError(Exception):
    """What the server refused: ``status``, ``title``, ``detail`` and a list of ``errors``."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.title = str(problem.get("title", "The request failed"))
        self.detail = str(problem.get("detail", ""))
        self.errors: list[dict[str, Any]] = problem.get("errors", [])
        super().__init__(f"{status} {self.title}: {self.detail}".rstrip(": "))


class Incomplete(Exception):
    """A stream ended before all of it had come."""


class Client:
    """Speaks for the owner of ``token``. Use it as a context manager, or ``close`` it.

    ``attempts`` bounds how often a request is sent, ``backoff_seconds`` is the first pause between
    two, which doubles. ``transport`` is httpx's, for tests.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_seconds: float = 60.0,
        attempts: int = 6,
        backoff_seconds: float = 0.5,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.attempts = attempts
        self.backoff_seconds = backoff_seconds
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Bearer {token}", "User-Agent": f"factloop/{__version__}"},
            timeout=timeout_seconds,
            transport=transport,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def projects(self) -> Iterator[dict[str, Any]]:
        return self.pages("projects")

    def project(self, slug: str) -> Project:
        return Project(self, slug)

    def release(self, id: int) -> Release:
        """By its id, which is not the number that pages show: that is ``project(...).release``."""
        return Release(self, id)

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of an address below /api/v1/. Raises FactLoopError."""
        return self._send("GET", path, params=parameters).json()

    def post(self, path: str, body: Any = None, *, key: str = "", **options: Any) -> Any:
        """Creates something, once: ``key`` (a new one unless given) names the act."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        if body is not None:
            options["json"] = body
        if "content" in options:
            headers["Content-Type"] = "application/octet-stream"
        response = self._send("POST", path, headers=headers, **options)
        return response.json() if response.content else None

    def pages(self, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The items of a list, page after page."""
        asked: dict[str, Any] = parameters
        while True:
            page = self.get(path, **asked)
            yield from page["results"]
            if not page["next"]:
                return
            # Only what the server says of the page is taken: it may know itself by another name.
            asked = dict(parse_qsl(urlsplit(page["next"]).query))

    @contextmanager
    def stream(self, path: str, **parameters: Any) -> Iterator[httpx.Response]:
        """One attempt at an answer that is read as it comes."""
        with self._http.stream("GET", path, params=parameters) as response:
            if response.is_error:
                response.read()
                _check(response)
            yield response

    def pause(self, attempt: int, response: httpx.Response | None = None) -> None:
        """Waits before the attempt after ``attempt`` (from 1), as long as the server asks."""
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        seconds = self.backoff_seconds * 2 ** (attempt - 1) * random.uniform(0.8, 1.2)
        time.sleep(max(seconds, float(asked)) if asked.isdigit() else seconds)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        for attempt in range(1, self.attempts + 1):
            last = attempt == self.attempts
            try:
                response = self._http.request(method, path, **options)
            except httpx.TransportError:
                if last:
                    raise
                self.pause(attempt)
                _rewind(options.get("files"))
                continue
            if response.status_code not in AGAIN or last:
                break
            self.pause(attempt, response)
            _rewind(options.get("files"))
        return _check(response)


def _check(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        try:
            problem = response.json()
        except ValueError:
            problem = {"detail": response.text[:200]}
        raise FactLoopError(response.status_code, problem if isinstance(problem, dict) else {})
    return response


def _rewind(files: dict[str, Any] | None) -> None:
    for _, file in (files or {}).values():
        file.seek(0)


class Project:
    """A project of the person that the token speaks for."""

    def __init__(self, client: Client, slug: str) -> None:
        self.client = client
        self.path = f"projects/{slug}"

    def about(self) -> dict[str, Any]:
        return dict(self.client.get(self.path))

    def quality(self) -> dict[str, Any]:
        """Agreement, reliability, bias, throughput and forecast."""
        return dict(self.client.get(f"{self.path}/quality"))

    def comparisons(self, **filters: str) -> Iterator[dict[str, Any]]:
        """All of them, or those with an ``outcome``, ``model``, ``source`` or ``search`` words."""
        return self.client.pages(f"{self.path}/comparisons", **filters)

    def change_comparisons(
        self,
        action: str,
        *,
        amount: int = 0,
        comparisons: list[int] | None = None,
        dry_run: bool = False,
        **filters: str,
    ) -> dict[str, Any]:
        """``priority`` by ``amount`` points, ``retire``, ``bring_back``, ``hand_out_again`` for
        ``amount`` further answers, or ``stop_asking`` for them: those with these ids, or all that
        ``filters`` find, 5,000 at most. How many are ``changed``, and how many are ``left`` for
        which reason."""
        body = {"action": action, "amount": amount, "dry_run": dry_run}
        body |= {"all": True} if comparisons is None else {"comparisons": comparisons}
        path = f"{self.path}/comparisons/changes"
        return dict(self.client.post(path, body, params=filters))

    def releases(self) -> Iterator[dict[str, Any]]:
        return self.client.pages(f"{self.path}/releases")

    def release(self, number: int) -> Release:
        """By the number that pages show. Raises FactLoopError (404) where there is none."""
        for about in self.releases():
            if about["number"] == number:
                return Release(self.client, about["id"])
        raise FactLoopError(404, {"title": f"{self.path} has no release {number}"})

    def make_release(self, **options: Any) -> Release:
        """Freezes what is decided now; ``policy``, ``seed``, ``held_out_share``."""
        made = self.client.post(f"{self.path}/releases", options)
        return Release(self.client, made["id"])

    def upload_image(self, data: bytes) -> str:
        """Stores a picture; its sha256 is how records name it."""
        return str(self.client.post(f"{self.path}/images", content=data)["sha256"])

    def add_comparisons(
        self,
        records: Iterable[dict[str, Any]],
        *,
        left_out: list[dict[str, Any]] | None = None,
    ) -> int:
        """Adds records (docs/labelling-protocol.md), MOST_RECORDS at a time; how many are new.

        With a list for ``left_out``, records that cannot be used are not refused but named there,
        each with its place among ``records`` (from 1) and the reason.
        """
        return self._add("comparisons", records, left_out)

    def add_prompts(
        self,
        records: Iterable[dict[str, Any]],
        *,
        left_out: list[dict[str, Any]] | None = None,
    ) -> int:
        """The same with prompts that have no responses yet."""
        return self._add("prompts", records, left_out)

    def _add(
        self, name: str, records: Iterable[dict[str, Any]], left_out: list[dict[str, Any]] | None
    ) -> int:
        kept, created = list(records), 0
        for start in range(0, len(kept), MOST_RECORDS):
            body: dict[str, Any] = {name: kept[start : start + MOST_RECORDS]}
            if left_out is not None:
                body["leave_out_unusable"] = True
            done = self.client.post(f"{self.path}/{name}", body)
            created += done["created"]
            if left_out is not None:
                left_out += [{**one, "line": one["line"] + start} for one in done["left_out"]]
        return created

    def import_files(
        self,
        format: str,
        records: Path | Sequence[Path],
        *,
        images: Path | None = None,
        captions: Path | None = None,
        wait_seconds: float = 600.0,
        **options: Any,
    ) -> dict[str, Any]:
        """Has a worker import files (one, or two side by side) and waits for the outcome.

        Raises FactLoopError when the files are refused, with a line for each fault, and
        TimeoutError when it takes longer than ``wait_seconds``.
        """
        paths = [records] if isinstance(records, Path) else list(records)
        given = dict(zip(("records", "second_records"), paths, strict=False))
        named = {**given, "images": images, "captions": captions}
        with ExitStack() as stack:
            files = {
                name: (path.name, stack.enter_context(path.open("rb")))
                for name, path in named.items()
                if path is not None
            }
            data = {"format": format, **options}
            job = self.client.post(f"{self.path}/imports", files=files, data=data)
        end = time.monotonic() + wait_seconds
        while job["state"] in ("queued", "running"):
            if time.monotonic() > end:
                raise TimeoutError(f"import {job['id']} is still {job['state']}")
            time.sleep(self.client.backoff_seconds)
            job = self.client.get(f"{self.path}/imports/{job['id']}")
        if job["state"] == "failed":
            problem = {"title": "The import was refused", "errors": job["problems"]}
            raise FactLoopError(422, problem)
        return dict(job)


class Release:
    """A frozen export: it says the same whenever it is asked."""

    def __init__(self, client: Client, id: int) -> None:
        self.client = client
        self.id = id
        self.path = f"releases/{id}"

    def about(self) -> dict[str, Any]:
        """Counts, agreement, policy and sha256."""
        return dict(self.client.get(self.path))

    def records(
        self, format: str = "llava_rlhf", *, split: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """The records of a format of JSON lines, as they come; ``split`` "train" or "held_out".

        A stream that breaks is asked for again and goes on where it stood.
        """
        for line in self._lines(format, split):
            yield json.loads(line)

    def _lines(self, format: str, split: str | None) -> Iterator[bytes]:
        wanted = {"format": format, **({"split": split} if split else {})}
        expected = self.about()["counts"][split or "preferences"] if format in COUNTED else None
        done = 0
        for attempt in range(1, self.client.attempts + 1):
            try:
                with self.client.stream(f"{self.path}/records", **wanted) as response:
                    for number, line in enumerate(_lines_of(response)):
                        if number >= done:
                            yield line
                            done += 1
                if expected is None or done == expected:
                    return
                raise Incomplete(f"{done} of {expected} records came")
            except (httpx.TransportError, FactLoopError, Incomplete) as error:
                hopeless = isinstance(error, FactLoopError) and error.status not in AGAIN
                if hopeless or attempt == self.client.attempts:
                    raise
            self.client.pause(attempt)

    def save(self, path: Path | str, format: str = "datasets") -> Path:
        """The release with its images as a zip (for "datasets" one that the library loads).

        The file appears under its name only when it is whole.
        """
        target = Path(path)
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        for attempt in range(1, self.client.attempts + 1):
            try:
                with (
                    self.client.stream(f"{self.path}/folder", format=format) as response,
                    part.open("wb") as file,
                ):
                    for chunk in response.iter_bytes():
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                _check_zip(part)
                break
            except (httpx.TransportError, FactLoopError, Incomplete) as error:
                part.unlink(missing_ok=True)
                hopeless = isinstance(error, FactLoopError) and error.status not in AGAIN
                if hopeless or attempt == self.client.attempts:
                    raise
            self.client.pause(attempt)
        part.replace(target)
        return target


def _lines_of(response: httpx.Response) -> Iterator[bytes]:
    """Whole lines, ended by a line feed and nothing else: texts hold other separators."""
    held = b""
    for chunk in response.iter_bytes():
        *lines, held = (held + chunk).split(b"\n")
        yield from lines
    if held:
        raise Incomplete("the last line has no end")


def _check_zip(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise Incomplete("the archive has no end")
