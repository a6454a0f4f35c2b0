"""Which of two responses is better, asked of a reward model as a run and of a judge both ways."""

from __future__ import annotations

import json
import re
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from annotation.image_sources import Folder
from benchmark import evaluating, evaluation_requests, scoring
from benchmark.board import leaderboard, significance
from benchmark.importing import NotTaken, import_answers, import_questions
from benchmark.judging import work
from benchmark.models import Evaluation, Judge, QuestionSet
from benchmark.protocols import vl_rewardbench
from benchmark.protocols.protocol import Item, Refused
from benchmark.protocols.vl_rewardbench import parse_better
from tests.benchmark.factories import make_judge, make_question_set
from tests.benchmark.fake_judge import Reply, fake_judge
from tests.factories import make_admin, make_member, make_project, make_token, picture_bytes
from tests.shared import shared_data
from tests.training.factories import make_base, make_checkpoint
from training.models import Checkpoint, Run
from training.runs import kinds

IDS = ("RLAIF-V-1", "mathverse_2", "wildvision-3", "wildvision-3")


def published(folder: Path) -> Path:
    rows = [
        {
            "id": pair_id,
            "image_path": f"images/{pair_id}.png",
            "query": f"What is in picture {place}?",
            "response": [f"A cup {place}.", f"A dog {place}.</s>"],
            "human_ranking": [0, 1] if place != 1 else [1, 0],
        }
        for place, pair_id in enumerate(IDS)
    ]
    (folder / "images").mkdir()
    for pair_id in IDS[:3]:
        (folder / "images" / f"{pair_id}.png").write_bytes(picture_bytes())
    path = folder / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def question_set(tmp_path: Path) -> QuestionSet:
    return import_questions("vl_rewardbench", published(tmp_path), images_from=Folder(tmp_path))


def exact() -> Judge:
    return make_judge("rule", kind="exact", base_url="", model="")


def rewards_file(path: Path, rewards: list[list[float]]) -> Path:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    told = [
        {name: row[name] for name in ("id", "query", "response")} | {"rewards": pair}
        for row, pair in zip(rows, rewards, strict=True)
    ]
    out = path.with_name("rewards.jsonl")
    out.write_text("\n".join(map(json.dumps, told[::-1])))
    return out


def judged(question_set: QuestionSet, folder: Path, name: str, *rewards: list[float]) -> Evaluation:
    judge = Judge.objects.filter(kind="exact").first() or exact()
    path = rewards_file(folder / "data.jsonl", list(rewards))
    evaluation = import_answers(question_set, path, judge=judge, model_name=name)
    work.judge(evaluation.pk)
    return Evaluation.objects.get(pk=evaluation.pk)


def test_summarise_by_hand() -> None:
    groups = ["general", "general", "hallucination", "reasoning"]
    found = vl_rewardbench.summarise(groups, [1.0, 0.5, 0.0, 1.0])
    assert (found.general, found.hallucination, found.reasoning) == (75, 0, 100)
    assert (found.overall, found.macro) == (62.5, pytest.approx(175 / 3))
    unclear = vl_rewardbench.summarise(groups, [1.0, None, 0.0, 1.0])
    assert (unclear.general, unclear.overall, unclear.macro) == (None, None, None)
    assert (unclear.reasoning, unclear.unparsed) == (100, 1)


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("B invents a dog.\n[[A]]", "a"),
        ("**[[B]]**", "b"),
        ("Neither.\n[[C]]", "tie"),
        ("<think>[[A]]</think>[[B]]", "b"),
        ("A is fine.\nAnswer: A", "a"),
        ("B", "b"),
        ("[[A]] or [[B]]", None),
        ("Response A is good, and B is not bad.", None),
        ("<think>[[A]]", None),
        ("", None),
    ],
)
def test_a_reply_names_one_response_or_none(text: str, better: str | None) -> None:
    assert parse_better(text) == better


@pytest.mark.django_db
def test_pairs_are_known_by_all_that_they_hold(question_set: QuestionSet, tmp_path: Path) -> None:
    questions = list(question_set.questions.all())
    assert [question.type for question in questions] == [
        "hallucination",
        "reasoning",
        "general",
        "general",
    ]
    assert questions[0].data["responses"] == ["A cup 0.", "A dog 0."]
    evaluation = judged(question_set, tmp_path, "m", [1, 0], [1, 0], [0.5, 0.5], [0, 1])
    values = {name: evaluation.summary[name]["value"] for name in ("overall", "macro", "general")}
    assert values == {"overall": 37.5, "macro": pytest.approx(125 / 3), "general": 25}
    assert evaluation.summary["ties"] == 1
    changed = tmp_path / "other.jsonl"
    changed.write_text((tmp_path / "rewards.jsonl").read_text().replace("A cup 0.", "A cup."))
    with pytest.raises(NotTaken, match=r"line 4: this pair is not in"):
        import_answers(question_set, changed, judge=evaluation.judge, model_name="n")


