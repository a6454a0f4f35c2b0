"""Which code this is, as it is written into what the code makes."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

from config.places import CHECKOUT, CODE
from factloop import __version__

GIT_SECONDS = 5


@cache
def code_version() -> str:
    """For example "0.1.0 (3f1e6df)", with "-dirty" where files were changed since that commit.

    An image without the repository is told its commit by CODE_VERSION.
    """
    commit = os.environ.get("CODE_VERSION", "") or (_commit(CODE) if CHECKOUT else "")
    return f"{__version__} ({commit})" if commit else __version__


def _commit(checkout: Path) -> str:
    if not (checkout / ".git").exists():
        return ""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--tags"]
    try:
        said = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip()
