"""What the heads of an ensemble differ by is kept with the score; of one head there is none."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0012_groups_of_runs")]

    operations = [
        migrations.AddField(
            model_name="rewardscore",
            name="spread_1",
            field=models.FloatField(
                blank=True,
                null=True,
                help_text="How far the heads of an ensemble are apart about response 1, as its "
                "reward.",
            ),
        ),
        migrations.AddField(
            model_name="rewardscore",
            name="spread_2",
            field=models.FloatField(
                blank=True,
                null=True,
                help_text="The same about response 2; none of one head.",
            ),
        ),
        migrations.AddField(
            model_name="rewardscore",
            name="spread",
            field=models.FloatField(
                blank=True,
                null=True,
                help_text="The same about which is better, in log-odds of probability_1.",
            ),
        ),
    ]
