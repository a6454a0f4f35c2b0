"""What one record, or one file, says twice: taken where both say the same, else refused by name.

And what a record says beside all that is read: named as not taken.
"""

import io
import json

import pytest

from annotation import exporting
from annotation.image_sources import Folder
from annotation.importing import import_files
from annotation.importing.captions import read_captions
from annotation.importing.formats import parse_any_pair, read
from annotation.importing.record_files import BadField, ImportRefused
from annotation.models import Comparison, Prompt
from benchmark.protocols.by_id import read_lines
from benchmark.protocols.protocol import Refused
from tests.factories import make_project, picture_bytes

ASKED, GOOD, BAD = "What does the card say?", "It says one.", "It shows a dog."
ROW = {"image": "a.png", "question": ASKED, "chosen": GOOD, "rejected": BAD}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def human(text):
    return {"from": "human", "value": text}


def without(name, row=ROW):
    return {member: value for member, value in row.items() if member != name}


# --- what was asked, and about which picture ----------------------------------------------------

TURNS_AFTER = [assistant(GOOD), user("Sure?"), assistant("Yes.")]
DIFFERING = {
    "a later answer": ({**ROW, "chosen": TURNS_AFTER, "rejected": [assistant(BAD)]}, "chosen"),
    "a later worse answer": ({**ROW, "rejected": TURNS_AFTER}, "rejected"),
    "a question before the answer": (
        {
            **without("question"),
            "prompt": [user(ASKED)],
            "chosen": [user("Else?"), assistant(GOOD)],
        },
        "chosen",
    ),
    "question and prompt": ({**ROW, "prompt": "Else?"}, "prompt"),
    "question and query": ({**ROW, "query": "Else?"}, "query"),
    "question and turns": ({**ROW, "conversations": [human("Else?")]}, "question"),
    "turns and turns": (
        {**without("question"), "conversations": [human(ASKED)], "messages": [user("Else?")]},
        "messages",
    ),
    "image and image_path": ({**ROW, "image_path": "data/b.png"}, "image_path"),
    "img and file_name": ({**without("image"), "img": "a.png", "file_name": "b.png"}, "file_name"),
}


@pytest.mark.parametrize("case", DIFFERING)
def test_two_members_that_differ_are_refused_by_name(case):
    row, field = DIFFERING[case]
    with pytest.raises(BadField) as refused:
        parse_any_pair(1, row)
    assert refused.value.field.startswith(field)


SAME = {
    "question and prompt": {**ROW, "prompt": f"<image>\n{ASKED} "},
    "question and turns": {**ROW, "conversations": [human(f"<image>\n{ASKED}")]},
    "a text and turns before the answers": {
        **ROW,
        "chosen": [user(ASKED), assistant(GOOD)],
        "rejected": [user(ASKED), assistant(BAD)],
    },
    "an empty prompt": {**ROW, "prompt": ""},
    "a picture and its path": {**ROW, "image_path": "data/a.png"},
    "a picture and where it is from": {**ROW, "image_url": "https://example.org/1234.jpg"},
}


@pytest.mark.parametrize("case", SAME)
def test_two_members_that_say_the_same_are_taken(case):
    pair = parse_any_pair(1, SAME[case])
    assert pair.prompt.conversation == [human(f"<image>\n{ASKED}")]
    assert (pair.prompt.image, {pair.response_1, pair.response_2}) == ("a.png", {GOOD, BAD})


# --- answers of two files -----------------------------------------------------------------------


def files_of(*lists):
    return [io.BytesIO(json.dumps(records).encode()) for records in lists]


def asked(text, image, answer, **more):
    record = {"question_id": 7, "prompt": f"<image>\n{text}", "text": answer, "image": image}
    return {**record, **more}


def test_answers_of_other_benchmarks_are_compared_side_by_side():
    first = [asked(ASKED, "a.png", GOOD, model_id="m"), asked("Else?", "b.png", "x", question_id=8)]
    second = [asked(ASKED, "a.png", BAD, model_id="n"), asked("Else?", "b.png", "y", question_id=8)]
    pairs = read("mmhal", *files_of(first, second), names=("answers", "others"))
    assert [(one.response_1, one.response_2, one.model_1, one.model_2) for one in pairs] == [
        (GOOD, BAD, "m", "n"),
        ("x", "y", "answers", "others"),
    ]
    assert pairs[0].prompt.conversation == [human(f"<image>\n{ASKED}")]
    assert [one.prompt.id for one in pairs] == ["question-7", "question-8"]


OTHER = {
    "another question": ({"prompt": "Else?"}, "question: differs"),
    "another number": ({"question_id": 8}, "question_id: differs"),
    "another picture": ({"image": "b.png"}, "image_src: differs"),
    "no picture": ({"image": None}, "image_src: is missing"),
    "two answers": ({"answer": "It is two."}, "text: is not surely the model's answer"),
}


@pytest.mark.parametrize("kind", OTHER)
def test_answers_to_other_questions_are_no_pair(kind):
    change, reason = OTHER[kind]
    with pytest.raises(ImportRefused) as refused:
        first, second = ([{**asked(ASKED, "a.png", GOOD), **more}] for more in ({}, change))
        read("mmhal", *files_of(first, second), names=("a", "b"))
    assert reason in str(refused.value)


