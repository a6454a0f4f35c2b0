"""An index of judgments with corrections, made while people label; dropped first where an interrupted
try left half of it."""

from django.db import migrations, models

DROP = 'DROP INDEX CONCURRENTLY IF EXISTS "judgment_corrected"'
CREATE = (
    'CREATE INDEX CONCURRENTLY "judgment_corrected" ON "annotation_judgment" ("comparison_id") '
    "WHERE NOT (\"corrections\" = '[]'::jsonb)"
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("annotation", "0021_corrections")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL([DROP, CREATE], [DROP])],
            state_operations=[
                migrations.AddIndex(
                    model_name="judgment",
                    index=models.Index(
                        condition=models.Q(("corrections", []), _negated=True),
                        fields=["comparison"],
                        name="judgment_corrected",
                    ),
                ),
            ],
        )
    ]
