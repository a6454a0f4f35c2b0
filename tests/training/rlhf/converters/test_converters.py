from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.rlhf.converters import samples
from training.rlhf.contract import ConversationRecord
from training.rlhf.converters import CONVERTERS
from training.rlhf.errors import DataError
from training.rlhf.facts import correctness_bonus


def convert(name: str, files: dict[str, Path]) -> tuple[list[ConversationRecord], Counter[str]]:
    dropped: Counter[str] = Counter()
    return list(CONVERTERS[name].convert(files, dropped)), dropped


def vqa_files(folder: Path, *, questions: Any = None, annotations: Any = None) -> dict[str, Path]:
    return {
        "questions": samples.write(
            folder / samples.QUESTIONS_NAME, questions or samples.vqa_questions()
        ),
        "annotations": samples.write(
            folder / "annotations.json", annotations or samples.vqa_annotations()
        ),
    }


def rounds(record: ConversationRecord) -> list[str]:
    return [*(turn.text for turn in record.conversation), record.answer]


def test_yes_no_questions_of_an_image_become_one_conversation(tmp_path: Path) -> None:
    [record], dropped = convert("vqa_v2", vqa_files(tmp_path))
    assert record.image == "COCO_train2014_000000000009.jpg"
    assert rounds(record) == [
        "<image>\nIs the dog asleep?\nAnswer with yes or no.",
        "No",
        "Is there a ball?\nAnswer with yes or no.",
        "Yes",
    ]
    assert record.all_answers
    assert dropped == {"not a yes/no question": 1, "neither yes nor no": 1}


