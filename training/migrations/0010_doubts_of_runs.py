"""A run says what speaks against its result, before and after it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0009_attempts")]

    operations = [
        migrations.AddField(
            "run",
            "doubts",
            models.JSONField(
                blank=True,
                default=list,
                help_text="What speaks against its result: code and text.",
            ),
        ),
    ]
