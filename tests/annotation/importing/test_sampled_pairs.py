"""Pairs that a run has sampled become comparisons, once."""

import pytest

from annotation.importing.sampled_pairs import create_pairs
from annotation.models import Comparison
from tests.factories import make_project, make_prompt

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


def test_sampled_pairs_become_comparisons_once(project):
    prompt = make_prompt(project)
    pairs = [(prompt, "one", "two", "m", "m"), (prompt, "one", "three", "m", "m")]
    first = create_pairs(project, pairs, source="run 1")
    again = create_pairs(project, pairs, source="run 1")
    assert (first.created, again.created, again.unchanged) == (2, 0, 2)
    assert {c.source for c in Comparison.objects.all()} == {"run 1"}
    assert Comparison.objects.filter(open_slots=3, prompt=prompt).count() == 2


def test_equal_responses_are_left_out(project):
    done = create_pairs(
        project, [(make_prompt(project), "same ", "same", "m", "m")], source="run 1"
    )
    assert (done.created, done.left_out) == (0, 1)


def test_pairs_for_another_projects_prompt_are_refused(project):
    with pytest.raises(ValueError, match="another project"):
        create_pairs(project, [(make_prompt(make_project()), "a", "b", "m", "m")], source="x")