def test_many_questions_about_an_image_make_several_conversations(tmp_path: Path) -> None:
    questions, annotations = samples.vqa_questions(), samples.vqa_annotations()
    asked, given = questions["questions"][0], annotations["annotations"][0]
    questions["questions"] = [asked | {"question_id": number} for number in range(7)]
    annotations["annotations"] = [given | {"question_id": number} for number in range(7)]
    files = vqa_files(tmp_path, questions=questions, annotations=annotations)
    records, _ = convert("vqa_v2", files)
    assert [len(record.conversation) // 2 + 1 for record in records] == [5, 2]
    assert len({record.id for record in records}) == 2


def test_multiple_choice_is_answered_with_its_reason(tmp_path: Path) -> None:
    files = {"annotations": samples.write(tmp_path / "aokvqa.json", samples.aokvqa())}
    [record], dropped = convert("aokvqa", files)
    assert record.image == "000000000009.jpg"
    assert rounds(record) == [
        "<image>\nWhy does the dog look at the man?\nA. fear\nB. hunger\nC. ball\nD. rain\n"
        "Give the reason and then the letter of the correct option.",
        "The man holds a ball. So the correct option is C. ball",
    ]
    assert record.captions == ("The man holds a ball", "Dogs like balls.")
    assert dropped == {"no answer (test split)": 1, "no rationale": 1}
    assert correctness_bonus(record.answer, 4) == 2.0  # truth C
    assert correctness_bonus(record.answer, 2) == 0.0


@pytest.mark.parametrize("text", [samples.TOKEN_FILE, samples.BAR_FILE, samples.COMMA_FILE])
def test_captions_are_read_in_each_published_form(text: str, tmp_path: Path) -> None:
    records, dropped = convert("flickr30k", {"captions": samples.write(tmp_path / "c", text)})
    assert [record.image for record in records] == ["1000.jpg", "2000.jpg"]
    assert records[0].captions == ("A dog waits for a ball.", "A brown dog, waiting")
    assert records[0].answer in records[0].captions
    assert records[1].answer == "Two people walk along the sea."
    assert not dropped


def test_empty_captions_are_counted(tmp_path: Path) -> None:
    text = samples.TOKEN_FILE + "2000.jpg#1\t \n"
    records, dropped = convert("flickr30k", {"captions": samples.write(tmp_path / "c", text)})
    assert len(records[1].captions) == 1
    assert dropped == {"empty caption": 1}


def test_conversations_keep_their_rounds(tmp_path: Path) -> None:
    files = {"conversations": samples.write(tmp_path / "llava.json", samples.llava())}
    [record], dropped = convert("llava", files)
    assert record.id == "llava-000000000009"
    assert rounds(record) == [
        "<image>\nWhat is the dog doing?",
        "It waits.",
        "For what?",
        "For the ball.",
    ]
    assert record.all_answers
    assert dropped == {
        "no image (text only)": 1,
        "ends without an answer": 1,
        "an empty turn": 1,
        "several images": 1,
    }


SAID = {"user": "What?", "assistant": "An <image> tag."}


@pytest.mark.parametrize(
    ("image", "kept"),
    [("a.jpg", 1), (["a.jpg"], 1), (["a.jpg", "b.jpg"], 0), (None, 0), ([], 0)],
    ids=str,
)
def test_conversations_of_other_programs_mean_the_same(
    tmp_path: Path, image: object, kept: int
) -> None:
    """A list of one image is that image; a mark in an answer is text."""
    turns = [{"from": role, "value": text} for role, text in SAID.items()]
    data = [{"id": 1, "image": image, "conversations": turns}]
    files = {"conversations": samples.write(tmp_path / "llava.json", data)}
    found, _ = convert("llava", files)
    assert [(one.image, rounds(one)) for one in found] == [
        ("a.jpg", ["<image>\nWhat?", SAID["assistant"]])
    ] * kept


def without(data: list[dict[str, Any]], number: int, name: str) -> list[dict[str, Any]]:
    del data[number][name]
    return data


def broken_turn() -> list[dict[str, Any]]:
    data = samples.llava()
    data[2]["conversations"][1]["from"] = "human"
    return data


def shifted() -> dict[str, Any]:
    data = samples.vqa_annotations()
    data["annotations"][2]["image_id"] = 25
    return data


def unknown() -> dict[str, Any]:
    data = samples.vqa_annotations()
    data["annotations"][3]["question_id"] = 7
    return data


@pytest.mark.parametrize(
    ("name", "role", "content", "message"),
    [
        (
            "aokvqa",
            "annotations",
            lambda: without(samples.aokvqa(), 1, "choices"),
            r"^file\.json, line 2, choices: is missing$",
        ),
        ("aokvqa", "annotations", lambda: {"a": 1}, r"^file\.json, line 1, choices: is missing$"),
        (
            "aokvqa",
            "annotations",
            lambda: [samples.aokvqa()[0] | {"correct_choice_idx": 4}],
            r"line 1, correct_choice_idx: is 4",
        ),
        ("llava", "conversations", lambda: "[{", r"^file\.json: is not JSON"),
        (
            "llava",
            "conversations",
            broken_turn,
            r"^file\.json, line 3, conversations\[1\]\.from: is 'human', not 'gpt'$",
        ),
        ("vqa_v2", "annotations", lambda: {}, r"^file\.json: field 'annotations' is not a list$"),
        ("vqa_v2", "annotations", shifted, r"annotations\[2\], image_id: the question is about 9"),
        ("vqa_v2", "annotations", unknown, r"annotations\[3\], question_id: 7 is not among"),
        ("flickr30k", "captions", lambda: "a.jpg#0\tyes\na.jpg yes\n", r"^file\.json, line 2: "),
        ("flickr30k", "captions", lambda: "image,caption\na,b,c\n", r"line 2: has 3 columns"),
    ],
)
def test_a_file_of_another_form_is_an_error_with_its_place(
    name: str, role: str, content: Callable[[], Any], message: str, tmp_path: Path
) -> None:
    files = vqa_files(tmp_path) if name == "vqa_v2" else {}
    files[role] = samples.write(tmp_path / "file.json", content())
    with pytest.raises(DataError, match=message):
        convert(name, files)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^nowhere\.json: cannot be read"):
        convert("aokvqa", {"annotations": tmp_path / "nowhere.json"})


def test_questions_whose_subset_is_unknown_are_refused(tmp_path: Path) -> None:
    files = vqa_files(tmp_path)
    files["questions"] = files["questions"].rename(tmp_path / "questions.json")
    with pytest.raises(DataError, match="train2014"):
        convert("vqa_v2", files)
