"""Whether a model was trained on questions in the words of a benchmark, as its row says."""

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.exporting import make_release
from benchmark import contamination
from tests.benchmark.factories import make_evaluation, make_question_set, record
from tests.factories import make_user
from tests.training.factories import make_base, make_checkpoint
from tests.training.labelled import labelled_project
from tests.training.test_views import logged_in
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db(transaction=True)

KNOWN, UNKNOWN = "What is  there ?", "How many boats are there?"


@pytest.fixture
def questions():
    asked = [KNOWN, UNKNOWN, UNKNOWN, KNOWN]
    return make_question_set(
        records=[record(n, "counting", question=text) for n, text in enumerate(asked)]
    )


def policy(start: Checkpoint | None, *, release=None, project) -> Checkpoint:
    run = Run.objects.create(
        project=project,
        kind="ppo",
        name="Policy",
        requested_by=make_user(),
        base=make_base(),
        policy=start,
        release=release,
        state="succeeded",
        finished_at=timezone.now(),
    )
    return make_checkpoint(run)


def test_rows_say_which_share_of_the_questions_has_the_words_of_the_training(questions) -> None:
    project = labelled_project()
    first = policy(None, release=make_release(project, held_out_share=0.3), project=project)
    later = policy(first, project=project)
    shares = {}
    for name, model in (("base", make_base()), ("first", first), ("later", later), ("else", None)):
        found = make_evaluation(
            [6, 5, 6, 5], question_set=questions, checkpoint=model, model_name=name
        )
        shares[name] = found.summary.get("wordings_trained_on")
    assert shares == {"base": 0.0, "first": 0.5, "later": 0.5, "else": None}

    page = logged_in(make_user(is_superuser=True)).get(reverse("benchmark:leaderboard"))
    text = page.content.decode()
    assert text.count("trained on questions of this kind (50 % of them)") == 2
    assert text.count("not trained here on questions of this kind") == 1


def test_what_was_held_out_was_not_trained_on(questions) -> None:
    project = labelled_project()
    release = make_release(project, held_out_share=0.3)
    rows = [
        {"split": "held_out", "conversation": [{"from": "human", "value": f"<image>\n{KNOWN}"}]}
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contamination, "rows", lambda _: rows)
        found = make_evaluation(
            [6, 5, 6, 5],
            question_set=questions,
            checkpoint=policy(None, release=release, project=project),
        )
    assert found.summary["wordings_trained_on"] == 0.0


def test_a_score_does_not_wait_for_a_lost_release(questions) -> None:
    project = labelled_project()
    release = make_release(project, held_out_share=0.3)
    release.artefact.storage.delete(release.artefact.name)
    model = policy(None, release=release, project=project)
    found = make_evaluation([6, 5, 6, 5], question_set=questions, checkpoint=model)
    assert found.state == "complete"
    assert "wordings_trained_on" not in found.summary
