"""The picture of a record: inside it, one of several, or a mark within a text."""

import base64
import json

import pytest

from annotation.image_sources import Folder, Stored
from annotation.importing import Options, import_files
from annotation.importing.formats import parse_any_pair
from annotation.importing.forms.ours import parse_prompt
from annotation.importing.inline_pictures import Inlined
from annotation.importing.record_files import ImportRefused
from annotation.models import Comparison, Image
from annotation.texts import without_placeholder
from tests.factories import make_project, picture_bytes
from tests.inputs.forms.records import (
    ASKED,
    BAD,
    FLAT,
    GOOD,
    IMAGE,
    LABELLED,
    assistant,
    human,
    parts,
    user,
)

PICTURE = picture_bytes()
BASE64 = base64.b64encode(PICTURE).decode()
BROKEN = base64.b64encode(PICTURE[:40] + b"x" * 60).decode()
INLINE = {
    "a data URI": lambda data: {**LABELLED["RLHF-V"], "image": f"data:image/png;base64,{data}"},
    "base64": lambda data: {**LABELLED["RLHF-V"], "image": data},
    "a list of one": lambda data: {**LABELLED["TRL"], "images": [f"data:image/png;base64,{data}"]},
    "bytes": lambda data: {**LABELLED["RLHF-V"], "image": {"bytes": data, "path": None}},
    "an address": lambda data: {
        **LABELLED["RLHF-V"],
        "image": [{"url": f"data:image/png;base64,{data}"}],
    },
    "base64 of addresses": lambda data: {
        **LABELLED["RLHF-V"],
        "image": data.translate(str.maketrans("+/", "-_")),
    },
    "OpenAI's part": lambda data: {
        "messages": [
            {
                "role": "user",
                "content": parts(
                    ASKED,
                    {
                        "type": "image_url",
                        "image_url": {"url": f"data:image/png;base64,{data}"},
                    },
                ),
            }
        ],
        "chosen": GOOD,
        "rejected": BAD,
    },
}


def run(tmp_path, record, **options):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(record))
    return import_files(
        make_project(), [path], Stored(Image.objects.all()), options=Options(**options)
    )


@pytest.mark.django_db
@pytest.mark.parametrize("form", INLINE)
def test_a_picture_inside_a_record_is_taken_like_an_upload(tmp_path, form):
    assert run(tmp_path, INLINE[form](BASE64)).created == 1
    assert Comparison.objects.get().prompt.image.format == "png"


@pytest.mark.django_db
@pytest.mark.parametrize("data", [BROKEN, BASE64[:-3] + "§§§", "iVBORw0KGgo" + "A" * 40_000])
@pytest.mark.parametrize("form", INLINE)
def test_a_broken_one_is_refused_with_no_long_word(tmp_path, form, data):
    with pytest.raises(ImportRefused) as refused:
        run(tmp_path, INLINE[form](data))
    said = "\n".join(map(str, refused.value.problems))
    assert "line 1" in said and len(said) < 300 and "Error" not in said


def shown(*names):
    return parts("Which?", *({"type": "image_url", "image_url": {"url": name}} for name in names))


TWO_PICTURES = {
    "LLaVA": {
        **{"id": "1", "image": ["a.png", "b.png"], "output_1": GOOD, "output_2": BAD},
        "conversations": [human("<image>\n<image>\nWhich?")],
    },
    "RLHF-V": {**LABELLED["RLHF-V"], "image": ["a.png", "b.png"]},
    "TRL": {**LABELLED["TRL"], "images": ["a.png", "b.png"]},
    "TRL, one named": {**LABELLED["TRL"], "prompt": [{"role": "user", "content": [IMAGE] * 2}]},
    "LLaMA-Factory": {
        **LABELLED["LLaMA-Factory"],
        **{"conversations": [human(f"<image><image>{ASKED}")], "images": ["a.png", "b.png"]},
    },
    "ms-swift": {**LABELLED["ms-swift"], "images": [{"path": "a.png"}, {"path": "b.png"}]},
    "OpenAI messages": {
        **{"messages": [{"role": "user", "content": shown("a.png", "b.png")}]},
        **{"chosen": GOOD, "rejected": BAD},
    },
    "OpenAI messages, in two turns": {
        "messages": [
            *({"role": "user", "content": shown("a.png")}, assistant("The first.")),
            {"role": "user", "content": shown("b.png")},
        ],
        **{"chosen": GOOD, "rejected": BAD},
    },
    "OpenAI preferences": {
        **LABELLED["OpenAI preferences"],
        "image": None,
        "input": {"messages": [{"role": "user", "content": shown("a.png", "b.png")}]},
    },
    "another beside the turns": {
        **{"messages": [{"role": "user", "content": shown("b.png")}]},
        **{"chosen": GOOD, "rejected": BAD, "image": "a.png"},
    },
    "two members": {**LABELLED["RLHF-V"], "images": ["b.png"]},
    "a table of columns": {**LABELLED["RLHF-V"], "image": None, "image_1": "a.png", "image_2": "b"},
    "a table, numbers behind": {**LABELLED["RLHF-V"], "image2": "b.png"},
    "Label Studio": {
        **LABELLED["Label Studio"],
        "data": {**LABELLED["Label Studio"]["data"], "image": ["a.png", "b.png"]},
    },
}


