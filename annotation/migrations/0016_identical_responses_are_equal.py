"""Waiting comparisons of two identical texts are settled as equal, as the import does it now.

In portions, each its own transaction: people label meanwhile. Doing it again changes nothing more.
"""

from django.db import migrations

SETTLE = r"""
UPDATE annotation_comparison
SET outcome = 'undecided', wanted_judgments = wanted_judgments - open_slots, open_slots = 0
WHERE id BETWEEN %s AND %s AND outcome = 'waiting' AND gold_more_hallucinated = ''
  AND regexp_replace(btrim(response_1, E' \t\r\n'), '\s+', ' ', 'g')
    = regexp_replace(btrim(response_2, E' \t\r\n'), '\s+', ' ', 'g')
"""
PORTION = """
SELECT max(id) FROM (
    SELECT id FROM annotation_comparison WHERE id > %s ORDER BY id LIMIT 10000
) AS portion
"""


def settle(apps, editor):
    done = 0
    with editor.connection.cursor() as cursor:
        while True:
            cursor.execute(PORTION, [done])
            (last,) = cursor.fetchone()
            if last is None:
                return
            cursor.execute(SETTLE, [done + 1, last])
            done = last


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("annotation", "0015_image_uploads")]

    operations = [migrations.RunPython(settle, migrations.RunPython.noop)]
