"""Numbers of columns that came without reading every row are read now, beside everybody else."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

from config.postgres.operations import check_name


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0013_spread_of_reward_scores"),
    ]

    operations = [
        ValidateConstraint("baseimport", check_name("training_baseimport", "attempts")),
    ]
