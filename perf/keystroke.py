"""Keystroke to next comparison painted, in a real browser against gunicorn and Postgres.

    python -m perf.keystroke [--comparisons 100] [--pause 1.0] [--size 2400x1600] [--images DIR]

Each comparison has a photograph of its own: drawn ones of ``--size``, or those of a folder. The
browser answers one after the other by key, ``--pause`` seconds after the comparison before was
painted, as nobody reads two answers in less. Two figures, because each misses something:

- painted: from the time of the key event to the second animation frame after the comparison
  changed. The frame between holds the picture, which is decoded synchronously.
- presented: the browser's own Event Timing of the key, up to the frame on the screen. It is
  rounded to 8 ms and leaves out what takes less than 16 ms, which is counted as 16 ms.

Also printed is how often the next comparison was not ready. Without DATABASE_URL a scratch
Postgres is started and removed again.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

FASTEST_REPORTED_MS = 16
WATCH = """
window.painted = []; window.presented = {}; window.late = 0;
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) {
    if (one.name === "keydown") window.presented[one.startTime] = one.duration;
  }
}).observe({ type: "event", durationThreshold: 16, buffered: true });
addEventListener("DOMContentLoaded", () => {
  const holder = document.getElementById("task-holder");
  let pressed = 0;
  addEventListener("keydown", (event) => (pressed = event.timeStamp), true);
  new MutationObserver(() => {
    if (holder.hasAttribute("aria-busy")) window.late += 1;
    const token = holder.querySelector("[data-task]")?.dataset.task;
    if (!pressed || !token || token === window.token) return;
    const began = pressed;
    window.token = token;
    requestAnimationFrame(() => requestAnimationFrame((now) => {
      window.painted.push([began, Math.max(now, performance.now()) - began]);
    }));
  }).observe(holder, { childList: true, attributes: true, attributeFilter: ["aria-busy"] });
});
"""


def main() -> None:
    options = _options()
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    with tempfile.TemporaryDirectory(prefix="keystroke-") as folder:
        private = "DATABASE_URL" not in os.environ
        if private:
            os.environ["FACTLOOP_VAR"] = folder
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        from config import embedded

        django.setup()
        try:
            embedded.start_if_needed()
            _run(options)
        finally:
            if private:
                subprocess.run([sys.executable, "-m", "config.embedded", "stop"], check=True)


def _run(options: argparse.Namespace) -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    slug, cookie = _project(options)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://localhost:{port}"
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}"]
    command += ["--workers", "2", "--threads", "4", "--log-level", "warning"]
    server = subprocess.Popen(command)
    try:
        _wait_for(port)
        _label(options, f"{address}/projects/{slug}/label/", {**cookie, "url": address})
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not start")


def _label(options: argparse.Namespace, address: str, cookie: Any) -> None:
    from playwright.sync_api import sync_playwright

    from tests.browser import chromium

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.add_cookies([cookie])
        context.add_init_script(WATCH)
        page = context.new_page()
        page.goto(address, wait_until="networkidle")
        for number in range(options.comparisons - 1):
            page.wait_for_timeout(1000 * options.pause)
            page.keyboard.press("12"[number % 2])
            page.wait_for_function("(count) => painted.length >= count", arg=number + 1)
        page.wait_for_timeout(1000)
        painted, presented, late = page.evaluate("[painted, presented, late]")
        browser.close()
    _report([ms for _, ms in painted], [_presented(presented, at) for at, _ in painted], late)


def _presented(presented: dict[str, float], at: float) -> float:
    near = [ms for key, ms in presented.items() if abs(float(key) - at) < 1]
    return max(near, default=FASTEST_REPORTED_MS)


def _report(painted: list[float], presented: list[float], late: int) -> None:
    for name, taken in (("painted", painted), ("presented", presented)):
        p95 = statistics.quantiles(taken, n=100)[94]
        print(
            f"{name:9} {len(taken)} keys: median {statistics.median(taken):.0f} ms, "
            f"p95 {p95:.0f} ms, most {max(taken):.0f} ms"
        )
    print(f"the next comparison was not ready {late} times")


def _project(options: argparse.Namespace) -> tuple[str, dict[str, str]]:
    """A project with comparisons and one annotator; its slug and the annotator's session."""
    from django.conf import settings
    from django.test import Client

    from annotation.models import Comparison, Membership, Project, Prompt, User

    project = Project.objects.create(
        slug=f"keys-{time.time_ns()}", name="Photographs", judgments_per_comparison=1
    )
    for number, data in zip(range(options.comparisons), _photographs(options), strict=False):
        prompt = Prompt.objects.create(
            project=project,
            external_id=str(number),
            image=_stored(data),
            conversation=[{"from": "human", "value": "<image>\nDescribe the picture in detail."}],
            content_sha256="0" * 64,
        )
        Comparison.objects.create(
            project=project,
            prompt=prompt,
            external_id=str(number),
            response_1="A wide street lies between two rows of old houses. " * 12,
            response_2="Three people stand beside a red car near the river. " * 12,
            wanted_judgments=1,
            open_slots=1,
            content_sha256="0" * 64,
        )
    user = User.objects.create(username=project.slug)
    Membership.objects.create(project=project, user=user)
    client = Client()
    client.force_login(user)
    morsel = client.cookies[settings.SESSION_COOKIE_NAME]
    return project.slug, {"name": morsel.key, "value": morsel.value}


def _photographs(options: argparse.Namespace) -> Iterator[bytes]:
    """JPEGs, each with other bytes; drawn ones have the grain that makes photographs large."""
    from PIL import Image, ImageChops, ImageFilter

    if options.images:
        yield from (path.read_bytes() for path in sorted(options.images.iterdir()))
        return
    width, height = (int(part) for part in options.size.split("x"))
    shapes = Image.effect_noise((width // 40, height // 40), 120).resize((width, height))
    grain = Image.effect_noise((width, height), 24).filter(ImageFilter.GaussianBlur(1))
    base = Image.merge("RGB", [shapes, grain, ImageChops.blend(shapes, grain, 0.5)])
    for number in range(options.comparisons):
        data = io.BytesIO()
        ImageChops.offset(base, 37 * number, 23 * number).save(data, "JPEG", quality=88)
        if number == 0:
            print(f"photographs of {width} x {height}, {len(data.getvalue()) / 1e6:.1f} MB each")
        yield data.getvalue()


def _stored(data: bytes) -> Any:
    from django.core.files.base import ContentFile
    from PIL import Image as Picture

    from annotation.models import Image

    with Picture.open(io.BytesIO(data)) as picture:
        width, height = picture.size
    digest = hashlib.sha256(data).hexdigest()
    image = Image(
        sha256=digest, original_sha256=digest, width=width, height=height, bytes=len(data),
        format=Image.Format.JPEG,
    )  # fmt: skip
    image.file.save("", ContentFile(data), save=False)
    image.save()
    return image


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--comparisons", type=int, default=100)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds of reading")
    parser.add_argument("--size", default="2400x1600")
    parser.add_argument("--images", type=Path, help="a folder of JPEGs instead of drawn ones")
    return parser.parse_args()


if __name__ == "__main__":
    main()
