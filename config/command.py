"""The command ``factloop``: the site, the demo, the engine and imports, with or without a checkout.

Words of the engine and of Django's commands are handed on as they are, so that each option is
described once, by the program that takes it: ``factloop train --help``, ``factloop manage help``.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable

from factloop import __version__

USAGE = """\
usage: factloop COMMAND ...

  serve [--site HOST:PORT]      the site with its workers, on this machine's data
  demo [--serve 0|1]            once round the loop on a small world, then the dashboard
  import PROJECT FILE ...       read pairs into a project (all options: factloop import --help)
  train KIND --run-dir DIR ...  the engine alone, without a database (factloop train --help)
  manage COMMAND ...            any other command of the site (factloop manage help)
  stop                          end the private Postgres and Valkey; data is kept
  --version

What is made while running lies in {var} (FACTLOOP_VAR names another folder).
The engine needs its extra: pip install "factloop[engine]".
"""


def main() -> int:
    words = sys.argv[1:]
    if words[:1] == ["--version"]:
        print(f"factloop {__version__}")
        return 0
    if not words or words[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0
    command = COMMANDS.get(words[0])
    if command is None:
        print(f"factloop: there is no command {words[0]!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    return command(words[1:])


def serve(words: list[str]) -> int:
    from config.serving import main as serving

    return serving(words)


def demo(words: list[str]) -> int:
    return _needs_engine() or _module("demo", "factloop demo", words)


def train(words: list[str]) -> int:
    return _needs_engine() or _module("training.rlhf", "factloop train", words)


def import_pairs(words: list[str]) -> int:
    return manage(["import_comparisons", *words])


def manage(words: list[str]) -> int:
    from config.management import execute

    execute(["factloop manage", *words])
    return 0


def stop(words: list[str]) -> int:
    return _module("config.embedded", "factloop stop", ["stop", *words])


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "serve": serve,
    "demo": demo,
    "import": import_pairs,
    "train": train,
    "manage": manage,
    "stop": stop,
}


def _usage() -> str:
    from config.places import var_folder

    try:
        return USAGE.format(var=var_folder())
    except SystemExit:
        return USAGE.format(var="no folder, as you have no home")


def _needs_engine() -> int:
    from importlib.util import find_spec

    if find_spec("torch") is not None:
        return 0
    print('The engine is not installed: pip install "factloop[engine]"', file=sys.stderr)
    return 1


def _module(name: str, called: str, words: list[str]) -> int:
    """``python -m NAME``, but for the folder it is called in: that may hold a ``config`` too."""
    sys.argv = [called, *words]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    runpy.run_module(name, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