@pytest.mark.django_db
def test_a_judge_is_asked_both_ways_and_stands_in_the_same_ranking(
    question_set: QuestionSet, tmp_path: Path
) -> None:
    """A judge that always prefers what it reads first agrees with people half of the time."""
    reward = judged(question_set, tmp_path, "reward", [1, 0], [0, 1], [1, 0], [1, 0])
    with fake_judge(lambda prompt, before: Reply("[[A]]")) as server:
        judge = make_judge("first", base_url=server.url)
        evaluation = evaluation_requests.judge_evaluation(question_set, judge)
        work.judge(evaluation.pk)
        evaluation.refresh_from_db()
        content = server.requests[0]["messages"][1]["content"]
    assert len(server.requests) == 8
    assert content[0]["image_url"]["url"].startswith("data:image/")
    assert (evaluation.state, evaluation.summary["overall"]["value"]) == ("complete", 50)
    assert (reward.summary["overall"]["value"], evaluation.method) == (100, "Judge")
    (group,) = leaderboard.groups(Evaluation.objects.all())
    assert [row.model_name for row in group.rows] == ["reward", "judge-1"]
    assert scoring.compare(reward, evaluation)["overall"]["difference"] == -50
    client = Client()
    client.force_login(make_admin())
    board = client.get(reverse("benchmark:leaderboard")).content.decode()
    assert "Macro mean" in board and "best here" in board
    assert "reward models by rule, judges by their own replies" in board
    page = client.get(evaluation.get_absolute_url()).content.decode()
    assert "swapped" in page and "disagrees" in page


@pytest.mark.django_db
def test_what_a_judge_does_not_say_is_no_coin(question_set: QuestionSet) -> None:
    with fake_judge(
        lambda prompt, before: Reply("Both are good." if "cup 0" in str(prompt) else "[[A]]")
    ) as server:
        evaluation = evaluation_requests.judge_evaluation(
            question_set, make_judge("j", base_url=server.url)
        )
        work.judge(evaluation.pk)
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.summary["unparsed"]) == ("incomplete", 2)
    assert evaluation.summary["overall"] is None
    assert evaluation.summary["bounds"]["overall"] == {"low": 37.5, "high": 62.5}


