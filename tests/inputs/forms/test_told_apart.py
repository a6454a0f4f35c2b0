"""A file's format is told by its first record, and a record without two answers says what it is."""

import io
import json

import pytest

from annotation.importing.formats import format_by_content, parse_any_pair, read
from annotation.importing.record_files import BadField, ImportRefused
from tests.inputs.forms.records import ASKED, BAD, GOOD, LABELLED, assistant, gpt, human, user

LLAVA = {"id": "1", "image": "a.png", "conversations": [human(), gpt()]}
NO_PAIRS = {
    "LLaVA's conversations": (LLAVA, "holds no two answers: its format is llava"),
    "TRL without pairs": (
        {"images": ["a.png"], "prompt": ASKED, "completion": GOOD, "label": True},
        "there are: images, prompt, completion, label",
    ),
    "OpenAI's training turns": (
        {"messages": [user(), assistant()]},
        "holds no two answers in a form that is read (there are: messages)",
    ),
    "two pictures and one answer": (
        {"messages": [user(), assistant()], "images": ["a.png"], "rejected_images": ["b.png"]},
        "there are: messages, images, rejected_images",
    ),
}


@pytest.mark.parametrize("kind", NO_PAIRS)
def test_a_record_without_two_answers_says_what_it_is(kind):
    record, reason = NO_PAIRS[kind]
    with pytest.raises(BadField) as refused:
        parse_any_pair(1, record)
    assert reason in refused.value.reason


@pytest.mark.parametrize(
    ("records", "number", "format"),
    [
        ([LLAVA], 1, "llava"),
        ([LLAVA], 2, "llava"),
        ([{**LLAVA, "conversations": [human()]}], 2, "llava"),
        ([{**LLAVA, "output_1": GOOD, "output_2": BAD}], 1, "llava_rlhf"),
        ([LABELLED["RLHF-V with conversations"]], 1, "llava_rlhf"),
        ([LABELLED["TRL"]], 1, "llava_rlhf"),
        ([{"question": ASKED, "image_src": "a.png", "model_answer": GOOD}], 2, "mmhal"),
        ([], 1, "llava_rlhf"),
    ],
)
@pytest.mark.parametrize("lines", [True, False])
def test_the_format_is_told_by_the_first_record(records, number, format, lines, tmp_path):
    texts = map(json.dumps, records)
    text = "\n".join(texts) if lines else f"[{', '.join(texts)}]"
    (tmp_path / "a").write_text(text)
    assert format_by_content([tmp_path / "a"] * number) == format


def test_one_conversation_is_a_record_and_no_list_of_records():
    one = json.dumps(
        {"messages": [user(), assistant()], "rejected_response": BAD, "image": "a.png"}
    )
    [pair] = read("llava_rlhf", io.BytesIO(one.encode()), names=("a", ""))
    assert {pair.response_1, pair.response_2} == {GOOD, BAD}
    alone = json.dumps({"messages": [user(), assistant()]})
    with pytest.raises(ImportRefused, match="holds no two answers"):
        read("llava_rlhf", io.BytesIO(alone.encode()), names=("a", ""))