def test_a_question_may_stand_under_text_where_the_answer_has_a_member_of_its_own():
    first, second = ([{"text": ASKED, "image": "a.png", "response": r}] for r in (GOOD, BAD))
    [pair] = read("mmhal", *files_of(first, second), names=("a", "b"))
    assert pair.prompt.conversation == [human(f"<image>\n{ASKED}")]
    assert (pair.response_1, pair.response_2) == (GOOD, BAD)


def test_pictures_of_one_name_in_two_folders_keep_their_folders():
    first, second = (
        [asked(f"{n}?", f"run/cam{n}/x.png", r, question_id=n) for n in (1, 2)] for r in (GOOD, BAD)
    )
    pairs = read("mmhal", *files_of(first, second), names=("a", "b"))
    assert [one.prompt.image for one in pairs] == ["run/cam1/x.png", "run/cam2/x.png"]


def test_two_files_of_one_name_say_that_their_models_are_not_told_apart():
    [pair] = read("mmhal", answers(), answers(model_answer=BAD), names=("answers", "answers"))
    [said] = [str(warning) for warning in pair.warnings()]
    assert "both files are of 'answers'" in said


def answers(**about):
    record = {"question": ASKED, "model_answer": GOOD, "image_src": "a.png", **about}
    return io.BytesIO(json.dumps([record]).encode())


VIEWS = [f"https://example.org/view.png?id={number}" for number in (1, 2)]
NO_ID = ["", 0, False, None, "nan", {}]
OTHER_PICTURE = [
    *(({"image_id": no}, {"image_id": no, "image_src": "b.png"}, "image_src") for no in NO_ID),
    ({"image_id": "x"}, {"image_id": "y"}, "image_id"),
    ({"image_src": VIEWS[0]}, {"image_src": VIEWS[1]}, "image_src"),
]


@pytest.mark.parametrize(("one", "other", "field"), OTHER_PICTURE)
def test_answers_about_two_pictures_are_no_pair(one, other, field):
    with pytest.raises(ImportRefused) as refused:
        read("mmhal", answers(**one), answers(**other), names=("a", "b"))
    assert [problem.field for problem in refused.value.problems] == [field]


@pytest.mark.parametrize("other", [{"image_id": 7, "image_src": "b.png"}, {"image_id": None}])
def test_answers_with_one_id_or_one_name_are_a_pair(other):
    [pair] = read("mmhal", answers(image_id="7"), answers(**other), names=("a", "b"))
    assert pair.prompt.image == "a.png"


# --- which answer is the model's ----------------------------------------------------------------

TWO_ANSWERS = [
    {"answer": "yes", "prediction": "no"},
    {"text": "yes", "predicted_answer": "no"},
    {"response": "Yes.", "model_answer": "No."},
]


def answered(tmp_path, **said):
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps({"question_id": 1, **said}))
    [line] = read_lines(path)
    return line.text


@pytest.mark.parametrize("said", TWO_ANSWERS)
def test_of_two_answers_that_differ_none_is_guessed(tmp_path, said):
    with pytest.raises(Refused, match="say different things"):
        answered(tmp_path, **said)


@pytest.mark.parametrize(
    "said", [{"prediction": "no"}, {"answer": "No.", "prediction": "no"}, {"pred": "no"}]
)
def test_a_prediction_is_an_answer(tmp_path, said):
    assert answered(tmp_path, **said).lower().strip(".") == "no"


# --- captions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["A fact.", ["A fact."], '["A fact."]'])
def test_one_caption_is_a_fact_like_a_list_of_one(cell):
    assert parse_any_pair(1, {**ROW, "captions": cell}).prompt.captions == ["A fact."]


@pytest.mark.parametrize("cell", [3, {"a": "b"}, [3], [""]])
def test_captions_that_are_none_are_refused(cell):
    with pytest.raises(BadField, match="captions"):
        parse_any_pair(1, {**ROW, "captions": cell})


def test_an_id_of_two_images_gives_its_captions_to_neither():
    images = [{"id": 1, "file_name": "a.png"}, {"id": "1", "file_name": "b.png"}]
    notes = [{"image_id": 1, "caption": "A card."}]
    problems = []
    read_captions(
        io.BytesIO(json.dumps({"images": images, "annotations": notes}).encode()), problems
    )
    assert [str(one) for one in problems] == [
        "captions, line 2, images.id: 1 is the id of a.png and of b.png"
    ]


# --- whole imports ------------------------------------------------------------------------------


def ours(**more):
    record = {
        **{"id": "1", "image": "a.png", "output_1": GOOD, "output_2": BAD},
        "conversations": [human(f"<image>\n{ASKED}")],
    }
    return {**record, **more}


