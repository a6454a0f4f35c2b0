"""Waiting comparisons of two identical texts are settled as equal, as the import does it now."""

from django.db import migrations

SETTLE = r"""
UPDATE annotation_comparison
SET outcome = 'undecided', wanted_judgments = wanted_judgments - open_slots, open_slots = 0
WHERE outcome = 'waiting' AND gold_more_hallucinated = ''
  AND regexp_replace(btrim(response_1, E' \t\r\n'), '\s+', ' ', 'g')
    = regexp_replace(btrim(response_2, E' \t\r\n'), '\s+', ' ', 'g')
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0015_image_uploads")]

    operations = [migrations.RunSQL(SETTLE, migrations.RunSQL.noop)]
