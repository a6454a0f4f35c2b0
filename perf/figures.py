"""What a project's pages cost when it is large: counting its figures, and the pages that show them.

    python -m perf.figures [--comparisons 1000000] [--votes 3] [--annotators 100]

On a scratch Postgres, which is removed again; comparisons are filled in by COPY and answered by one
statement, spread over sixty days. Printed are the seconds of counting all figures, of counting them
again with nothing changed, and of each page, the median of five.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import django

# Everybody answers every so-manieth comparison; one in eight answers is a tie.
ANSWER = """
WITH given AS (
    INSERT INTO annotation_assignment (project_id, comparison_id, annotator_id, token, state,
        purpose, shown_first, skip_reason, skip_note, leased_at, expires_at, ended_at)
    SELECT %(project)s, comparison.id, people.ids[1 + (comparison.id * 7 + vote) %% %(people)s],
           gen_random_uuid(), 'judged', 'work', 1 + (comparison.id + vote) %% 2, '', '', moment,
           moment, moment
    FROM annotation_comparison AS comparison
    CROSS JOIN generate_series(1, %(votes)s) AS vote
    CROSS JOIN (SELECT array_agg(user_id) AS ids FROM annotation_membership
                WHERE project_id = %(project)s AND role = 'annotator') AS people
    CROSS JOIN LATERAL (SELECT now() - (comparison.id %% 60) * interval '1 day' AS moment) AS spread
    WHERE comparison.project_id = %(project)s
    RETURNING id, comparison_id, leased_at
)
INSERT INTO annotation_judgment (assignment_id, comparison_id, version, surplus, created_at,
    changed_at, more_hallucinated, more_helpful, spans, confidence, note, active_seconds)
SELECT id, comparison_id, 1, false, leased_at, leased_at, said, helpful, '[]', NULL, '', 20
FROM given CROSS JOIN LATERAL (
    SELECT CASE WHEN id %% 8 = 0 THEN 'tie' WHEN id %% 3 = 0 THEN '1' ELSE '2' END AS said,
           CASE WHEN id %% 8 = 0 THEN '1' ELSE '' END AS helpful
) AS answer
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--comparisons", type=int, default=1_000_000)
    parser.add_argument("--votes", type=int, default=3)
    parser.add_argument("--annotators", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="figures-") as folder:
        os.environ.pop("DATABASE_URL", None)
        os.environ["FACTLOOP_VAR"] = folder
        Path(folder).chmod(0o755)  # So that Postgres's own user may keep its files there.
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        os.environ.setdefault("LOG_LEVEL", "ERROR")
        django.setup()
        try:
            _measure(options)
        finally:
            subprocess.run([sys.executable, "-m", "config.embedded", "stop"], check=True)


def _measure(options: argparse.Namespace) -> None:
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client

    from annotation.models import Membership, Project, User
    from annotation.quality import figures
    from config import embedded
    from perf import labelling_site

    embedded.start_if_needed()
    call_command("migrate", verbosity=0)
    slug, _ = labelling_site.fill_project(
        comparisons=options.comparisons, annotators=options.annotators, judgments=options.votes
    )
    project = Project.objects.get(slug=slug)
    values = {"project": project.pk, "votes": options.votes, "people": options.annotators}
    with connection.cursor() as cursor:
        cursor.execute(ANSWER, values)
        cursor.execute("ANALYZE")
    votes = options.comparisons * options.votes
    print(f"{options.comparisons:,} comparisons, {votes:,} votes", flush=True)
    for name in ("counting all figures", "counting them again"):
        print(f"{name:24} {_seconds(lambda: figures.refresh(project)):8.2f} s", flush=True)
    reviewer = User.objects.create_user("reviewer")
    Membership.objects.create(project=project, user=reviewer, role="reviewer")
    client = Client(headers={"host": "localhost"})
    client.force_login(reviewer)
    worker = Membership.objects.filter(project=project, role="annotator").earliest("pk").user_id
    for page in ("", "quality/", f"people/{worker}/"):
        path = f"/projects/{slug}/{page}"
        times = [_seconds(lambda path=path: client.get(path)) for _ in range(5)]
        shown = page.replace(str(worker), "…") or "overview"
        print(f"{shown:24} {statistics.median(times) * 1000:8.0f} ms", flush=True)


def _seconds(act: object) -> float:
    assert callable(act)
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
