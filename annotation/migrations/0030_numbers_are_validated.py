"""Numbers of columns that came without reading every row are read now, beside everybody else."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

from config.postgres.operations import check_name


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0029_archived_projects_and_releases"),
    ]

    operations = [
        ValidateConstraint("importjob", check_name("annotation_importjob", "left_out_bytes")),
        ValidateConstraint("importjob", check_name("annotation_importjob", "left_out_count")),
        ValidateConstraint("importjob", check_name("annotation_importjob", "attempts")),
        ValidateConstraint("release", check_name("annotation_release", "attempts")),
        ValidateConstraint("comparison", check_name("annotation_comparison", "asked_judgments")),
    ]
