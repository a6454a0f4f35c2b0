"""Which code this is, as it is written into what the code makes."""

from __future__ import annotations

import os
import subprocess
import tomllib
from functools import cache
from importlib import metadata

from django.conf import settings

GIT_SECONDS = 5


@cache
def code_version() -> str:
    """For example "0.1.0 (3f1e6df)", with "-dirty" where files were changed since that commit.

    An image without the repository is told its commit by CODE_VERSION.
    """
    package = _package()
    commit = os.environ.get("CODE_VERSION", "") or _commit()
    return f"{package} ({commit})" if commit else package


def _package() -> str:
    try:
        return metadata.version("factloop")
    except metadata.PackageNotFoundError:  # run from a folder that nobody installed
        described = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())
        return str(described["project"]["version"])


def _commit() -> str:
    if not (settings.BASE_DIR / ".git").exists():
        return ""
    command = ["git", "-C", str(settings.BASE_DIR), "describe", "--always", "--dirty", "--tags"]
    try:
        said = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip()
