"""The runs there are get their groups, and lists of runs their indexes, while people go on.

The key is reckoned as ``training.runs.groups`` did when this was written. Models of runs are looked
up by id, since a model is made before the run that takes it; doing it again changes nothing.
"""

import hashlib
import json

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models

MADE = {"sft": "policy", "ppo": "policy", "dpo": "policy", "reward": "reward_model"}
TAKEN = {
    "sft": {"policy"},
    "dpo": {"policy"},
    "sample": {"policy"},
    "evaluation": {"policy"},
    "ppo": {"policy", "reward_model"},
    "score": {"reward_model"},
    "score_comparisons": {"reward_model"},
    "reward_evaluation": {"reward_model"},
    "report_card": {"reward_model"},
}
PORTION = 500


def number(text):
    value = float(text)
    return int(value) if value.is_integer() else value


def digest(asked):
    plain = json.loads(json.dumps(asked), parse_float=number)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def source(run, name):
    given = getattr(run, name)
    if given is not None:
        return given.run.group if given.run is not None else given.pk
    ancestor = run.after if name in TAKEN.get(run.kind, ()) else None
    while ancestor is not None:
        if MADE.get(ancestor.kind) == name:
            return ancestor.group
        ancestor = ancestor.after
    return None


def fill(apps, editor):
    runs = apps.get_model("training", "Run").objects.using(editor.connection.alias)
    done = 0
    while True:
        rows = runs.filter(pk__gt=done, group="").order_by("pk")[:PORTION]
        # What a run is made from is read when its turn comes: it may stand in the same portion.
        found = list(rows)
        if not found:
            return
        for run in found:
            sources = [source(run, name) for name in ("policy", "reward_model")]
            run.group = digest(
                [
                    *(run.kind, run.project_id, run.release_id, run.base_id),
                    *(run.settings, run.model, run.options),
                    *sources,
                ]
            )
            runs.filter(pk=run.pk).update(group=run.group)
        done = found[-1].pk


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("training", "0011_runs_in_groups")]

    operations = [
        ValidateConstraint("run", "run_archived_when_ended"),
        migrations.RunPython(fill, migrations.RunPython.noop),
        AddIndexConcurrently(
            "run",
            models.Index(
                condition=models.Q(("archived_at__isnull", True)),
                fields=["-created_at", "-id"],
                name="run_listed_by_age",
            ),
        ),
        AddIndexConcurrently("run", models.Index(fields=["group", "seed"], name="run_of_group")),
        AddIndexConcurrently("run", GinIndex(fields=["tags"], name="run_by_tag")),
    ]
