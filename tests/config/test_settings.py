"""Settings fail loudly: each case starts a real interpreter with its own environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = {
    "DATABASE_URL": "postgres://user:secret@db/factloop",
    "REDIS_URL": "redis://redis",
    "SECRET_KEY": "k" * 60 + "abcdefgh",
    "ALLOWED_HOSTS": "lab.example",
}


def evaluate(expression: str, **variables: str) -> subprocess.CompletedProcess[str]:
    code = f"from config import settings; print({expression})"
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**kept, **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS"])
def test_an_installation_names_what_is_missing(missing, tmp_path):
    variables = {name: value for name, value in INSTALLED.items() if name != missing}
    done = evaluate("1", FACTLOOP_VAR=str(tmp_path), **variables)
    assert done.returncode != 0
    assert f"{missing} must be set" in done.stderr


@pytest.mark.parametrize(
    "key", ["k", "build", "k" * 80, "django-insecure-" + "abcdefgh" * 10, "abcdefgh" * 6]
)
def test_a_key_that_can_be_guessed_serves_nothing(key, tmp_path):
    """Neither an installation nor a private one: web, workers and commands read these settings."""
    variables = {**INSTALLED, "DATABASE_URL": ""} if key == "k" else INSTALLED
    done = evaluate("1", **{**variables, "FACTLOOP_VAR": str(tmp_path), "SECRET_KEY": key})
    assert done.returncode != 0
    assert "SECRET_KEY is too weak" in done.stderr


def test_two_private_installs_have_different_secret_keys(tmp_path):
    keys = {
        evaluate("settings.SECRET_KEY", FACTLOOP_VAR=str(tmp_path / name)).stdout
        for name in ("one", "one", "two")
    }
    assert len(keys) == 2
    assert (tmp_path / "one" / "secret-key").stat().st_mode & 0o077 == 0


def test_an_installation_uses_secure_cookies_and_https(tmp_path):
    done = evaluate(
        "settings.SESSION_COOKIE_SECURE, settings.SECURE_SSL_REDIRECT, settings.DEBUG",
        FACTLOOP_VAR=str(tmp_path),
        **INSTALLED,
    )
    assert done.stdout.strip() == "True True False"


def test_check_deploy_has_no_warning(tmp_path):
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={**kept, **INSTALLED, "FACTLOOP_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
