"""Comparisons can be taken out, and people be asked about them again.

Going back, what is taken out is decided by the label it has, or waits with the votes it has.
"""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

BRING_BACK = """
UPDATE annotation_comparison AS comparison
SET outcome = CASE
        WHEN preference IS NOT NULL THEN 'decided'
        WHEN wanted_judgments = 0 OR judgment_count >= project.max_judgments THEN 'undecided'
        ELSE 'waiting' END,
    open_slots = CASE WHEN preference IS NOT NULL OR wanted_judgments = 0 THEN 0
        ELSE greatest(project.judgments_per_comparison - wanted_judgments, 0) END,
    wanted_judgments = CASE WHEN preference IS NOT NULL OR wanted_judgments = 0
        THEN wanted_judgments
        ELSE greatest(project.judgments_per_comparison, wanted_judgments) END
FROM annotation_project AS project
WHERE project.id = comparison.project_id AND outcome = 'retired'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0026_language_and_time_of_people"),
    ]

    operations = [
        migrations.RemoveConstraint("comparison", "comparison_decided_names_preference"),
        migrations.AddField(
            model_name="comparison",
            name="asked_judgments",
            field=models.PositiveSmallIntegerField(
                blank=True,
                editable=False,
                help_text="How many it gets where a manager has asked again; empty for the usual number.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="comparison",
            name="outcome",
            field=models.CharField(
                choices=[
                    ("waiting", "Waiting for judgments"),
                    ("decided", "Decided"),
                    ("undecided", "Judged equal"),
                    ("disputed", "Disputed"),
                    ("retired", "Taken out"),
                ],
                default="waiting",
                max_length=10,
            ),
        ),
        AddConstraintNotValid(
            "comparison",
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(("outcome", "decided"), ("preference__isnull", False)),
                    ("outcome", "retired"),
                    models.Q(
                        models.Q(("outcome", "decided"), _negated=True),
                        ("preference__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="comparison_decided_names_preference",
            ),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, BRING_BACK),
    ]
