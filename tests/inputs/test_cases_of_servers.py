"""Judges, proxies and storages as others behave: the programs of the cases, and what is right.

Skipped where the cases are not.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from django.conf import settings as live_settings
from django.core.management import CommandError, call_command
from django.db import connection

from benchmark.models import Evaluation
from tests.shared import shared_data

PATIENCE_SECONDS = 60


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


@contextmanager
def running(*command: str, port: int, **variables: str) -> Iterator[None]:
    """A program that listens on ``port`` of this machine."""
    environment = {**os.environ, **variables}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            while not _listens(port):
                assert process.poll() is None, command
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE_SECONDS)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def django_of_the_test() -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "tests.annotation.web_settings",
        "TEST_DATABASE": connection.settings_dict["NAME"],
        "PYTHONPATH": str(live_settings.BASE_DIR),
    }


# --- 08: judges ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judges() -> Iterator[str]:
    program = shared_data("cases", "08-judge-replies", "fake_judge.py")
    port = free_port()
    with running(sys.executable, str(program), str(port), port=port):
        yield f"http://127.0.0.1:{port}"


# What a judge makes of two answers: the state, the rating, words of why there is none, and how
# often it is asked. "max_tokens" is the option that helps.
JUDGES = {
    "good": ("complete", 5, "", 2),
    "orphan-closing-tag": ("complete", 1, "", 2),
    "orphan-closing-tag-bare-verdict": ("complete", 1, "", 2),
    "harmony": ("complete", 1, "", 2),
    "cut-off-without-opening-tag": ("incomplete", None, "max_tokens", 2),
    "cut-off-with-opening-tag": ("incomplete", None, "max_tokens", 2),
    "empty-length": ("incomplete", None, "max_tokens", 2),
    "null-content-reasoning": ("incomplete", None, "max_tokens", 2),
    "asks-for-the-answer": ("incomplete", None, "Please provide the response", 2),
    "refuses": ("incomplete", None, "I can't help with that", 2),
    "context-too-long": ("incomplete", None, "maximum context length is 4096", 2),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", JUDGES)
def test_a_judge_of_this_kind_gives_what_is_right(name, judges):
    evaluation, asked = judged(name, judges)
    state, rating, words, times = JUDGES[name]
    assert (evaluation.state, asked) == (state, times)
    for verdict in evaluation.verdicts():
        assert verdict.rating == rating
        assert words in verdict.text and '{"error"' not in verdict.text
        assert verdict.tokens == (0 if name == "context-too-long" else 1924)


@pytest.mark.django_db
def test_a_judge_that_refuses_an_option_ends_the_evaluation_and_says_which_helps(judges):
    evaluation, asked = judged("gpt-5-like", judges)
    assert (evaluation.state, asked) == ("failed", 1)
    assert "'max_tokens' is not supported with this model" in evaluation.error
    assert '--options \'{"max_tokens": null, "max_completion_tokens": 4096}\'' in evaluation.error
    evaluation, _ = judged(
        *("gpt-5-like", judges, "with options"),
        '{"max_tokens": null, "temperature": null, "max_completion_tokens": 4096}',
    )
    assert evaluation.state == "complete"
    assert [verdict.rating for verdict in evaluation.verdicts()] == [5, 5]


def judged(model, judges, name="judge", options="{}"):
    """By the commands of the case, and how often the judge was asked."""
    case = shared_data("cases", "07-mmhal-one-empty-answer")
    full = str(case / "full.json")
    call_command("import_questions", "mmhal", full, images=case / "images")
    address = ("--base-url", f"{judges}/v1", "--model", model, "--concurrency", "1")
    call_command("create_judge", name, *address, "--options", options)
    before = httpx.get(f"{judges}/count").json().get(model, 0)
    with contextlib.suppress(CommandError):  # it repeats what the evaluation says
        call_command("import_answers", "MMHal-Bench", full, model="m", judge=name, wait=True)
    asked = httpx.get(f"{judges}/count").json()[model] - before
    return Evaluation.objects.get(judge__name=name), asked


# --- 28: proxies --------------------------------------------------------------------------------

# What the site answers to each request of the case.
PROXIED = [
    ("1 one proxy", "200"),
    ("2 Cloudflare", "301"),  # no browser, whose loop is broken (tests/config/test_proxies.py)
    ("3 two proxies", "200"),
    ("4 the header's name", "301"),  # documented in docs/deployment.md
    ("5 log-in through", "200"),
    ("6 site on port 8443", "403"),
    ("7 the same", "200"),
    ("8 Origin: null", "403"),
    ("9 X-Forwarded-For with a port", "200"),
]


@pytest.fixture
def proxied(tmp_path, transactional_db) -> Iterator[tuple[str, dict[str, str]]]:
    """The site as behind a proxy, and the variables of programs beside it."""
    port = free_port()
    told = {"HTTPS": "true", "BEHIND_PROXY": "true", "ALLOWED_HOSTS": "labels.example.org"}
    variables = {**django_of_the_test(), **told}
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}"]
    with running(*command, "--workers", "1", port=port, **variables):
        yield f"http://127.0.0.1:{port}", variables


def test_the_requests_of_proxies_are_answered(proxied, tmp_path):
    address, variables = proxied
    folder = shared_data("cases", "28-proxy-headers")
    (tmp_path / "TMP").mkdir()
    said = output("bash", str(folder / "requests.sh"), address, cwd=tmp_path, **variables)
    lines = [line for line in said.splitlines() if line.strip()]
    for asked, answered in zip(lines[::2], lines[1::2], strict=True):
        beginning, status = next(one for one in PROXIED if asked.startswith(one[0]))
        assert answered.startswith(status), f"{beginning}: {answered}"
    assert "CSRF_TRUSTED_ORIGINS" in (tmp_path / "TMP" / "requests.out").read_text()
    program = tmp_path / "port_in_forwarded_for.py"
    source = (folder / "port_in_forwarded_for.py").read_text()
    program.write_text(source.replace("http://127.0.0.1:8302", address))
    said = output(sys.executable, str(program), cwd=live_settings.BASE_DIR, **variables)
    owners = [line for line in said.splitlines() if "owner from another address" in line]
    assert [line.split()[0] for line in owners] == ["plain", "port", "v6port"]
    for line in owners:
        assert "11th: (429" in line and "password: (302, '/projects/')" in line


def output(*command: str, cwd: Path, **variables: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.stdout.decode()


# --- 29: storages -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["good", "raw", "reject-checksum", "head-403"])
def test_a_storage_of_this_kind(mode, tmp_path, transactional_db):
    folder = shared_data("cases", "29-s3-like-storages")
    port, tls = free_port(), []
    scheme = "http"
    if mode == "raw":
        output(*CERTIFICATE.split(), cwd=tmp_path)
        tls, scheme = [str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")], "https"
    variables = {
        **django_of_the_test(),
        **{"S3_BUCKET": "bucket", "S3_ENDPOINT_URL": f"{scheme}://127.0.0.1:{port}"},
        **{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
        **{"AWS_DEFAULT_REGION": "us-east-1", "TMPDIR": str(tmp_path)},
        **({"AWS_CA_BUNDLE": tls[0]} if tls else {}),
    }
    program = [sys.executable, str(folder / "fake_s3.py"), mode, str(port), *tls]
    with running(*program, port=port):
        said = output(
            *(sys.executable, str(folder / "import_and_read_back.py"), "some-slug"),
            cwd=live_settings.BASE_DIR,
            **variables,
        )
    if mode == "head-403":
        assert "the keys may not use the bucket" in said and "s3:ListBucket" in said
        assert "import -> EXC django.core.management.base.CommandError nothing was imp" in said
        return
    assert "3 created" in said and "EXC" not in said
    assert said.count(", True, b'\\x89PNG") == 3
    assert "image page -> (200, 'image/png'" in said
    assert "exported image bytes -> [(" in said


CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 3650 "
    "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
)
