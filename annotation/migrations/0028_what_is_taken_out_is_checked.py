"""Every comparison there is fits the rule of the migration before; others go on meanwhile."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0027_taken_out_and_asked_again"),
    ]

    operations = [
        ValidateConstraint("comparison", "comparison_decided_names_preference"),
    ]
