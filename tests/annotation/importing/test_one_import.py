"""Imports: whole or not at all, repeatable, every fault named."""

import json
import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation import queue
from annotation.bulk_actions import Action, Change, carry_out
from annotation.image_sources import Folder
from annotation.importing import Options, import_files, one_import, spool
from annotation.importing.record_files import ImportRefused
from annotation.models import Comparison, Image, Prompt
from tests.factories import make_member, make_project, picture_bytes
from tests.shared import shared_data

pytestmark = pytest.mark.django_db

REAL_MODELS = ("llava_13b", "idefics_80b")


def record(number, image="a.png", **fields):
    return {
        "id": f"r{number}",
        "image": image,
        "conversations": [{"from": "human", "value": f"<image>\nQuestion {number}?"}],
        "output_1": {"from": "a", "value": f"Answer {number}."},
        "output_2": {"from": "b", "value": f"Other answer {number}."},
        "captions": ["a cat"],
        **fields,
    }


@pytest.fixture
def project():
    return make_project(k=3)


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(picture_bytes())
    return tmp_path


def run(project, folder, *records, format="llava_rlhf", **options):
    path = folder / f"{uuid.uuid4().hex}.jsonl"
    path.write_text("\n".join(json.dumps(entry) for entry in records))
    return import_files(project, [path], Folder(folder), format=format, options=Options(**options))


def refused(project, folder, *records, **options):
    with pytest.raises(ImportRefused) as error:
        run(project, folder, *records, **options)
    assert not Comparison.objects.exists()
    assert not Prompt.objects.exists()
    assert not Image.objects.exists()
    return [(problem.line, problem.field, problem.reason) for problem in error.value.problems]


def test_records_become_comparisons_that_wait(project, folder):
    done = run(project, folder, record(1), record(2, image="b.png"), source="file.jsonl")
    assert (done.created, done.unchanged, done.warnings) == (2, 0, [])
    comparison = Comparison.objects.get(external_id="r1")
    assert (comparison.wanted_judgments, comparison.open_slots) == (3, 3)
    assert (comparison.outcome, comparison.source) == ("waiting", "file.jsonl")
    assert (comparison.model_1, comparison.model_2) == ("a", "b")
    assert comparison.prompt.captions == ["a cat"]
    assert Image.objects.count() == 2


def test_importing_again_changes_nothing(project, folder):
    run(project, folder, record(1), record(2))
    before = list(Comparison.objects.order_by("pk").values())
    done = run(project, folder, record(1), record(2), record(3))
    assert (done.created, done.unchanged) == (1, 2)
    assert list(Comparison.objects.order_by("pk").values())[:2] == before


def test_a_pair_that_was_taken_out_stays_out_and_the_file_is_told(project, folder):
    run(project, folder, record(1), record(2))
    taken_out = [Comparison.objects.get(external_id="r2").pk]
    carry_out(project, taken_out, Change(action=Action.RETIRE))
    done = run(project, folder, record(1), record(2))
    assert (done.created, done.unchanged) == (0, 2)
    assert [(one.line, one.field) for one in done.warnings] == [(2, "id")]
    assert "taken out" in done.warnings[0].reason
    assert Comparison.objects.get(pk=taken_out[0]).outcome == "retired"


def test_the_same_id_with_other_content_is_refused(project, folder):
    run(project, folder, record(1))
    with pytest.raises(ImportRefused, match="line 2, id: 'r1' is here already with other resp"):
        run(project, folder, record(2), record(1, output_1="Something else."))
    with pytest.raises(ImportRefused, match="another prompt, image or captions"):
        run(project, folder, record(1, captions=["a dog"]))
    assert Comparison.objects.count() == 1


def test_one_id_twice_in_a_file_is_refused(project, folder):
    named = refused(project, folder, record(1), record(2), record(1))
    assert named == [(3, "id", "'r1' is the id of line 1 too")]


def test_all_faults_are_named_and_nothing_is_imported(project, folder):
    (folder / "broken.png").write_bytes(b"<svg/>")
    named = refused(
        project,
        folder,
        record(1),
        record(2, image="broken.png"),
        record(3, image="gone.png"),
        record(4, image="../a.png"),
    )
    assert [(line, field) for line, field, _ in named] == [(2, "image"), (3, "image"), (4, "image")]
    assert "broken.png is not a PNG" in named[0][2]
    assert named[1][2] == "there is no gone.png"
    assert "unsafe path" in named[2][2]


def test_records_without_their_image_are_left_out_on_request_only(project, folder):
    done = run(project, folder, record(1), record(2, image="gone.png"), skip_missing_images=True)
    assert (done.created, done.left_out) == (1, 1)
    assert [str(warning) for warning in done.warnings] == [
        "line 2, image: left out: there is no gone.png"
    ]


def test_pairs_about_one_question_share_a_prompt(project, folder):
    question = [{"from": "human", "value": "Same?"}]
    first = record(1, conversations=question)
    second = record(2, conversations=question)
    run(project, folder, first, second)
    run(project, folder, record(3, conversations=question))
    assert Prompt.objects.count() == 1
    assert Comparison.objects.count() == 3


