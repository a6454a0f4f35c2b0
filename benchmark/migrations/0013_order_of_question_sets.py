"""The leaderboard's order is an administrator's, not that of what was evaluated last."""

from django.db import migrations, models

from config.postgres.operations import AddFieldCheckedLater


class Migration(migrations.Migration):
    dependencies = [("benchmark", "0012_protocols_have_longer_names")]

    operations = [
        AddFieldCheckedLater(
            "questionset",
            "place",
            models.PositiveSmallIntegerField(
                default=100,
                help_text="Lower ones stand first on the leaderboard; equal ones by name.",
            ),
        ),
        migrations.AlterModelOptions("questionset", {"ordering": ["place", "name"]}),
    ]
