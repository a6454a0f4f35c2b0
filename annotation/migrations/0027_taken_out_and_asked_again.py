"""Comparisons can be taken out, and people be asked about them again.

Going back, what is taken out is decided by the label it has; what has none is what its votes make of
it, and waits where they are too few.
"""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

from config.postgres.operations import AddFieldCheckedLater

BRING_BACK = """
WITH votes AS (
    SELECT out.id,
           count(*) FILTER (WHERE more_hallucinated = '1') AS first,
           count(*) FILTER (WHERE more_hallucinated = '2') AS second,
           count(*) FILTER (WHERE more_hallucinated = 'tie') AS tie,
           count(*) FILTER (WHERE more_helpful = '1') AS helpful_first,
           count(*) FILTER (WHERE more_helpful = '2') AS helpful_second,
           count(*) FILTER (WHERE more_helpful = 'tie') AS helpful_tie
    FROM annotation_comparison AS out
    LEFT JOIN annotation_judgment AS judgment
        ON judgment.comparison_id = out.id AND NOT judgment.surplus
    WHERE out.outcome = 'retired'
    GROUP BY out.id
), now AS (
    SELECT out.id,
           CASE WHEN out.preference IS NOT NULL THEN 'decided'
                WHEN out.response_1 = out.response_2 OR EXISTS (
                    SELECT 1 FROM annotation_adjudication AS ruling
                    WHERE ruling.comparison_id = out.id
                ) OR out.judgment_count >= project.judgments_per_comparison
                    AND tie > greatest(first, second)
                    AND helpful_tie > greatest(helpful_first, helpful_second) THEN 'undecided'
                WHEN out.judgment_count >= project.max_judgments THEN 'disputed'
                ELSE 'waiting' END AS outcome,
           -- One more settles what has had the usual number already.
           greatest(project.judgments_per_comparison, out.judgment_count + 1) AS wanted
    FROM annotation_comparison AS out
    JOIN votes ON votes.id = out.id
    JOIN annotation_project AS project ON project.id = out.project_id
)
UPDATE annotation_comparison AS comparison
SET outcome = now.outcome,
    open_slots = CASE WHEN now.outcome = 'waiting'
        THEN greatest(now.wanted - wanted_judgments, 0) ELSE 0 END,
    wanted_judgments = CASE WHEN now.outcome = 'waiting'
        THEN greatest(now.wanted, wanted_judgments) ELSE wanted_judgments END
FROM now WHERE now.id = comparison.id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0026_language_and_time_of_people"),
    ]

    operations = [
        migrations.RemoveConstraint("comparison", "comparison_decided_names_preference"),
        AddFieldCheckedLater(
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
