import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from annotation.image_sources import Folder
from annotation.models import Image
from benchmark.importing import NotTaken, import_answers, import_questions
from benchmark.models import Evaluation, Judge, QuestionSet
from tests.benchmark.factories import make_judge, make_question_set, record
from tests.benchmark.fake_judge import Reply, fake_judge
from tests.factories import make_project, picture_bytes
from tests.shared import shared_data

pytestmark = pytest.mark.django_db


def write(folder: Path, records: list[dict[str, Any]], name: str = "questions.json") -> Path:
    (folder / name).write_text(json.dumps(records))
    return folder / name


def with_images(folder: Path, *numbers: int) -> Folder:
    for number in numbers:
        (folder / f"image-{number}.png").write_bytes(picture_bytes(colour=(number, 9, 9)))
    return Folder(folder)


def test_questions_keep_every_field_and_their_order(tmp_path: Path) -> None:
    records = [record(0, "other", note="kept"), record(1, "attribute", model_answer="theirs")]
    question_set = import_questions(
        "mmhal", write(tmp_path, records), images_from=with_images(tmp_path, 0, 1)
    )
    first, second = question_set.questions.all()
    assert first.data == {**records[0], "model_answer": ""}
    assert (first.type, second.type, second.data["model_answer"]) == ("other", "attribute", "")
    assert first.image != second.image
    assert question_set.missing_images == []


def test_the_same_file_is_the_same_set(tmp_path: Path) -> None:
    path, source = write(tmp_path, [record(0)]), with_images(tmp_path, 0)
    assert import_questions("mmhal", path, images_from=source) == import_questions(
        "mmhal", path, images_from=source
    )
    assert Image.objects.count() == 1


def test_a_model_s_answer_file_is_the_same_version_as_the_template(tmp_path: Path) -> None:
    source = with_images(tmp_path, 0)
    template = import_questions("mmhal", write(tmp_path, [record(0)]), images_from=source)
    filled = write(tmp_path, [record(0, model_answer="Two.")], "model.json")
    assert import_questions("mmhal", filled, images_from=source) == template


@pytest.mark.parametrize("what", ["text", "image"])
def test_another_text_or_image_is_another_version(tmp_path: Path, what: str) -> None:
    source = with_images(tmp_path, 0)
    first = import_questions("mmhal", write(tmp_path, [record(0)]), images_from=source)
    changed = record(0, gt_answer="Four.") if what == "text" else record(0)
    if what == "image":
        (tmp_path / "image-0.png").write_bytes(picture_bytes(colour=(1, 2, 3)))
    second = import_questions("mmhal", write(tmp_path, [changed]), images_from=source)
    assert first.version != second.version
    assert second.name == f"MMHal-Bench ({second.version[:8]})"


def test_missing_images_are_all_named_and_nothing_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, [record(0), record(1), record(2)])
    with pytest.raises(NotTaken) as refusal:
        import_questions("mmhal", path, images_from=with_images(tmp_path, 1))
    assert refusal.value.reasons == [
        "image image-0.png is missing",
        "image image-2.png is missing",
    ]
    assert not QuestionSet.objects.exists()
    assert not Image.objects.exists()


def test_missing_images_may_be_allowed_and_are_listed(tmp_path: Path) -> None:
    question_set = import_questions(
        "mmhal",
        write(tmp_path, [record(0), record(1)]),
        images_from=with_images(tmp_path, 1),
        allow_missing=True,
    )
    assert question_set.missing_images == ["image-0.png"]
    assert [question.image is None for question in question_set.questions.all()] == [True, False]


def test_a_broken_image_refuses_the_file(tmp_path: Path) -> None:
    source = with_images(tmp_path, 0)
    (tmp_path / "image-1.png").write_bytes(b"no picture")
    path = write(tmp_path, [record(0), record(1)])
    with pytest.raises(NotTaken, match=r"image image-1\.png "):
        import_questions("mmhal", path, images_from=source, allow_missing=True)
    assert not QuestionSet.objects.exists()


def test_a_question_twice_and_a_small_world_without_truth_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, [record(0), record(0)])
    with pytest.raises(NotTaken, match="question 2: is question 1 again"):
        import_questions("mmhal", path, images_from=with_images(tmp_path, 0))
    with pytest.raises(NotTaken, match="question 1: truth is missing"):
        import_questions("small_world", path, images_from=Folder(tmp_path))


# --- Answers --------------------------------------------------------------------------------


