from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("benchmark", "0010_attempts"),
    ]

    operations = [
        ValidateConstraint(model_name="verdict", name="verdict_says_something"),
    ]
