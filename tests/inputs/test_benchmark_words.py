"""Benchmark files and replies as others write them: read right, or refused by line and member."""

import io
import json

import pytest

from annotation.image_sources import Folder
from annotation.importing.captions import Captions
from annotation.importing.record_files import Faults
from benchmark.importing import import_questions
from benchmark.protocols import files, llava_bench, mmhal, pope
from benchmark.protocols.by_id import Line, check, read_lines
from benchmark.protocols.protocol import Refused
from benchmark.sources import NotTaken, question_files, read_questions

NAMED = [
    "Scores of Assistant 1 and 2: 8 and 9",
    "The scores of Assistant 1 and Assistant 2 are 8 and 9.",
    "Scores for assistants 1 & 2: 8, 9",
    "Score of Assistant 1, 2:\n8 9",
]


@pytest.mark.parametrize("reply", NAMED)
def test_the_names_of_the_assistants_are_no_scores(reply):
    assert llava_bench.parse_scores(reply) == (8.0, 9.0)


def test_names_without_scores_are_unclear():
    assert llava_bench.parse_scores("I give the scores of Assistant 1 and 2 below.") is None


@pytest.mark.parametrize("number", [3, 3.0, "3"])
def test_a_number_of_a_question_is_the_same_however_a_table_writes_it(number):
    assert files.number({"question_id": number}, "question_id", "a") == 3


@pytest.mark.parametrize("number", [3.5, True, None, "x", float("nan"), [3]])
def test_what_is_no_number_of_a_question_is_refused(number):
    with pytest.raises(Refused, match="question_id is"):
        files.number({"question_id": number}, "question_id", "a")


OTHERS = {
    "answers by id": {"1": "Yes", "2": "No"},
    "a log of lm-eval": {"doc_id": 0, "target": "yes", "filtered_resps": ["Yes"]},
}


@pytest.mark.parametrize("form", OTHERS)
def test_a_line_without_an_answer_says_what_it_has_instead(form, tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(OTHERS[form]))
    with pytest.raises(Refused, match=f"text is missing; there are: {next(iter(OTHERS[form]))}"):
        read_lines(path)


def parts(folder, shown):
    def lines(name, *records):
        (folder / name).write_text("\n".join(map(json.dumps, records)))
        return folder / name

    asked = {"question_id": 0, "image": "000000441147.jpg", "text": "What?", "category": "conv"}
    return (
        lines("q.jsonl", asked),
        lines("a.jsonl", {"question_id": 0, "text": "A case."}),
        lines("c.jsonl", *({"image": name, "captions": [name]} for name in shown)),
    )


def test_captions_are_joined_under_either_spelling_of_coco(tmp_path):
    both = parts(tmp_path, ["COCO_val2014_000000441147.jpg"])
    [question] = llava_bench.load_questions(*both)
    assert question.captions == ("COCO_val2014_000000441147.jpg",)
    twice = parts(tmp_path, ["COCO_val2014_000000441147.jpg", "x/000000441147.jpg"])
    with pytest.raises(llava_bench.QuestionError, match="fits several captions"):
        llava_bench.load_questions(*twice)
    other = parts(tmp_path, ["COCO_val2014_000000441148.jpg"])
    with pytest.raises(llava_bench.QuestionError, match="has no captions"):
        llava_bench.load_questions(*other)


@pytest.mark.parametrize(
    ("text", "kind"),
    [('{"question": "?"}\n', "is JSON lines"), ("question,gt_answer\n?,a\n", "is a table")],
)
def test_a_file_that_is_no_list_is_called_what_it_is(text, kind, tmp_path):
    (tmp_path / "q.json").write_text(text)
    with pytest.raises(mmhal.QuestionError, match=f"q.json: {kind}; one JSON list is expected"):
        mmhal.load_questions(tmp_path / "q.json")


@pytest.mark.django_db
@pytest.mark.parametrize("image", ["data:image/png;base64," + "A" * 40_000, "x" * 40_000, " "])
def test_a_picture_that_is_none_is_refused_in_few_words(image, tmp_path):
    question = {"question_id": 1, "image": image, "text": "Is there a cup?", "label": "yes"}
    path = tmp_path / "coco_pope_random.json"
    path.write_text(json.dumps([question]))
    with pytest.raises(NotTaken) as refused:
        import_questions("pope", path, images_from=Folder(tmp_path))
    assert str(refused.value).startswith("image ") and len(str(refused.value)) < 200


def test_pictures_of_one_server_are_told_apart_by_what_was_asked():
    question = {"question": "Is there a cup?", "image_src": "https://x.org/i.php?id=1&sig=a"}

    def answer(image):
        return Line("line 1", 1, "yes", image=image)

    for same in ("https://x.org/i.php?id=1&sig=b", "https://x.org/i.php", "i.php"):
        check(answer(same), question)
    with pytest.raises(Refused, match="is about the image"):
        check(answer("https://x.org/i.php?id=2&sig=a"), question)


@pytest.mark.parametrize("image", [7, "7", "000000000007.jpg", "COCO_val2014_000000000007.jpg"])
def test_captions_may_name_a_picture_by_its_number_in_coco(image):
    faults = Faults()
    file = io.BytesIO(json.dumps([{"image_id": image, "caption": "a"}]).encode())
    captions = Captions(file, faults)
    assert captions.of("train2017/000000000007.jpg", 1) == ["a"] and not faults


