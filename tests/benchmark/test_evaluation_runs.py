"""The run kind "evaluation": what the engine is given, and what is made of its answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from annotation.models import Project, Release
from benchmark import evaluating, evaluation_runs
from benchmark.models import Evaluation, Judge, Question
from tests.benchmark.factories import make_judge, make_question_set
from tests.factories import make_image, make_member, make_project
from training.chain_form import ChainForm
from training.checkpoints import lineage
from training.models import Checkpoint, Run
from training.rlhf.contract import Generation, PromptRecord
from training.runs import kinds, requests, scheduling
from training.runs.requests import Common, Refused, Step

pytestmark = pytest.mark.django_db


def make_base(name: str = "a base") -> Checkpoint:
    return Checkpoint.objects.create(kind="base", name=name, source="/models/tiny")


def common(project: Project, **fields: Any) -> Common:
    base = Checkpoint.objects.filter(kind="base").first() or make_base()
    return Common(
        project=project, requested_by=make_member(project, "manager"), base=base, **fields
    )


def pictured_questions(count: int = 3, without_image: int = 1) -> Any:
    question_set = make_question_set(count=count)
    for question in question_set.questions.all()[: count - without_image]:
        question.image = make_image()
        question.save()
    return question_set


def make_evaluation_run(project: Project, **options: Any) -> Run:
    chosen = {"temperature": 0.5, **options}
    if "question_set" not in chosen:
        chosen["question_set"] = pictured_questions().pk
    if "judge" not in chosen:
        chosen["judge"] = (Judge.objects.first() or make_judge()).pk
    return requests.request_run(common(project), Step("evaluation", options=chosen))


def directory_of(tmp_path: Path) -> Path:
    for name in ("data", "images", "final"):
        (tmp_path / name).mkdir()
    return tmp_path


def answer_all(directory: Path, text: str = "It is red.", *, finished: bool = True) -> None:
    """Write what the engine would: one response per prompt."""
    lines = (directory / "data" / "train.jsonl").read_text().splitlines()
    prompts = [PromptRecord.from_json(json.loads(line)) for line in lines]
    said = [Generation(id=p.id, responses=(text,), finished=(finished,)) for p in prompts]
    (directory / "final" / "generations.jsonl").write_text(
        "".join(json.dumps(generation.to_json()) + "\n" for generation in said)
    )


def test_the_kind_is_offered_after_training() -> None:
    kind = kinds.get("evaluation")
    assert kind in kinds.in_chains()
    assert kind.chain_order == 40
    assert kind.options_form is evaluation_runs.EvaluationOptions


def test_prepare_writes_one_prompt_per_question_with_an_image(tmp_path: Path) -> None:
    run = make_evaluation_run(make_project())
    directory = directory_of(tmp_path)
    spec = kinds.get("evaluation").prepare(run, directory)
    lines = (directory / "data" / "train.jsonl").read_text().splitlines()
    prompts = [PromptRecord.from_json(json.loads(line)) for line in lines]
    assert [prompt.id for prompt in prompts] == ["question-1", "question-2"]
    assert prompts[0].conversation[0].text == "<image>\nHow many boats are in picture 0?"
    assert prompts[0].captions == ()  # Facts are for the reward model, never for the one examined.
    for prompt in prompts:
        assert (directory / "images" / prompt.image).read_bytes()
    assert spec.kind == "generate"
    assert spec.settings.sampling.temperature == 0.5
    assert spec.settings.samples_per_prompt == 1
    assert spec.policy_adapter is None


def test_the_settings_saved_with_the_run_are_those_it_answers_with(tmp_path: Path) -> None:
    run = make_evaluation_run(make_project())
    spec = kinds.get("evaluation").prepare(run, directory_of(tmp_path))
    assert run.settings["sampling"]["temperature"] == run.options["temperature"] == 0.5
    assert spec.to_json()["settings"] == run.settings


def test_the_chain_form_asks_for_the_temperature_once() -> None:
    project = make_project()
    form = ChainForm(
        None,
        release=Release(project=project, number=1),
        user=make_member(project, "manager"),
        checkpoints=Checkpoint.objects.all(),
    )
    asked = [name for name in form.fields if name.startswith("evaluation.")]
    assert "evaluation.sampling.response_length" in asked
    assert not [name for name in asked if "temperature" in name]


def test_preparing_twice_makes_one_evaluation(tmp_path: Path) -> None:
    run = make_evaluation_run(make_project())
    directory = directory_of(tmp_path)
    kind = kinds.get("evaluation")
    assert kind.prepare(run, directory) == kind.prepare(run, directory)
    evaluation = Evaluation.objects.get()
    assert evaluation.run == run
    assert evaluation.checkpoint == run.base
    assert (evaluation.state, evaluation.method) == ("answering", "Base")
    assert evaluation.sampling == {"temperature": 0.5, "seed": 0}
    assert kind.result_url(run) == evaluation.get_absolute_url()


def test_finish_stores_answers_for_the_judge_once(tmp_path: Path) -> None:
    run = make_evaluation_run(make_project())
    directory = directory_of(tmp_path)
    kind = kinds.get("evaluation")
    kind.prepare(run, directory)
    answer_all(directory, "It is red.", finished=False)
    for _ in range(2):
        kind.finish(run, None, directory)  # type: ignore[arg-type]
    evaluation = Evaluation.objects.get()
    assert evaluation.state == "judging"
    assert [(a.question.number, a.text, a.finished) for a in evaluation.answers.all()] == [
        (1, "It is red.", False),
        (2, "It is red.", False),
    ]


def test_an_evaluation_whose_run_was_resumed_waits_for_its_answers_again(tmp_path: Path) -> None:
    run = make_evaluation_run(make_project())
    directory = directory_of(tmp_path)
    kinds.get("evaluation").write_data(run, directory)
    evaluation = Evaluation.objects.get(run=run)
    evaluating.fail(evaluation, "its run ended without answers")
    kinds.get("evaluation").write_data(run, directory)
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.error) == (Evaluation.State.ANSWERING, "")


def test_the_policy_is_what_is_evaluated(tmp_path: Path) -> None:
    project = make_project()
    trained = make_evaluation_run(project)
    trained.kind, trained.settings = "ppo", {"with_facts": True}
    trained.save()
    policy = Checkpoint.objects.create(
        kind="policy", name="trained", run=trained, base=trained.base, path="checkpoints/x"
    )
    question_set, judge = trained.options["question_set"], trained.options["judge"]
    run = requests.request_run(
        common(project, policy=policy),
        Step("evaluation", options={"question_set": question_set, "judge": judge}),
    )
    evaluation = evaluation_runs.evaluation_of(run)
    assert (evaluation.checkpoint, evaluation.model_name) == (policy, "trained")
    assert evaluation.method == "Fact-RLHF"
    assert run.options["temperature"] == 0


def test_an_evaluation_is_repeated_with_all_that_it_depends_on(tmp_path: Path) -> None:
    project = make_project()
    run = make_evaluation_run(project, temperature=0.5)
    Run.objects.filter(pk=run.pk).update(
        seed=7, settings={**run.settings, "batch_size": run.settings["batch_size"] + 3}
    )
    run.refresh_from_db()
    evaluation = evaluation_runs.evaluation_of(run)
    client = Client()
    client.force_login(make_member(project, "manager"))
    answer = client.post(reverse("benchmark:repeat", args=[evaluation.pk]))
    again = Run.objects.exclude(pk=run.pk).get()
    assert answer["Location"] == again.get_absolute_url()
    for same in ("base", "policy", "preset", "seed", "gpus", "settings", "model", "options"):
        assert getattr(again, same) == getattr(run, same), same
    assert evaluation_runs.evaluation_of(again).sampling == evaluation.sampling
    Evaluation.objects.filter(pk=evaluation.pk).update(prompt_hash="b" * 64)
    client.post(reverse("benchmark:repeat", args=[evaluation.pk]))
    assert Run.objects.count() == 2


def test_a_policy_of_dpo_is_called_so() -> None:
    run = make_evaluation_run(make_project())
    run.kind = "dpo"
    run.save()
    policy = Checkpoint.objects.create(
        kind="policy", name="trained", run=run, base=run.base, path="checkpoints/x"
    )
    assert Evaluation(checkpoint=policy).method == "DPO"


@pytest.mark.parametrize(
    ("own", "reward", "method"),
    [
        (True, True, "Fact-RLHF"),
        (True, False, "RLHF"),
        (False, True, "RLHF"),
        (False, None, "RLHF"),
    ],
)
def test_the_method_follows_from_how_it_was_trained(
    own: bool, reward: bool | None, method: str
) -> None:
    run = make_evaluation_run(make_project())
    run.kind, run.settings = "ppo", {"with_facts": own}
    if reward is not None:
        rewarding = make_evaluation_run(
            run.project, question_set=run.options["question_set"], judge=run.options["judge"]
        )
        rewarding.kind, rewarding.settings = "reward", {"with_facts": reward}
        rewarding.save()
        run.reward_model = Checkpoint.objects.create(
            kind="reward_model", name="r", run=rewarding, base=run.base, path="checkpoints/r"
        )
    checkpoint = Checkpoint(kind="policy", name="p", run=run, base=run.base)
    assert Evaluation(checkpoint=checkpoint).method == method


@pytest.mark.parametrize("what", ["exact judge", "no images", "no judge"])
def test_what_cannot_be_evaluated_is_refused_when_asked(what: str) -> None:
    options: dict[str, Any] = {}
    if what == "exact judge":
        options["judge"] = Judge.objects.create(name="exact", kind="exact").pk
    elif what == "no images":
        options["question_set"] = make_question_set().pk
    else:
        options["judge"] = 999
    with pytest.raises(Refused, match=r"judge|question_set"):
        make_evaluation_run(make_project(), **options)
    assert not Run.objects.exists()


def test_a_benchmark_that_lost_its_images_fails_with_a_reason(tmp_path: Path) -> None:
    run = make_evaluation_run(make_project())
    Question.objects.update(image=None)
    with pytest.raises(ValueError, match="no question of the benchmark has its image"):
        kinds.get("evaluation").prepare(run, directory_of(tmp_path))


def test_scores_stand_in_the_lineage_of_whoever_may_see_them() -> None:
    run = make_evaluation_run(make_project())
    evaluation = evaluation_runs.evaluation_of(run)
    reviewer, elsewhere, annotator = (
        make_member(run.project, "reviewer"),
        make_member(make_project(), "reviewer"),
        make_member(run.project),
    )
    assert run.base is not None
    for somebody in (reviewer, elsewhere):  # a base is everybody's who trains
        assert [shown.note for shown in evaluation_runs.scores_of(run.base, somebody)] == [
            "Answering"
        ]
    assert evaluation_runs.scores_of(run.base, annotator) == []
    Evaluation.objects.filter(pk=evaluation.pk).update(
        state="complete",
        finished_at=run.created_at,
        summary={"score": {"value": 2.4567, "low": 1.98, "high": 3.1}},
    )
    (shown,) = evaluation_runs.scores_of(run.base, reviewer)
    assert shown.note == "score 2.46 (1.98 to 3.10)"
    assert shown.url == evaluation.get_absolute_url()


@pytest.mark.parametrize(
    ("name", "shown"),
    [("small-world base", "Base: small-world base"), ("Base model", "Base model")],
)
def test_how_a_model_was_made_is_said_once(name: str, shown: str) -> None:
    checkpoint = Checkpoint(kind="base", name=name)
    assert Evaluation(checkpoint=checkpoint, model_name=name).full_name == shown
    assert Evaluation(model_name=name).full_name == name


def test_an_evaluation_that_waits_for_its_policy_shows_no_other_models_scores() -> None:
    project = make_project()
    first = make_evaluation_run(project)
    evaluation_runs.evaluation_of(first)
    options = {name: first.options[name] for name in ("question_set", "judge")}
    waiting = requests.request_run(common(project), Step("evaluation", options=options))
    Run.objects.filter(pk=waiting.pk).update(after=first)
    waiting.refresh_from_db()
    reviewer = make_member(project, "reviewer")
    assert [shown.note for shown in lineage.outcomes_of(first, reviewer)] == ["Answering"]
    assert lineage.outcomes_of(waiting, reviewer) == []
    Run.objects.filter(pk=first.pk).update(state="succeeded", finished_at=Now())
    assert scheduling.claim(waiting.pk, host="here", gpus=0)
    assert [shown.note for shown in lineage.outcomes_of(waiting, reviewer)] == ["Answering"]


def test_the_page_of_an_evaluation_names_its_benchmark_and_judge(client: Client) -> None:
    run = make_evaluation_run(make_project())
    judge = Judge.objects.get(pk=run.options["judge"])
    client.force_login(make_member(run.project, "manager"))
    page = client.get(run.get_absolute_url()).content.decode()
    assert f"<dt>Judge</dt><dd>{judge}</dd>" in page
    assert "<dt>Benchmark</dt>" in page
    assert "No figures yet" not in page  # it has none to wait for
    told = kinds.get("evaluation").told_options
    run.options["judge"] = judge.pk + 1
    assert ("Judge", f"{judge.pk + 1}, deleted") in told(run)
