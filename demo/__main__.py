"""``python -m demo``: once round the loop on the small world, then the dashboard.

Everything is real but the people and the pictures: the site under gunicorn, Celery workers, the
engine as a process of its own, the REST API under the simulated annotators.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--serve", type=int, choices=[0, 1], default=1, help="0: end at the table")
    parser.add_argument("--site", default="127.0.0.1:8000", help="where the dashboard listens")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another small world")
    arguments = parser.parse_args()

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    signal.signal(signal.SIGTERM, _interrupt)

    from config import serving

    serving.refuse_taken_address(arguments.site)
    # Also because the end of a demo is the end of the private servers.
    with serving.alone():
        return _go_round(arguments)


def _go_round(arguments: argparse.Namespace) -> int:
    from demo.console import Console

    console = Console()
    console.stage("Starting Postgres, Valkey, the site and a worker")
    from config import embedded

    embedded.start_or_say()
    import django

    django.setup()
    from demo.installation import installation
    from demo.loop import run_loop
    from demo.processes import ProcessDied

    try:
        with installation(arguments.site, folder=embedded.var_folder() / "demo") as site:
            run_loop(site, console, seed=arguments.seed)
            if arguments.serve:
                console.line(f"The dashboard runs at {site.url}/benchmarks/")
                console.line(f"Log in as {site.admin} with the password {site.password}")
                console.line("Ctrl-C stops it; `make serve` starts it again, with the same data.")
                site.wait()
            else:
                console.line("`make serve` shows it all in the browser; for its log-in, first")
                console.line(f".venv/bin/python manage.py changepassword {site.admin}")
    except KeyboardInterrupt:
        console.line("stopped")
        return 0 if console.finished else 130
    except ProcessDied as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    finally:
        if not os.environ.get("DATABASE_URL"):
            embedded.stop_valkey(Path(embedded.var_folder()))
            embedded.stop_postgres(Path(embedded.var_folder()))
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
