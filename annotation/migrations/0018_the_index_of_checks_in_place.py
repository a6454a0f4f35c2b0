"""The index of 0017, made while people label; dropped first where an interrupted try left half of it."""

from django.db import migrations, models

DROP = 'DROP INDEX CONCURRENTLY IF EXISTS "assignment_shows_check"'
CREATE = (
    'CREATE INDEX CONCURRENTLY "assignment_shows_check" ON "annotation_assignment" ("shows_id") '
    "WHERE "
    '"shows_id" IS NOT NULL'
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("annotation", "0017_checks_stand_in_for_work")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL([DROP, CREATE], [DROP])],
            state_operations=[
                migrations.AddIndex(
                    model_name="assignment",
                    index=models.Index(
                        condition=models.Q(("shows__isnull", False)),
                        fields=["shows"],
                        name="assignment_shows_check",
                    ),
                ),
            ],
        )
    ]