def test_answers_are_joined_by_question_not_by_position(tmp_path: Path) -> None:
    question_set = make_question_set(records=[record(0), record(1), record(2)])
    path = write(
        tmp_path, [record(2, model_answer="two"), record(0, model_answer="zero"), record(1)]
    )
    evaluation = import_answers(question_set, path, judge=make_judge(), model_name="M")
    answers = {answer.question.index: answer.text for answer in evaluation.answers.all()}
    assert answers == {0: "zero", 2: "two"}
    assert evaluation.state == "judging"


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([record(9, model_answer="x")], "question 1: is not in MMHal-Bench"),
        ([record(0, model_answer="x")] * 2, "question 2: is answered twice"),
        ([record(0)], "holds no model_answer"),
        ([{**record(0), "question": 3}], "question 1: question is not a text"),
    ],
)
def test_answers_that_do_not_fit_are_refused(
    tmp_path: Path, records: list[dict[str, Any]], reason: str
) -> None:
    question_set = make_question_set(records=[record(0)])
    with pytest.raises(NotTaken, match=reason):
        import_answers(question_set, write(tmp_path, records), judge=make_judge(), model_name="M")
    assert not Evaluation.objects.exists()


# --- Commands -------------------------------------------------------------------------------


def run(*arguments: Any) -> str:
    out = StringIO()
    call_command(*map(str, arguments), stdout=out)
    return out.getvalue()


def test_commands_from_file_to_score(tmp_path: Path) -> None:
    path = write(tmp_path, [record(0, model_answer="Three."), record(1)])
    with_images(tmp_path, 1)
    said = run("import_questions", "mmhal", path, "--images", tmp_path, "--allow-missing")
    assert "2 questions, 1 of them with an image" in said
    assert "missing: image-0.png" in said
    with fake_judge(lambda prompt, before: Reply("Rating: 6")) as server:
        run("create_judge", "lab", "--base-url", server.url, "--model", "judge-1")
        project = make_project()
        said = run(
            *("import_answers", "MMHal-Bench", path, "--model", "M", "--judge", "lab"),
            *("--project", project.slug, "--wait"),
        )
    evaluation = Evaluation.objects.get()
    assert f"evaluation {evaluation.pk}: complete" in said
    assert evaluation.project == project
    assert evaluation.summary["score"]["value"] == 6
    assert (evaluation.summary["asked"], evaluation.summary["total"]) == (1, 2)


def test_commands_say_what_is_wrong(tmp_path: Path) -> None:
    path = write(tmp_path, [record(0)])
    with pytest.raises(CommandError, match=r"image-0\.png is missing"):
        run("import_questions", "mmhal", path, "--images", tmp_path)
    with pytest.raises(CommandError, match="is not a folder"):
        run("import_questions", "mmhal", path, "--images", tmp_path / "none")
    with pytest.raises(CommandError, match=r"no question set 'X'; there are: none"):
        run("import_answers", "X", path, "--model", "M", "--judge", "J")
    make_question_set()
    make_judge("lab")
    with pytest.raises(CommandError, match="no judge 'J'; there are: lab"):
        run("import_answers", "MMHal-Bench", path, "--model", "M", "--judge", "J")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lab"], "judge_endpoint_is_whole"),
        (["lab", "--exact", "--model", "x"], "judge_endpoint_is_whole"),
        (["lab", "--exact", "--key-variable", "SECRET_KEY"], "Begins with JUDGE_API_KEY"),
        (["lab", "--exact", "--options", "[1]"], "not a JSON object"),
        (["lab", "--exact", "--options", "{"], "not JSON"),
        (["lab", "--base-url", "nowhere", "--model", "x"], "valid URL"),
    ],
)
def test_a_judge_that_cannot_be_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run("create_judge", *arguments)
    assert not Judge.objects.exists()


# --- Real data ------------------------------------------------------------------------------


def test_the_published_benchmark_and_the_answers_of_a_real_model() -> None:
    folder = shared_data("mmhal_bench")
    template, images = folder / "response_template.json", Folder(folder / "images")
    question_set = import_questions("mmhal", template, images_from=images, allow_missing=True)
    assert question_set.questions.count() == 96
    assert question_set.questions.exclude(image=None).count() == 81
    assert len(question_set.missing_images) == 15
    evaluation = import_answers(
        question_set, folder / "responses/llava_13b.json", judge=make_judge(), model_name="LLaVA"
    )
    assert evaluation.answers.count() == 96
    filled = folder / "responses/idefics_9b.json"
    again = import_questions("mmhal", filled, images_from=images, allow_missing=True)
    assert again == question_set
