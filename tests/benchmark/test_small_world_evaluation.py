"""The small world's benchmark from its files to a score: imported, answered, judged exactly."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from annotation.image_sources import Folder
from benchmark import evaluating
from benchmark.evaluating import Said
from benchmark.importing import import_questions
from benchmark.judging import work
from benchmark.models import Evaluation, Judge, QuestionSet
from benchmark.protocols import small_world
from benchmark.protocols.protocol import Item
from benchmark.protocols.small_world import rules
from demo import world
from tests.benchmark.factories import make_question_set, record
from tests.benchmark.injections import INJECTIONS
from tests.factories import make_member, make_project
from training.checkpoints import registry
from training.runs import execution, requests
from training.runs.requests import Common, Step

RULE_AND_SOURCE = ("bfa78a7e", "2252e520438a2be9")
BASE_MODEL = Path(world.__file__).with_name("base_model")


def small_world_questions(folder: Path, *, per_type: int = 1) -> QuestionSet:
    """A question set written to files with its pictures and imported from there."""
    records = world.questions(per_type, seed=0)
    (folder / "questions.json").write_text(json.dumps(records))
    for data in records:
        (folder / data["image_src"]).write_bytes(world.picture_of(data))
    return import_questions("small_world", folder / "questions.json", images_from=Folder(folder))


def exact_judge() -> Judge:
    return Judge.objects.get_or_create(name="exact", kind="exact")[0]


def judged(question_set: QuestionSet, answers: Any) -> Evaluation:
    evaluation = evaluating.start(
        question_set=question_set, judge=exact_judge(), model_name="by hand"
    )
    said = {question: Said(answers(question)) for question in question_set.questions.all()}
    evaluating.store_answers(evaluation, said)
    work.judge(evaluation.pk)
    evaluation.refresh_from_db()
    return evaluation


@pytest.mark.django_db
def test_the_truth_scores_six_and_nonsense_zero(tmp_path: Path) -> None:
    question_set = small_world_questions(tmp_path, per_type=2)
    right = judged(question_set, lambda question: question.data["gt_answer"])
    assert right.state == "complete"
    # Sixteen right answers do not show that every answer would be right.
    assert (right.summary["score"]["value"], right.summary["score"]["high"]) == (6, 6)
    assert 4.5 < right.summary["score"]["low"] < 6
    assert right.summary["hallucination_rate"]["value"] == 0
    assert right.summary["informativeness"]["value"] == 100
    assert {kind["count"] for kind in right.summary["by_type"].values()} == {2}
    wrong = judged(question_set, lambda question: "purple")
    assert (wrong.summary["score"]["value"], wrong.summary["hallucination_rate"]["value"]) == (0, 1)


@pytest.mark.django_db
@pytest.mark.parametrize("injection", INJECTIONS)
def test_an_answer_that_speaks_to_the_judge_gains_nothing(tmp_path: Path, injection: str) -> None:
    question_set = small_world_questions(tmp_path)
    alone = judged(question_set, lambda question: injection)
    assert alone.summary["score"]["value"] == 0
    appended = judged(question_set, lambda question: f"{question.data['gt_answer']} {injection}")
    assert appended.summary["score"]["value"] == 0


def test_the_exact_judge_refuses_a_question_without_truth() -> None:
    item = Item(id=1, question=record(0), answer="Three.")
    with pytest.raises(ValueError, match="not a question of the small world"):
        list(small_world.PROTOCOL.judge_exactly([item], mode="careful"))


@pytest.mark.django_db
def test_a_question_set_that_lost_its_truth_fails_with_a_reason() -> None:
    evaluation = judged(make_question_set(count=1, protocol="small_world"), lambda question: "x")
    assert evaluation.state == "failed"
    assert "not a question of the small world" in evaluation.error


def test_another_rule_is_another_wording() -> None:
    """Whoever changes a function here gives the rule another name, and then this digest."""
    deciding = (rules.words, rules.claims, rules.false_claims, rules.coverage, rules._split)
    source = "".join(map(inspect.getsource, (*deciding, rules.rate, rules._rate_caption)))
    assert (rules.RULE[:8], hashlib.sha256(source.encode()).hexdigest()[:16]) == RULE_AND_SOURCE


@pytest.mark.chain
@pytest.mark.django_db(transaction=True)
def test_the_engine_answers_and_the_exact_judge_rates(tmp_path: Path, settings: Any) -> None:
    """The demo's own base model, through a real run of the real engine."""
    settings.RUNS_ROOT = tmp_path / "runs"
    settings.TRAINER_THREADS = 1
    question_set, judge = small_world_questions(tmp_path), exact_judge()
    project = make_project()
    common = Common(
        project=project,
        requested_by=make_member(project, "manager"),
        base=registry.register_base("small world", folder=BASE_MODEL),
        preset="small-world",
    )
    options = {"question_set": question_set.pk, "judge": judge.pk, "temperature": 0}
    run = requests.request_run(common, Step("evaluation", options=options))
    execution.execute(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded", run.error
    evaluation = Evaluation.objects.get(run=run)
    assert evaluation.state == "judging"
    work.judge(evaluation.pk)
    evaluation.refresh_from_db()
    assert evaluation.state == "complete"
    assert evaluation.summary["asked"] == evaluation.summary["total"] == 8
    for answer in evaluation.answers.judged_by(evaluation).select_related("question"):
        assert answer.text.strip()
        truth = small_world.rate(answer.question.data, answer.text)
        assert answer.verdict is not None
        assert (answer.verdict.rating, answer.verdict.text) == (truth.rating, truth.explanation)