def test_labelled_pairs_are_decided_and_not_handed_out(project, folder):
    labelled = record(1, preference=2, margin=0.5, votes={"1": 1, "2": 3, "tie": 0})
    run(project, folder, labelled)
    comparison = Comparison.objects.get()
    assert (comparison.outcome, comparison.preference, comparison.margin) == ("decided", 2, 0.5)
    assert (comparison.open_slots, comparison.wanted_judgments) == (0, 0)
    assert comparison.imported_votes == {"1": 1, "2": 3, "tie": 0}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A cat.", "A cat."),
        ("A cat. ", "A  cat.\n"),
        ("Un café.", "Un cafe\u0301."),
        ("A\u200b cat.", "A cat."),
    ],
)
@pytest.mark.parametrize("label", [{}, {"preference": 2}])
def test_responses_that_look_alike_are_equal_and_nobody_is_asked(
    project, folder, one, other, label
):
    done = run(project, folder, record(1, output_1=one, output_2=other, **label))
    assert [str(warning) for warning in done.warnings] == [
        "line 1, output_2: is the same text as output_1: settled as equal, and nobody is asked"
    ]
    comparison = Comparison.objects.get()
    assert (comparison.outcome, comparison.preference) == ("undecided", None)
    assert (comparison.open_slots, comparison.wanted_judgments) == (0, 0)
    assert queue.claim(project, make_member(project)) is None


@pytest.mark.parametrize(
    ("one", "other"), [("A cat.", "a cat."), ("2 cats", "3 cats"), ("A \u202egod.", "A god.")]
)
def test_responses_that_differ_are_asked(project, folder, one, other):
    run(project, folder, record(1, output_1=one, output_2=other))
    assert Comparison.objects.get().open_slots == 3


def test_labels_can_be_dropped_to_judge_anew(project, folder):
    run(project, folder, record(1, preference=2), keep_labels=False)
    comparison = Comparison.objects.get()
    assert (comparison.outcome, comparison.open_slots) == ("waiting", 3)


def test_prompts_are_imported_alone(project, folder):
    prompt = {key: value for key, value in record(1).items() if not key.startswith("output")}
    done = run(project, folder, {**prompt, "caption_type": 7}, format="prompts")
    assert done.created == 1
    assert Prompt.objects.get().caption_type == 7
    again = run(project, folder, {**prompt, "caption_type": 7}, format="prompts")
    assert (again.created, again.unchanged) == (0, 1)
    with pytest.raises(ImportRefused, match="another prompt"):
        run(project, folder, {**prompt, "caption_type": 6}, format="prompts")


def test_projects_do_not_share_ids(project, folder):
    run(project, folder, record(1))
    assert run(make_project(), folder, record(1, output_1="Else.")).created == 1


def test_more_records_than_one_batch_are_one_import(project, folder, monkeypatch):
    for module in (one_import, spool):
        monkeypatch.setattr(module, "BATCH", 2)
    run(project, folder, record(4))
    with pytest.raises(ImportRefused, match="line 5"):
        run(project, folder, *(record(n) for n in (1, 2, 3, 5)), record(4, output_1="Else."))
    assert Comparison.objects.count() == 1
    assert run(project, folder, *(record(n) for n in range(1, 6))).created == 4


def test_progress_is_reported_up_to_the_end(project, folder):
    path = folder / "f.jsonl"
    path.write_text(json.dumps([record(1), record(2, image="b.png")]))
    seen = []
    import_files(project, [path], Folder(folder), report=lambda *args: seen.append(args))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_the_number_of_queries_does_not_grow_with_the_records(
    project, folder, django_assert_num_queries
):
    run(project, folder, record(1))  # From now on the image is known.
    with CaptureQueriesContext(connection) as few:
        run(make_project(), folder, *(record(n) for n in range(3)))
    with django_assert_num_queries(len(few)):
        run(make_project(), folder, *(record(n) for n in range(100, 140)))


# --- real files -------------------------------------------------------------------------------


def test_real_answers_about_real_photographs_become_comparisons(project):
    answers = [shared_data("mmhal_bench", "responses", f"{name}.json") for name in REAL_MODELS]
    images = Folder(shared_data("mmhal_bench", "images"))
    with pytest.raises(ImportRefused) as refused:
        import_files(project, answers, images, format="mmhal")
    assert [problem.line for problem in refused.value.problems][:3] == [2, 7, 19]
    assert all("there is no" in problem.reason for problem in refused.value.problems)
    options = Options(skip_missing_images=True)
    done = import_files(project, answers, images, format="mmhal", options=options)
    assert (done.created, done.left_out) == (81, 15)
    assert {comparison.model_1 for comparison in Comparison.objects.all()} == {REAL_MODELS[0]}


def test_the_published_prompt_record_is_read(project, folder):
    path = shared_data("llava_rlhf", "llava_ppo50k_record_issue34.json")
    (folder / "000000326350.jpg").write_bytes(picture_bytes(format="JPEG"))
    assert import_files(project, [path], Folder(folder), format="prompts").created == 1
    prompt = Prompt.objects.get()
    assert (len(prompt.captions), prompt.length_bonus) == (5, -0.5)
