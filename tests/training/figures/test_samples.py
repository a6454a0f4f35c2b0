"""Samples of a run per prompt, over its steps."""

from typing import Any

import pytest
from django.urls import reverse

from tests.factories import make_image, make_prompt
from tests.training.factories import make_run
from tests.training.test_views import logged_in
from training.figures import samples
from training.models import Run, Sample

pytestmark = pytest.mark.django_db


def add(run: Run, step: int, **fields: Any) -> Sample:
    fields = {"prompt_id": "p", "prompt": "<image>\nWhat is it?", "response": f"at {step}"} | fields
    return Sample.objects.create(run=run, step=step, **fields)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([], []),
        ([3, 2, 1], [3, 2, 1]),
        (list(range(100, 0, -1)), [100, 80, 60, 41, 21, 1]),
    ],
)
def test_steps_are_spread_evenly_with_both_ends(known: list[int], expected: list[int]) -> None:
    assert samples.spread(known) == expected


def test_a_history_holds_the_responses_to_one_prompt_newest_first() -> None:
    run = make_run()
    image = make_image()
    make_prompt(run.project, image=image)
    for step in (1, 5, 10):
        add(run, step, image=image.filename, facts=["a mug"])
        add(run, step, prompt_id="q", prompt="And this?")
    found = samples.histories(run, run.requested_by, samples.steps(run))
    assert [history.prompt for history in found] == ["<image>\nWhat is it?", "And this?"]
    assert [sample.step for sample in found[0].samples] == [10, 5, 1]
    assert (found[0].image, found[1].image) == (image, None)
    assert found[0].facts == ["a mug"]


def test_two_responses_to_one_prompt_at_one_step_stand_together() -> None:
    run = make_run()
    for number in (1, 2):
        add(run, 4, prompt_id=f"p, output {number}", response=f"output {number}")
    [history] = samples.histories(run, run.requested_by, [4])
    assert [sample.response for sample in history.samples] == ["output 1", "output 2"]


def test_an_image_of_a_foreign_project_is_not_shown() -> None:
    run, image = make_run(), make_image()
    make_prompt(make_run().project, image=image)
    add(run, 1, image=image.filename)
    [history] = samples.histories(run, run.requested_by, [1])
    assert history.image is None


def test_queries_do_not_grow_with_prompts_and_steps(django_assert_max_num_queries: Any) -> None:
    run = make_run()
    for step in range(1, 9):
        for number in range(5):
            add(run, step, prompt_id=str(number), prompt=f"Question {number}")
    with django_assert_max_num_queries(5):
        assert len(samples.histories(run, run.requested_by, samples.steps(run))) == 5


def test_the_page_shows_a_prompt_over_time_or_one_step() -> None:
    run = make_run()
    for step in (1, 5, 10):
        add(run, step)
    client = logged_in(run.requested_by)
    address = reverse("training:run-samples", args=[run.pk])
    whole = client.get(address).content.decode()
    assert whole.index("at 10") < whole.index("at 5") < whole.index("at 1<")
    assert "&lt;image&gt;" not in whole
    one = client.get(address, {"step": "5"}).content.decode()
    assert "at 5" in one
    assert "at 10" not in one
    assert "at 10" in client.get(address, {"step": "7"}).content.decode()
