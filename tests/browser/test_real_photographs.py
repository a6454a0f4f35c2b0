"""All photographs of the shared data, labelled by keys by two people, ruled on and released."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from annotation.models import Assignment, Comparison, Judgment
from tests.browser import real_photographs as real
from tests.browser.conftest import Visitor
from tests.browser.labelling import Eventually
from tests.shared import shared_data

pytestmark = pytest.mark.django_db(transaction=True)


def test_eighty_one_photographs_from_import_to_release(
    visit: Visitor, tmp_path: Path, eventually: Eventually
) -> None:
    world = real.make_world(shared_data("mmhal_bench"), tmp_path)
    work = Judgment.objects.filter(assignment__purpose=Assignment.Purpose.WORK, surplus=False)
    for number, person in enumerate(world.people, start=1):
        real.label_all(visit.page(person.user, world.inside), world, person)
        eventually(lambda number=number: work.count() == number * real.ASKED)
    pairs = world.project.comparisons.filter(external_id__startswith="photo-", source="")
    assert pairs.filter(judgment_count=2).count() == real.ASKED
    disputed = pairs.filter(outcome=Comparison.Outcome.DISPUTED)
    before = disputed.count()
    assert before > 2
    manager = visit.page(world.manager, world.inside)
    expect(manager.get_by_text(f"{2 * real.ASKED} of {2 * real.ASKED} answers")).to_be_visible()
    real.rule(manager, world, 2)
    assert disputed.count() == before - 2
    real.release(manager, world)
    release = world.project.releases.get()
    assert 0 < release.agreement["alpha"] < 1
    assert release.agreement["comparisons"] == real.ASKED
    assert release.counts["judgments"] == 2 * real.ASKED