@pytest.mark.parametrize(
    ("set_of", "image", "name"),
    [
        ("mscoco_val2017", "7", "000000000007.jpg"),
        ("open_images", "0013ea", "0013ea.jpg"),
        ("flickr30k", "1000092795", "1000092795.jpg"),
    ],
)
def test_localized_narratives_name_a_picture_by_its_id_in_a_set(set_of, image, name):
    record = {"dataset_id": set_of, "image_id": image, "annotator_id": 1, "caption": "a"}
    faults = Faults()
    captions = Captions(io.BytesIO(json.dumps(record).encode()), faults)
    assert captions.of(name, 1) == ["a"] and not faults


RATED = {
    "Hallucination: yes\nRating: 5": None,
    "Rating: 5\nHallucination: yes": None,
    "Hallucination: no. Rating: 1": None,
    '{\n  "rating": 5,\n  "hallucination": "yes"\n}': None,
    "Hallucination: no\nRating: 5": 5,
    "Hallucination: no hallucination was found\nRating: 5": 5,
    "Hallucination present: yes\nRating: 2": 2,
    "Rating: 4 at best, maybe 3": None,
    "Rating: 4 at most": None,
    "Rating: 4+": None,
    "Rating: 4-": None,
    "Rating: 4 - somewhat informative": 4,
    "My rating is therefore: **3**.": 3,
}


@pytest.mark.parametrize("reply", RATED)
def test_a_rating_that_is_hedged_or_contradicted_is_none(reply):
    assert mmhal.parse_rating(reply) == RATED[reply]


@pytest.mark.parametrize(
    "reply",
    [
        "Response 1: 8, Response 2: 7",
        "Assistant A: 8\nAssistant B: 7",
        "Model 1: 8 | Model 2: 7",
        "**Answer 2:** 7/10\n**Answer 1:** 8/10",
    ],
)
def test_what_judges_call_the_two_is_no_matter(reply):
    assert llava_bench.parse_scores(reply) == (8.0, 7.0)


def test_what_i_would_say_is_an_answer():
    assert pope.parse_answer("I'd say yes.", asked="Is there a dog in the image?") == "yes"


SET = {"question": "What is this?", "image_src": "a.png", "question_id": 1}


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        ("What is this?", True),
        ("<image>\nWhat is this", True),
        ("What is this?\nAnswer with one word.", True),
        ("What is this? (a) a dog (b) a cat", True),
        ("What is this\nIn one word:", True),
        ("What is this Answer with one word", True),
        ("What is this animal called?", False),
        ("What is this, and where?", False),
        ("What is", False),
        ("", True),
    ],
)
def test_a_longer_question_is_another_one(asked, fits):
    line = Line("line 1", 1, "A dog.", asked)
    if fits:
        check(line, SET)
        return
    with pytest.raises(Refused, match="answers another question"):
        check(line, SET)


@pytest.mark.parametrize(
    "record",
    [
        {"text": "Is there a dog?", "label": "Yes"},
        {"question": "Is there a dog?", "answer": "yes"},
        {"question": "Is there a dog?", "label": "yes "},
    ],
)
def test_a_question_of_pope_is_read_as_others_publish_it(record, tmp_path):
    path = tmp_path / "coco_pope_random.json"
    path.write_text(json.dumps({"question_id": "1", "image": "a.png", **record}))
    [question] = pope.load_questions(path)
    assert (question.text, question.label) == ("Is there a dog?", "yes")


WILD = {
    "questions.jsonl": {"question_id": 0, "image": "001.jpg", "text": "Where?", "category": "conv"},
    "answers_gpt4.jsonl": {"question_id": 0, "prompt": "Where?", "text": "In Hawaii."},
    "context.jsonl": {"id": "001", "image": "001.jpg", "caption": "A view of Diamond Head."},
}


def _published(folder, files):
    for name, line in files.items():
        (folder / name).write_text(json.dumps(line))
    return folder


@pytest.mark.django_db
def test_llava_bench_in_the_wild_is_a_benchmark_of_its_own(tmp_path):
    folder = _published(tmp_path, WILD)
    [path] = question_files("llava_bench_wild", folder)
    made = import_questions(
        "llava_bench_wild", path, images_from=Folder(folder), allow_missing=True
    )
    data = made.questions.get().data
    assert (made.name, data["gt_answer"]) == ("LLaVA-Bench (in the wild)", "In Hawaii.")
    assert data["image_content"] == ["A view of Diamond Head."]
    with pytest.raises(
        NotTaken, match=r"no qa90_questions.jsonl \(but questions.jsonl, which llava"
    ):
        question_files("llava_bench", folder)


def test_the_parts_of_llava_bench_in_the_wild_lie_beside_its_questions(tmp_path):
    folder = _published(tmp_path, {"questions.jsonl": WILD["questions.jsonl"]})
    with pytest.raises(NotTaken, match=r"answers_gpt4.jsonl is missing beside questions.jsonl"):
        read_questions("llava_bench_wild", folder / "questions.jsonl")