@pytest.mark.django_db
def test_a_reward_model_is_measured_as_a_run(question_set: QuestionSet, tmp_path: Path) -> None:
    project = make_project()
    base = make_base()
    made_by = Run.objects.create(
        project=project, kind="reward", base=base, requested_by=make_admin(), name="reward"
    )
    reward_model = make_checkpoint(made_by, kind=Checkpoint.Kind.REWARD_MODEL, name="rm")
    twins = Run.objects.create(
        project=project, kind="reward", base=base, requested_by=make_admin(), name="reward"
    )
    make_checkpoint(twins, kind=Checkpoint.Kind.REWARD_MODEL, name="rm")
    judge = exact()
    client = Client()
    client.force_login(make_member(project, "manager"))
    asked: dict[str, Any] = {
        "project_choice": project.pk,
        "model": reward_model.pk,
        "question_set": question_set.pk,
        "judge": judge.pk,
        "preset": "default",
        "gpus": 0,
        "seed": 0,
    }
    wanted = evaluation_requests.Wanted(
        project=project,
        requested_by=make_admin(),
        checkpoint=reward_model,
        question_set=question_set,
        judge=judge,
    )
    run = evaluation_requests.request_evaluation(wanted)
    directory = tmp_path / "run"
    for name in ("data", "images", "final"):
        (directory / name).mkdir(parents=True)
    kind = kinds.get("reward_evaluation")
    kind.write_data(run, directory)
    written = (directory / "data/train.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in written]
    assert [line["output_1"]["value"] for line in lines] == [f"A cup {n}." for n in range(4)]
    assert {line["image"] for line in lines} == {p.name for p in (directory / "images").iterdir()}
    scores = [{"id": line["id"], "reward_1": 1.0, "reward_2": 0.0} for line in lines]
    (directory / "final/scores.jsonl").write_text("\n".join(map(json.dumps, scores)))
    kind.finish(run, None, directory)  # type: ignore[arg-type]
    evaluation = Evaluation.objects.get(run=run)
    work.judge(evaluation.pk)
    evaluation.refresh_from_db()
    assert evaluation.summary["overall"]["value"] == 75
    assert evaluation.checkpoint == reward_model
    assert evaluation.model_name == f"rm, run {made_by.pk}"  # The other one is called so too.
    form = client.get(reverse("benchmark:start")).content.decode()
    assert all(f"rm, run {one.pk}" in form for one in (made_by, twins))
    page = client.get(reverse("benchmark:model", args=[reward_model.pk])).content.decode()
    assert reverse("benchmark:report-card", args=[reward_model.pk]) in page
    assert all(shown.title in page for shown in question_set.rules.figures)
    refused = client.post(reverse("benchmark:start"), {**asked, "model": base.pk})
    assert refused.status_code == 422
    assert "pairs of responses" in refused.content.decode()


SOURCES = {
    "RLAIF": ("RLAIF-V", 233),
    "RLHF": ("RLHF-V", 68),
    "hallucination": ("POVID", 448),
    "mathverse": ("reasoning tasks", 318),
    "mmmu": ("reasoning tasks", 318),
    "wildvision": ("WildVision", 173),
}


def test_the_published_pairs_load_with_their_groups() -> None:
    """Six sources, told by the beginnings of the ids; VLFeedback's are all others."""
    pairs = vl_rewardbench.load_pairs(shared_data("vl_rewardbench", "data.jsonl"))
    others = ("VLFeedback", 10)
    sources = Counter(SOURCES.get(re.split("[_-]", one.id)[0], others) for one in pairs)
    assert len(sources) == 6
    assert all(count == expected for (_, expected), count in sources.items())
    groups = [pair.group for pair in pairs]
    assert len(pairs) == len({pair.key for pair in pairs}) == 1250
    assert [groups.count(name) for name in vl_rewardbench.GROUPS] == [183, 749, 318]
    assert sum(pair.better for pair in pairs) == 5
    assert not any(response.endswith("</s>") for pair in pairs for response in pair.responses)


@pytest.mark.django_db
def test_a_judge_is_measured_by_page_by_rest_and_by_command(question_set: QuestionSet) -> None:
    """Which reply is read out of both orders is the same, whoever asked for it."""
    project = make_project()
    manager = make_member(project, "manager")
    with fake_judge(lambda prompt, before: Reply("Neither, I think.")) as server:
        judge = make_judge("first", base_url=server.url)
        client = Client()
        client.force_login(manager)
        chosen = {"question_set": question_set.pk, "judge": judge.pk, "preset": "default"}
        page = {**chosen, "project_choice": project.pk, "model": "", "gpus": 0, "seed": 0}
        assert client.post(reverse("benchmark:start"), page).status_code == 302
        headers = {"Authorization": f"Bearer {make_token(manager, 'train')}"}
        address = reverse("benchmark-api:evaluations")
        body = {**chosen, "project": project.slug}
        told = client.post(address, body, content_type="application/json", headers=headers)
        assert (told.status_code, told.json()["run"]) == (201, None)
        out = StringIO()
        named = {"judge": "first", "project": project.slug}
        call_command("evaluate_judge", question_set.name, wait=True, stdout=out, **named)
    newest, by_rest, by_page = Evaluation.objects.order_by("-pk")
    assert told.json()["evaluation"] == by_rest.pk
    assert f"evaluation {newest.pk}: incomplete" in out.getvalue()
    assert newest.summary["unparsed"] == 8  # Four pairs, both orders.
    assert {one.project for one in (newest, by_rest, by_page)} == {project}
    assert {one.answers.count() for one in (newest, by_rest, by_page)} == {4}


@pytest.mark.django_db
def test_rest_and_command_say_what_cannot_be_measured(question_set: QuestionSet) -> None:
    project = make_project()
    questions, judge = make_question_set(), make_judge("j")
    headers = {"Authorization": f"Bearer {make_token(make_member(project, 'manager'), 'train')}"}
    body = {"project": project.slug, "question_set": questions.pk, "judge": judge.pk}
    address = reverse("benchmark-api:evaluations")
    refused = Client().post(address, body, content_type="application/json", headers=headers)
    assert refused.status_code == 400
    assert [fault["field"] for fault in refused.json()["errors"]] == ["checkpoint"]
    exact()
    with pytest.raises(CommandError, match="does not measure rule"):
        call_command("evaluate_judge", question_set.name, judge="rule")


@pytest.mark.parametrize(
    "rewards",
    ["[NaN, 1]", "[Infinity, 1]", "[true, false]", '["2", "1"]', "[1]", "null", "[[1], 2]"],
)
def test_what_is_no_number_is_no_reward(tmp_path: Path, rewards: str) -> None:
    """A reward model that diverged states NaN; it must not count as wrong, nor as a tie."""
    path = tmp_path / "data.jsonl"
    row = {"id": "mmmu_1", "query": "Q", "response": ["a", "b"], "human_ranking": [0, 1]}
    path.write_text(json.dumps(row))
    (pair,) = vl_rewardbench.load_pairs(path)
    question = vl_rewardbench.record(pair)
    item = Item(id=1, question=question, answer=f'{{"rewards": {rewards}}}')
    ((_, outcome),) = vl_rewardbench.PROTOCOL.judge_exactly([item], mode="careful")
    assert (outcome.state, outcome.found) == ("unparsed", None)
    told = tmp_path / "told.jsonl"
    told.write_text(json.dumps(row)[:-1] + f', "rewards": {rewards}}}')
    with pytest.raises(Refused, match="line 1: rewards is not a list of two numbers"):
        vl_rewardbench.PROTOCOL.read_answers(told, [question])
    told.write_text(json.dumps({**row, "better": [0]}))
    with pytest.raises(Refused, match=r"line 1: better is \[0\]"):
        vl_rewardbench.PROTOCOL.read_answers(told, [question])


@pytest.mark.django_db
@pytest.mark.parametrize("said", ["[[A]]", "[[B]]", "[[C]]"])
def test_a_judge_that_never_decides_is_warned_of_and_is_not_the_best(
    question_set: QuestionSet, tmp_path: Path, said: str
) -> None:
    """Each order by itself is an answer; both together are none, and 50 % is arithmetic."""
    worse = judged(question_set, tmp_path, "worse", [0, 1], [1, 0], [0, 1], [0, 0])
    other = judged(question_set, tmp_path, "other", [0, 1], [1, 0], [0, 1], [1, 0])
    with fake_judge(lambda prompt, before: Reply(said)) as server:
        judge = make_judge("first", base_url=server.url)
        evaluation = evaluation_requests.judge_evaluation(question_set, judge)
        work.judge(evaluation.pk)
    evaluation.refresh_from_db()
    assert evaluation.summary["overall"]["value"] == 50
    found = evaluation.undecided
    assert (found.count, found.asked, found.title) == (4, 4, "Orders disagree")
    assert evaluation.decides_nothing and not worse.decides_nothing
    assert (worse.undecided.count, worse.undecided.title) == (1, "Ties")
    (group,) = leaderboard.groups(Evaluation.objects.all())
    assert group.rows[0] == evaluation  # By its figure; but it is not called the best.
    (tests,) = significance.standings([group]).values()
    assert tests.best == other.pk and evaluation.pk not in tests.against_best
    client = Client()
    client.force_login(make_admin())
    page = client.get(evaluation.get_absolute_url()).content.decode()
    assert "It decided nothing" in page and "Undecided in 4 of 4 pairs" in page
    assert "own replies" in page and "imported from a file" not in page
    tied = client.get(worse.get_absolute_url()).content.decode()
    assert "imported from a file" in tied
    assert "Ties" in tied and "data-undecided" not in tied
    board = client.get(reverse("benchmark:leaderboard")).content.decode()
    assert "decides nothing" in board and "ties in 1 of 4" in board
    assert board.index("decides nothing") < board.index("best here")


@pytest.mark.django_db
def test_judges_that_share_a_model_are_rows_of_their_own(question_set: QuestionSet) -> None:
    with fake_judge(lambda prompt, before: Reply("[[A]]")) as server:
        for name in ("seed 1", "seed 2", "seed 2"):  # Asked again, the newest takes its place.
            judge = Judge.objects.filter(name=name).first()
            judge = judge or make_judge(name, base_url=server.url)
            work.judge(evaluation_requests.judge_evaluation(question_set, judge).pk)
    (group,) = leaderboard.groups(Evaluation.objects.all())
    assert sorted(row.judge.name for row in group.rows) == ["seed 1", "seed 2"]
    assert len({row.model_name for row in group.rows}) == 1
    assert significance.standings([group]) == {}  # Neither decided anything: there is no best one.
    client = Client()
    client.force_login(make_admin())
    board = client.get(reverse("benchmark:leaderboard")).content.decode()
    assert "judge seed 1" in board and "judge seed 2" in board and "best here" not in board
    question_set.questions.update(image=None)
    with pytest.raises(evaluating.NotSuitable, match="None of the pictures"):
        evaluation_requests.judge_evaluation(question_set, judge)


@pytest.mark.parametrize("outcome", [0.3, 2, -1, float("nan")])
def test_an_outcome_that_no_pair_can_have_is_refused(outcome: float) -> None:
    with pytest.raises(ValueError, match="not one of"):
        vl_rewardbench.summarise(["general"], [outcome])
