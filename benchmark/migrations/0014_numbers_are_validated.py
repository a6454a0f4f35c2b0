"""Numbers of columns that came without reading every row are read now, beside everybody else."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

from config.postgres.operations import check_name


class Migration(migrations.Migration):
    dependencies = [
        ("benchmark", "0013_order_of_question_sets"),
    ]

    operations = [
        ValidateConstraint("evaluation", check_name("benchmark_evaluation", "answers_left_out")),
        ValidateConstraint("evaluation", check_name("benchmark_evaluation", "attempts")),
        ValidateConstraint("questionset", check_name("benchmark_questionset", "place")),
    ]