@pytest.fixture
def bring(tmp_path, db):
    """Imports records with the pictures a.png and b.png beside them."""

    def run(records, *, project=None, pictures=("a.png", "b.png"), captions=None):
        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        for name in pictures:
            if not (folder / name).exists():
                (folder / name).write_bytes(picture_bytes())
        path = tmp_path / "records"
        path.write_bytes(records if isinstance(records, bytes) else json.dumps(records).encode())
        facts = None
        if captions is not None:
            facts = tmp_path / "captions.json"
            facts.write_text(json.dumps(captions))
        return import_files(project or make_project(k=1), [path], Folder(folder), captions=facts)

    return run


def test_one_path_with_two_queries_is_no_one_picture(bring):
    rows = [{**ROW, "image": url, "question": url} for url in VIEWS]
    with pytest.raises(ImportRefused, match="both fit one file"):
        bring(rows, pictures=["view.png"])
    signed = [f"https://example.org/view.png?X-Amz-Signature={number}" for number in (1, 2)]
    rows = [{**ROW, "image": url, "question": url} for url in signed]
    assert bring(rows, pictures=["view.png"]).created == 2


def test_captions_of_both_spellings_of_a_picture_are_one_or_refused(bring):
    names = ["000000000139.jpg", "COCO_val2014_000000000139.jpg"]
    row = [{**ROW, "image": names[0]}]
    with pytest.raises(ImportRefused, match="are one picture"):
        bring(row, pictures=names[:1], captions={names[0]: ["x"], names[1]: ["y"]})
    bring(row, pictures=names[:1], captions={names[0]: ["x"], names[1]: ["x"]})
    assert Prompt.objects.get().captions == ["x"]


NEWS = {
    "corrections": {"corrections": [{"output": 2, "value": "It shows a card."}]},
    "marks": {"output_2": {"value": BAD, "marks": [{"start": 11, "end": 14, "kind": "object"}]}},
    "preference": {"preference": 1},
}


@pytest.mark.parametrize("field", NEWS)
def test_what_comes_later_for_a_pair_is_named_as_not_taken(bring, field):
    project = make_project(k=1)
    bring([ours()], project=project)
    done = bring([ours(**NEWS[field])], project=project)
    assert (done.unchanged, [one.field for one in done.warnings]) == (1, [field])
    assert not any(
        join.found for join in done.joins if join.what in ("corrections", "marked words")
    )


def test_the_same_again_is_no_news(bring):
    project = make_project(k=1)
    record = ours(**{**NEWS["corrections"], **NEWS["marks"], **NEWS["preference"]})
    for _ in range(2):
        done = bring([record], project=project)
        assert (done.warnings, [join.found for join in done.joins]) == ([], [1, 0, 1, 1])


def test_a_correction_that_says_nothing_new_is_not_taken(bring):
    texts = ["It shows a card.", BAD, "It shows a card.", "It shows a paper."]
    done = bring([ours(corrections=[{"output": 2, "value": text} for text in texts])])
    assert [one.field for one in done.warnings] == ["corrections[1]", "corrections[2]"]
    stored = Comparison.objects.get().imported_corrections
    assert [one["text"] for one in stored] == [texts[0], texts[3]]


@pytest.mark.parametrize(
    ("form", "model", "named"),
    [("csv", "", ""), ("csv", "m", "m"), ("llava_rlhf", "m", "m"), ("llava_rlhf", "", "llava")],
)
def test_our_own_export_comes_back_as_it_was(bring, form, model, named):
    """The paper's form names a maker of every output; what has none is of "llava" there."""
    outputs = {
        f"output_{number}": {"from": model, "value": text}
        for number, text in ((1, "- a card"), (2, "'=1"))
    }
    project = make_project(k=1)
    bring([ours(**outputs, preference=1, margin=0.5)], project=project)
    release = exporting.make_release(project)
    data = b"".join(exporting.stream(release, form))
    [name] = {json.loads(line)["image"] for line in exporting.stream(release, "llava_rlhf")}
    copy = make_project(k=1)
    bring(data, project=copy, pictures=[name])
    fields = ("response_1", "response_2", "model_1", "model_2", "preference", "margin")
    [first], [second] = (
        Comparison.objects.filter(project=one).values_list(*fields) for one in (project, copy)
    )
    assert second == (*first[:2], named, named, *first[4:])


# --- what is not read ---------------------------------------------------------------------------

TABLE = {**without("chosen", without("rejected")), "response_1": GOOD, "response_2": BAD}


@pytest.mark.parametrize(
    ("cell", "margin"), [("0,5", 0.5), ("0.5", 0.5), (0, 0.0), ("", 1.0), ("3.5", 1.0)]
)
def test_a_margin_counts_or_is_said(cell, margin):
    pair = parse_any_pair(1, {**TABLE, "label": "1", "margin": cell})
    assert pair.label.margin == margin
    assert ("margin" in pair.not_taken) == (cell == "3.5")


def test_what_a_model_thought_is_said_not_to_be_taken():
    chosen = [{**assistant(GOOD), "reasoning_content": "Hm."}]
    pair = parse_any_pair(1, {**ROW, "chosen": chosen})
    assert [one.field for one in pair.warnings()] == ["chosen.reasoning_content"]


def test_a_caption_table_with_a_header_alone_holds_none():
    problems = []
    read_captions(io.BytesIO(b"image,caption\n"), problems)
    assert [one.reason for one in problems] == ["holds no captions"]
