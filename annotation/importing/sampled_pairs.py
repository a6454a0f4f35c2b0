"""Comparisons of responses that a run has sampled for prompts of the project."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from annotation.importing import Imported, refresh_statistics
from annotation.importing.record_writer import comparison_sha256
from annotation.importing.records import digest
from annotation.importing.spool import BATCH
from annotation.models import Comparison, Project, Prompt
from annotation.texts import look_alike


def create_pairs(
    project: Project, pairs: Iterable[tuple[Prompt, str, str, str, str]], *, source: str
) -> Imported:
    """Adds comparisons of (prompt, response_1, response_2, model_1, model_2) for existing prompts.

    Two equal responses leave nothing to compare and are left out. Safe to repeat: the id of a
    comparison follows from its prompt, source and responses.
    """
    fresh: dict[str, Comparison] = {}
    equal = total = 0
    for prompt, response_1, response_2, model_1, model_2 in pairs:
        total += 1
        if prompt.project_id != project.pk:
            raise ValueError(f"prompt {prompt.external_id} belongs to another project")
        if look_alike(response_1, response_2):
            equal += 1
            continue
        content = comparison_sha256(prompt, response_1, response_2)
        external_id = f"{prompt.external_id[:150]} {digest(source, content)[:16]}"
        fresh[external_id] = Comparison(
            project=project,
            prompt=prompt,
            external_id=external_id,
            response_1=response_1,
            response_2=response_2,
            model_1=model_1,
            model_2=model_2,
            source=source,
            content_sha256=content,
            wanted_judgments=project.judgments_per_comparison,
            open_slots=project.judgments_per_comparison,
        )
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        mine = Comparison.objects.filter(project=project, external_id__in=list(fresh))
        for external_id in mine.values_list("external_id", flat=True):
            del fresh[external_id]
        Comparison.objects.bulk_create(fresh.values(), batch_size=BATCH)
    created = len(fresh)
    if created >= BATCH:
        refresh_statistics()
    return Imported(created, total - equal - created, left_out=equal)
