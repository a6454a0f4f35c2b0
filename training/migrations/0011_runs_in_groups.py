"""Runs have tags, notes, an archive and a group; each person has pins and columns of their own."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    filled_again = (("run", "group"),)  # by 0012, from what the run was asked
    dependencies = [
        ("training", "0010_doubts_of_runs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            "run",
            "archived_at",
            models.DateTimeField(
                blank=True, help_text="Lists leave it out; nothing else changes.", null=True
            ),
        ),
        migrations.AddField(
            "run",
            "group",
            models.CharField(
                default="",
                editable=False,
                help_text="What runs have in common that differ in the seed alone "
                "(training.runs.groups).",
                max_length=64,
            ),
        ),
        migrations.AddField("run", "notes", models.TextField(blank=True, default="")),
        migrations.AddField(
            "run",
            "tags",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=40), blank=True, default=list, size=None
            ),
        ),
        AddConstraintNotValid(
            "run",
            models.CheckConstraint(
                condition=models.Q(
                    ("archived_at", None),
                    ("state__in", ("succeeded", "failed", "cancelled", "lost")),
                    _connector="OR",
                ),
                name="run_archived_when_ended",
            ),
        ),
        migrations.CreateModel(
            "RunColumns",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("columns", models.JSONField(blank=True, default=list)),
                (
                    "person",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="run_columns",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"ordering": ["pk"]},
        ),
        migrations.CreateModel(
            "RunPin",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="run_pins",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pins",
                        to="training.run",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("person", "run"), name="run_pinned_once_a_person"
                    )
                ],
            },
        ),
    ]
