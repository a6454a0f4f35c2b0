"""Where the code lies: a checkout with its tests beside it, or packages that pip installed.

What is made while running never goes beside installed code: pip would leave it behind or lose it.
"""

from __future__ import annotations

import os
from pathlib import Path

CODE = Path(__file__).resolve().parent.parent
"""The folder that holds the packages."""
CHECKOUT = (CODE / "manage.py").exists() and (CODE / "pyproject.toml").exists()

# In a checkout these are links to its templates/, static/ and locale/, in a wheel they are folders.
TEMPLATES = Path(__file__).with_name("templates").resolve()
STATIC = Path(__file__).with_name("static").resolve()
LOCALE = Path(__file__).with_name("locale").resolve()

ANOTHER_FOLDER = "FACTLOOP_VAR names another folder for everything that is made while running"


def var_folder() -> Path:
    """The folder for everything that is made while running.

    FACTLOOP_VAR, or ``var`` in a checkout, or else ``factloop`` in the user's data folder. Where
    the user has none, the program ends with a sentence.
    """
    named = os.environ.get("FACTLOOP_VAR")
    if named:
        return Path(named)
    if CHECKOUT:
        return CODE / "var"
    try:
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    except RuntimeError:
        raise SystemExit(f"There is no home folder to keep data in. {ANOTHER_FOLDER}") from None
    return Path(data) / "factloop"


def made_var_folder() -> Path:
    """The same, made and open to writing; where it cannot be, the program ends with a sentence."""
    folder = var_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"{folder} cannot be made: {error}. {ANOTHER_FOLDER}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SystemExit(f"{folder} cannot be written to. {ANOTHER_FOLDER}")
    return folder
