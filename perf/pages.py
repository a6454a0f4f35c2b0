"""What it costs to open FactLoop: queries and bytes of each page, and the start of each process.

    python -m perf.pages [--pages-only]

Pages are those of ``tests.browser.screenshots``, on a database of its own, each asked for twice:
the second answer is measured. Bytes are those of the page before and after compression, as it is
sent, and those of all pictures that it names, as a browser fetches them; static files are measured
as an installation sends them, compressed.
"""

from __future__ import annotations

import argparse
import gzip
import html
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

STARTS = 3
PROCESSES = {
    "web: the site, ready to be forked": "import config.wsgi",
    "worker: Celery with all tasks": (
        "from config.celery import app; import django; django.setup();"
        "app.loader.import_default_modules()"
    ),
    "command: factloop --version": "import config.command",
}


@dataclass(frozen=True)
class Opened:
    name: str
    queries: int
    milliseconds: float
    page_bytes: int
    sent_bytes: int
    picture_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages-only", action="store_true", help="start no process")
    only_pages = parser.parse_args().pages_only
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    if not only_pages:
        for line in starts():
            print(line, flush=True)
    print(*static_table(), sep="\n", flush=True)
    pages = sorted(opened(), key=lambda one: (-one.queries, -one.page_bytes))
    print(f"\n{'page':44}{'queries':>8}{'ms':>8}{'bytes':>9}{'sent':>8}{'pictures':>10}")
    for one in pages:
        sizes = f"{one.page_bytes:>9}{one.sent_bytes:>8}{one.picture_bytes:>10}"
        print(f"{one.name:44}{one.queries:>8}{one.milliseconds:>8.1f}{sizes}")
    most, largest = pages[0], max(pages, key=weight)
    slowest = max(pages, key=lambda one: one.milliseconds)
    print(f"most queries: {most.name} ({most.queries})", end="; ")
    print(f"largest: {largest.name} ({weight(largest)} bytes)", end="; ")
    print(f"slowest: {slowest.name} ({slowest.milliseconds:.0f} ms)")


def weight(page: Opened) -> int:
    return page.sent_bytes + page.picture_bytes


def starts() -> Iterator[str]:
    """Seconds from the start of an interpreter to where it could serve; files are in memory."""
    yield f"{'start-up, median of ' + str(STARTS):44}{'seconds':>8}{'processor':>11}"
    for name, code in PROCESSES.items():
        wall, processor = [], []
        for _ in range(STARTS + 1):
            before, began = os.times(), time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            after = os.times()
            wall.append(time.perf_counter() - began)
            processor.append(
                after.children_user
                + after.children_system
                - before.children_user
                - before.children_system
            )
        yield f"{name:44}{median(wall[1:]):>8.2f}{median(processor[1:]):>11.2f}"


def static_table() -> Iterator[str]:
    """Every file of ours that some page loads, as it lies and as it is sent."""
    from config.places import STATIC

    yield f"\n{'static file':44}{'bytes':>8}{'sent':>8}"
    total = sent = 0
    for path in sorted(STATIC.rglob("*")):
        if path.suffix in (".css", ".js", ".svg", ".woff2"):
            data = path.read_bytes()
            small = len(data) if path.suffix == ".woff2" else len(gzip.compress(data, 9))
            total, sent = total + len(data), sent + small
            yield f"{path.relative_to(STATIC)!s:44}{len(data):>8}{small:>8}"
    yield f"{'all of them':44}{total:>8}{sent:>8}"


def opened() -> list[Opened]:
    from django.test.runner import DiscoverRunner
    from django.test.utils import override_settings, setup_test_environment

    from config import embedded
    from tests.browser import benchmark_world, screenshots, training_pages

    embedded.start_if_needed()
    setup_test_environment(debug=False)
    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    try:
        with tempfile.TemporaryDirectory() as storage, override_settings(MEDIA_ROOT=storage):
            manager, annotator, full, empty = screenshots.fill()
            board = benchmark_world.fill(full, manager, Path(storage))
            shown: dict[str, tuple[str, str]] = screenshots.pages(full, empty, annotator)
            shown |= {f"benchmark-{name}": ("manager", path) for name, path in board.items()}
            trained = training_pages.pages(training_pages.fill(full, manager, groups=12, seeds=5))
            shown |= {name: ("manager", path) for name, path in trained.items()}
            people = {"manager": manager, "annotator": annotator}
            return [
                ask(name, people.get(who), path)
                for name, (who, path) in shown.items()
                if who in people
            ]
    finally:
        runner.teardown_databases(databases)


def ask(name: str, person: Any, path: str) -> Opened:
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client()
    client.force_login(person)
    client.get(path)
    began = time.perf_counter()
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(path, headers={"Accept-Encoding": "gzip"})
    milliseconds = 1000 * (time.perf_counter() - began)
    asked = len(queries)  # the next request forgets them
    sent = body_of(answer)
    page = gzip.decompress(sent) if answer.get("Content-Encoding") == "gzip" else sent
    pictures = {html.unescape(one) for one in re.findall(r'<img[^>]* src="(/[^"]+)"', str(page))}
    fetched = sum(len(body_of(client.get(one))) for one in pictures)
    return Opened(name, asked, milliseconds, len(page), len(sent), fetched)


def body_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


if __name__ == "__main__":
    main()