@pytest.mark.django_db
@pytest.mark.parametrize("form", TWO_PICTURES)
def test_a_record_of_several_pictures_is_refused_or_left_out(tmp_path, form):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(picture_bytes())
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([LABELLED["RLHF-V"], TWO_PICTURES[form]]))
    with pytest.raises(ImportRefused) as refused:
        import_files(make_project(), [path], Folder(tmp_path))
    [problem] = refused.value.problems
    assert problem.line == 2 and problem.field and "a comparison shows one" in problem.reason
    options = Options(leave_out_unusable=True)
    done = import_files(make_project(), [path], Folder(tmp_path), options=options)
    assert (done.created, done.left_out) == (1, 1)


@pytest.mark.parametrize("where", ["first", "later"])
def test_an_image_that_is_a_part_of_a_turn_is_that_of_the_record(tmp_path, where):
    turns = [{"role": "user", "content": shown("a.png")}]
    turns = turns if where == "first" else [user("Hello."), assistant("Hi."), *turns]
    for record in (
        {"messages": turns, "chosen": GOOD, "rejected": BAD},
        {"input": {"messages": turns}, "preferred_output": GOOD, "non_preferred_output": BAD},
    ):
        pair = parse_any_pair(1, Inlined(tmp_path).taken_out(record))
        assert pair.prompt.image == "a.png"
        texts = [turn["value"] for turn in pair.prompt.conversation]
        assert [text.count("<image>") for text in texts] == [1, 0, 0][: len(turns)]


MARKS = {
    "<video>\nWhat happens?": "holds <video>, which stands for nothing there: it is text",
    "<image>\n<video>What happens?": "holds <video>",
    "<image 1> What is it?": "holds <image 1>",
    "<Image>\nWhat is it?": "holds <Image>",
    "<image></image>\nWhat is it?": "holds </image>",
    "<|vision_start|><|image_pad|><|vision_end|>What is it?": "holds <|vision_start|>",
    "<image>\n<image>\nWhat is it?": "has 2 places for the one image",
}


@pytest.mark.parametrize("asked", MARKS)
@pytest.mark.parametrize("form", ["pair", "prompt", "another project's"])
def test_a_mark_that_stands_for_nothing_is_said(asked, form):
    record = {"id": "1", "image": "a.png", "conversations": [human(asked)]}
    if form == "pair":
        record |= {"output_1": GOOD, "output_2": BAD}
    if form == "another project's":
        record |= {"chosen": GOOD, "rejected": BAD}
    found = (parse_prompt if form == "prompt" else parse_any_pair)(1, record)
    [warning] = found.warnings()
    assert (warning.line, warning.field) == (1, "conversations[0].value")
    assert MARKS[asked] in warning.reason


@pytest.mark.parametrize("text", ["What does <image> mean?", "<image> What does <image> mean?"])
def test_where_a_part_is_the_image_a_mark_within_the_text_is_text(text):
    turn = {"role": "user", "content": parts(text, IMAGE)}
    pair = parse_any_pair(
        1, {"images": ["a.png"], "prompt": [turn], "chosen": GOOD, "rejected": BAD}
    )
    [asked] = pair.prompt.conversation
    assert without_placeholder(asked["value"]) == "What does <image> mean?"


def test_marks_of_answers_are_text_and_said():
    pair = parse_any_pair(1, {**FLAT, "chosen": "See <image>.", "rejected": "if 1<2: <b>no</b>"})
    assert [warning.reason.split(",")[0] for warning in pair.warnings()] == ["holds <image>"]
