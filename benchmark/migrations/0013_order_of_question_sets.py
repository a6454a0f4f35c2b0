"""The leaderboard's order is an administrator's, not that of what was evaluated last."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("benchmark", "0012_protocols_have_longer_names")]

    operations = [
        migrations.AddField(
            "questionset",
            "place",
            models.PositiveSmallIntegerField(
                default=100,
                help_text="Lower ones stand first on the leaderboard; equal ones by name.",
            ),
        ),
        migrations.AlterModelOptions("questionset", {"ordering": ["place", "name"]}),
    ]
