"""Answers that name no picture, joined to the questions that the project has."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.image_sources import Stored
from annotation.importing import import_files
from annotation.importing.asked_before import AskedBefore
from annotation.importing.record_files import ImportRefused
from annotation.models import Comparison, Image
from tests.inputs.forms.records import imported

pytestmark = pytest.mark.django_db

OF_MODELS = [{"question_id": n, "image": "a.png", "text": f"What is {n}?"} for n in (0, 1)]


def answers_of(folder, model, asked="What is 0?"):
    """As LLaVA's model_vqa writes them."""
    path = folder / f"{model}.jsonl"
    said = {"answer_id": "k", "model_id": model, "metadata": {}}
    rows = [
        {"question_id": n, "prompt": prompt, "text": f"{model} {n}", **said}
        for n, prompt in enumerate((asked, "What is 1?"))
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_answers_without_a_picture_are_joined_to_the_questions_of_the_project(tmp_path):
    project, _ = imported(tmp_path, OF_MODELS, "prompts")
    files = [answers_of(tmp_path, "one"), answers_of(tmp_path, "two")]
    import_files(project, files, Stored(Image.objects.all()), format="mmhal")
    pairs = Comparison.objects.order_by("pk").select_related("prompt")
    assert [(one.prompt.external_id, one.response_1, one.response_2) for one in pairs] == [
        ("0", "one 0", "two 0"),
        ("1", "one 1", "two 1"),
    ]


def test_a_question_of_number_0_keeps_its_number(tmp_path):
    project, _ = imported(tmp_path, OF_MODELS, "prompts")
    files = [answers_of(tmp_path, "one"), answers_of(tmp_path, "two")]
    import_files(project, files, Stored(Image.objects.all()), format="mmhal")
    ids = Comparison.objects.order_by("pk").values_list("external_id", flat=True)
    assert [*ids] == ["question-0 one two", "question-1 one two"]


def test_the_questions_of_many_answers_are_looked_up_together(tmp_path):
    many = [{"question_id": n, "image": "a.png", "text": f"What is {n}?"} for n in range(20)]
    project, _ = imported(tmp_path, many, "prompts")
    before = AskedBefore(project)
    with CaptureQueriesContext(connection) as asked:
        for n in range(20):
            answer = {"question_id": n, "prompt": f"What is {n}?", "text": "It is a cup."}
            assert before.with_image(answer)["image_src"]
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("questions", "asked", "reason"),
    [
        (OF_MODELS, "What else?", "two, line 1, prompt: asks something else than question '0'"),
        (OF_MODELS[1:], "What is 0?", "one, line 1, image_src: is missing, and the project has no"),
    ],
)
def test_answers_without_a_picture_to_other_questions_are_refused(
    questions, asked, reason, tmp_path
):
    project, _ = imported(tmp_path, questions, "prompts")
    files = [answers_of(tmp_path, "one"), answers_of(tmp_path, "two", asked)]
    with pytest.raises(ImportRefused, match=reason):
        import_files(project, files, Stored(Image.objects.all()), format="mmhal")
