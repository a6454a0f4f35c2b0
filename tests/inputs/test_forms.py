"""The forms in which pairs exist in the world: told by their members, read alike."""

import base64
import io
import json

import pytest

from annotation import exporting
from annotation.image_sources import Folder, Stored
from annotation.importing import Options, import_files
from annotation.importing.formats import format_by_content, parse_any_pair, parse_row, read
from annotation.importing.forms.ours import parse_prompt
from annotation.importing.forms.prompts import parse_any_prompt
from annotation.importing.inline_pictures import Inlined
from annotation.importing.record_files import BadField, ImportRefused
from annotation.models import Comparison, Image, Prompt
from annotation.texts import without_placeholder
from tests.factories import make_project, picture_bytes

ASKED, GOOD, BAD = "What does the card say?", "It says one.", "It shows a dog."


def user(text=f"<image>{ASKED}"):
    return {"role": "user", "content": text}


def assistant(text=GOOD):
    return {"role": "assistant", "content": text}


def parts(text, *images):
    return [*images, {"type": "text", "text": text}]


def human(text=f"<image>{ASKED}"):
    return {"from": "human", "value": text}


def gpt(text=GOOD):
    return {"from": "gpt", "value": text}


IMAGE = {"type": "image"}
FLAT = {"image": "a.png", "question": ASKED}
LABELLED = {
    "RLHF-V": {**FLAT, "chosen": GOOD, "rejected": BAD},
    "RLHF-V inside text": {
        "image": "a.png",
        "text": json.dumps({"question": ASKED, "chosen": GOOD, "rejected": BAD}),
    },
    "prompt as a column": {"image": "a.png", "prompt": ASKED, "chosen": GOOD, "rejected": BAD},
    "RLHF-V with conversations": {
        "image": "a.png",
        "conversations": [human(ASKED), gpt()],
        "rejected": BAD,
    },
    "TRL": {
        "images": ["a.png"],
        "prompt": [{"role": "user", "content": parts(ASKED, IMAGE)}],
        "chosen": [{"role": "assistant", "content": parts(GOOD)}],
        "rejected": [{"role": "assistant", "content": parts(BAD)}],
    },
    "TRL, the prompt in both": {
        "images": [{"path": "a.png", "bytes": None}],
        "chosen": [{"role": "user", "content": parts(ASKED, IMAGE)}, assistant()],
        "rejected": [{"role": "user", "content": parts(ASKED, IMAGE)}, assistant(BAD)],
    },
    "LLaMA-Factory": {
        "conversations": [human()],
        "chosen": gpt(),
        "rejected": gpt(BAD),
        "images": ["a.png"],
    },
    "LLaMA-Factory, messages": {
        "messages": [user()],
        "chosen": assistant(),
        "rejected": assistant(BAD),
        "images": ["a.png"],
    },
    "ms-swift": {
        "messages": [user(), assistant()],
        "rejected_response": BAD,
        "images": ["a.png"],
    },
    "ms-swift, messages": {
        "messages": [user(), assistant()],
        "rejected_messages": [user(), assistant(BAD)],
        "images": [{"path": "a.png"}],
    },
    "OpenAI messages": {
        "messages": [{"role": "user", "content": parts(ASKED, IMAGE)}],
        "chosen": GOOD,
        "rejected": BAD,
        "image": ["a.png"],
    },
    "OpenAI preferences": {
        "input": {"messages": [{"role": "user", "content": parts(ASKED, IMAGE)}]},
        "preferred_output": [assistant()],
        "non_preferred_output": [assistant(BAD)],
        "image": "a.png",
    },
    "VL-RewardBench": {
        "id": "v1",
        "image_path": "a.png",
        "query": ASKED,
        "response": [BAD, GOOD],
        "human_ranking": [1, 0],
    },
    "ms-swift's older form": {
        **{"query": f"<image>{ASKED}", "response": GOOD, "rejected_response": BAD},
        "images": ["a.png"],
    },
    "a table": {**FLAT, "response1": GOOD, "response2": BAD, "judgement": "1"},
    "a table, the other way": {**FLAT, "answer_a": BAD, "answer_b": GOOD, "winner": "model_b"},
    "our CSV": {**FLAT, "better": GOOD, "worse": BAD, "preference": "2", "hallucination": "true"},
    "Label Studio": {
        "id": 5,
        "data": {"image": "a.png", "prompt": ASKED, "answer1": GOOD, "answer2": BAD},
        "annotations": [
            {"result": [{"type": "pairwise", "value": {"selected": "left"}}]},
            {"result": [{"type": "pairwise", "value": {"selected": "left"}}]},
            {"result": [{"type": "pairwise", "value": {"selected": "right"}}]},
            {"was_cancelled": True, "result": [{"value": {"selected": "right"}}]},
        ],
    },
    "Label Studio, choices": {
        "data": {"image": "a.png", "prompt": ASKED, "answer1": BAD, "answer2": GOOD},
        "annotations": [{"result": [{"type": "choices", "value": {"choices": ["right"]}}]}],
    },
    "Label Studio, JSON-MIN": {
        **{"image": "a.png", "prompt": ASKED, "answer1": GOOD, "answer2": BAD},
        **{"better_one": "left", "annotation_id": 3, "annotator": 1},
    },
    "Argilla 2": {
        "id": "x",
        "fields": {"image": "a.png", "prompt": ASKED, "response-1": BAD, "response-2": GOOD},
        "responses": {"preference": [{"value": "response-2", "status": "submitted"}]},
    },
    "Argilla 1, a ranking": {
        "fields": {"image": "a.png", "prompt": ASKED, "response-1": GOOD, "response-2": BAD},
        "responses": [
            {
                "values": {
                    "preference": {
                        "value": [
                            {"value": "response-1", "rank": 1},
                            {"value": "response-2", "rank": 2},
                        ]
                    }
                }
            },
            {"status": "discarded", "values": {"preference": {"value": "response-2"}}},
        ],
    },
    "Argilla's data set": {
        **{"image": "a.png", "prompt": ASKED, "response_1": GOOD, "response_2": BAD},
        "preference.responses": ["response_1", "response_1"],
    },
}


@pytest.mark.parametrize("form", LABELLED)
def test_a_form_is_told_by_its_members(form):
    pair = parse_any_pair(1, LABELLED[form])
    assert (pair.prompt.image, pair.line) == ("a.png", 1)
    assert [turn["from"] for turn in pair.prompt.conversation] == ["human"]
    text = pair.prompt.conversation[0]["value"]
    assert text.replace("<image>", "").strip() == ASKED
    assert {pair.response_1, pair.response_2} == {GOOD, BAD}
    assert pair.label is not None
    assert (pair.response_1, pair.response_2)[pair.label.preference - 1] == GOOD


def test_the_votes_of_a_labelling_tool_come_along():
    label = parse_any_pair(1, LABELLED["Label Studio"]).label
    assert (label.votes, label.margin) == ({"1": 2, "2": 1, "tie": 0}, pytest.approx(1 / 3))


def test_what_an_instruction_is_applied_to_belongs_to_the_question():
    row = {"instruction": "Look.", "input": ASKED, "chosen": GOOD, "rejected": BAD}
    [turn] = parse_any_pair(1, {**row, "images": ["a.png"]}).prompt.conversation
    assert turn["value"] == f"<image>\nLook.\n{ASKED}"


@pytest.mark.parametrize("preference", [2, 2.0, "2"])
@pytest.mark.parametrize(
    "images", [{"image": "a.png"}, {"image": ["a.png"]}, {"images": ["a.png"]}]
)
def test_our_own_form_is_read_as_tables_and_other_tools_write_it(preference, images):
    record = {
        "id": 1,
        "conversations": [{"from": "human", "value": ASKED}],
        "output_1": BAD,
        "output_2": GOOD,
    }
    pair = parse_any_pair(1, {**record, **images, "preference": preference})
    assert pair.prompt.image == "a.png"
    assert pair.label.preference == 2
    for other in (0, "0", 3, 1.5, True, "first", []):
        with pytest.raises(BadField, match="preference: is not 1 or 2"):
            parse_any_pair(1, {**record, **images, "preference": other})


UNLABELLED = {
    "a task nobody answered": {"data": LABELLED["Label Studio"]["data"]},
    "votes that are split": {
        **LABELLED["Label Studio"],
        "annotations": LABELLED["Label Studio"]["annotations"][1:3],
    },
    "a tie": {**FLAT, "response_1": GOOD, "response_2": BAD, "label": "tie"},
    "equal ranks": {**LABELLED["VL-RewardBench"], "human_ranking": [0, 0]},
    "nothing said": {**FLAT, "response_a": GOOD, "response_b": BAD},
}


@pytest.mark.parametrize("form", UNLABELLED)
def test_a_pair_without_a_better_answer_waits(form):
    pair = parse_any_pair(1, UNLABELLED[form])
    assert (pair.label, {pair.response_1, pair.response_2}) == (None, {GOOD, BAD})


FAULTS = {
    "answers to different turns": (
        {
            "images": ["a.png"],
            "chosen": [user(), assistant()],
            "rejected": [user("?"), assistant()],
        },
        "rejected",
        "answers other turns than chosen",
    ),
    "an answer that shows an image": (
        {**LABELLED["TRL"], "chosen": [{"role": "assistant", "content": parts(GOOD, IMAGE)}]},
        "chosen",
        "shows an image",
    ),
    "a video": ({**LABELLED["RLHF-V"], "videos": ["a.mp4"]}, "videos", "is not shown"),
    "a part that is a video": (
        {**LABELLED["TRL"], "prompt": [{"role": "user", "content": parts("?", {"type": "video"})}]},
        "prompt[0]",
        "neither text nor an image",
    ),
    "no image": ({**LABELLED["RLHF-V"], "image": None}, "image", "is not the name of an image"),
    "an empty answer": ({**LABELLED["RLHF-V"], "chosen": " "}, "chosen", "is empty"),
    "an invisible answer": (
        {**LABELLED["RLHF-V"], "rejected": "\u200b\u2060"},
        "rejected",
        "holds nothing visible",
    ),
    "no worse answer": ({**FLAT, "chosen": GOOD}, "", ""),
    "three answers": ({**LABELLED["VL-RewardBench"], "response": ["a", "b", "c"]}, "response", "3"),
    "a label that says nothing": (
        {**LABELLED["a table"], "judgement": "perhaps"},
        "judgement",
        "does not say which",
    ),
    "an id that is an object": ({**LABELLED["RLHF-V"], "idx": {"a": 1}}, "idx", "neither a text"),
    "an id that is a truth": ({**LABELLED["RLHF-V"], "id": True}, "id", "neither a text"),
    "a system turn": (
        {**LABELLED["ms-swift"], "messages": [{"role": "system", "content": "x"}, user()]},
        "",
        "",
    ),
    "roles out of order": (
        {**LABELLED["LLaMA-Factory"], "conversations": [human(), human("And?")]},
        "conversations[1].from",
        "human follows human",
    ),
    "a filled last turn": (
        {**LABELLED["TRL"], "prompt": [user(), assistant("Something else.")]},
        "the last of 2 turns",
        "neither of the two",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_form_names_its_field(fault):
    record, field, reason = FAULTS[fault]
    with pytest.raises(BadField) as refused:
        parse_any_pair(1, record)
    assert field in refused.value.field and reason in refused.value.reason
    assert "Error" not in str(refused.value)


@pytest.mark.parametrize("number", [0, 0.0, "0"])
def test_a_number_is_the_same_id_however_it_is_written(number):
    row = {**LABELLED["RLHF-V"], "ds_name": "RLHF-V", "idx": number}
    assert parse_any_pair(1, row).id == "RLHF-V-0"


@pytest.mark.parametrize("nothing", [None, float("nan"), ""])
def test_no_number_is_an_id_by_content(nothing):
    row = {**LABELLED["RLHF-V"], "idx": nothing}
    assert parse_any_pair(1, row).id == parse_any_pair(1, LABELLED["RLHF-V"]).id
    for other in ({"question": "Else?"}, {"image": "b.png"}):
        assert parse_any_pair(1, {**row, **other}).id != parse_any_pair(1, row).id


def test_a_field_that_no_record_has_is_one_fault_with_those_that_are_there():
    lines = "\n".join(json.dumps({**FLAT, "chosen": GOOD, "n": n}) for n in range(30))
    with pytest.raises(ImportRefused) as refused:
        read("rlhf_v", io.BytesIO(lines.encode()), names=("a", ""))
    [problem] = refused.value.problems
    assert str(problem).startswith("all 30 lines: rejected is missing (there are: image, question")


# --- pictures inside records --------------------------------------------------------------------

PICTURE = picture_bytes()
BASE64 = base64.b64encode(PICTURE).decode()
BROKEN = base64.b64encode(PICTURE[:40] + b"x" * 60).decode()
INLINE = {
    "a data URI": lambda data: {**LABELLED["RLHF-V"], "image": f"data:image/png;base64,{data}"},
    "base64": lambda data: {**LABELLED["RLHF-V"], "image": data},
    "a list of one": lambda data: {**LABELLED["TRL"], "images": [f"data:image/png;base64,{data}"]},
    "bytes": lambda data: {**LABELLED["RLHF-V"], "image": {"bytes": data, "path": None}},
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


# --- a record of several pictures ---------------------------------------------------------------


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


# --- what we export comes back ------------------------------------------------------------------

EXPORTS = {
    **{"llava_rlhf": "llava_rlhf", "trl": "rlhf_v", "rlhf_v": "rlhf_v", "csv": "rlhf_v"},
    "datasets": "rlhf_v",
}


ODD_TEXTS = [
    ("=1+1", "-x"),
    ("'=1", "=1"),
    ("''+4", "@you"),
    ("a\r\nb", "a\nc"),
    (" before", "behind "),
    ("\ttab", 'say "a", b;c'),
    ("<image> is", "see <image>"),
    ("e\u0301", "x\u2028y\x85z"),
    ("null", "NaN"),
    ('{"a": 1}', "[1]"),
    ('[{"role": "assistant", "content": "x"}]', '{"from": "gpt", "value": "x"}'),
]
ASKS = ["<image>\n=What?", "<image>\nWhat does the <image> tag mean?"]
TALK = [human("<image>\nHello."), gpt("See <image>."), human(" What is it?\n")]


@pytest.mark.django_db
@pytest.mark.parametrize("name", EXPORTS)
def test_what_is_exported_comes_back(tmp_path, name):
    project = make_project(k=1)
    records = []
    for number, (better, worse) in enumerate(ODD_TEXTS):
        (tmp_path / f"{number}.png").write_bytes(picture_bytes())
        records.append(
            {
                **{"id": f"={number}", "image": f"{number}.png", "preference": 1 + number % 2},
                "conversations": TALK if number % 3 == 2 else [human(ASKS[number % 2])],
                "output_1": {"from": "-a", "value": (better, worse)[number % 2]},
                "output_2": {"from": "b", "value": (worse, better)[number % 2]},
                "hallucination": number % 4 > 0,
                "votes": {"1": 2 - number % 2, "2": 1 + number % 2, "tie": 0},
                "margin": 1 / 3,
            }
        )
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(records))
    import_files(project, [path], Folder(tmp_path))
    release = exporting.make_release(project)
    exporting.write_folder(release, tmp_path / "native", "llava_rlhf")
    whole = tmp_path / "all"
    if name == "datasets":
        folder = exporting.write_folder(release, tmp_path / "folder", name)
        whole.write_bytes(b"".join(path.read_bytes() for path in folder.glob("*/metadata.jsonl")))
    else:
        whole.write_bytes(b"".join(exporting.stream(release, name)))
    copy = make_project()
    images = Folder(tmp_path / "native" / "images")
    done = import_files(copy, [whole], images, format=EXPORTS[name])
    assert (done.created, done.left_out) == (len(ODD_TEXTS), 0)
    assert _said(copy, name) == _said(project, name)


def _said(project, name):
    """Of each pair what the format has a place for."""
    found = {}
    for one in Comparison.objects.filter(project=project).select_related("prompt"):
        turns = [turn["value"].replace("<image>\n", "") for turn in one.prompt.conversation]
        if name == "csv":  # flat: earlier turns stand in the question
            turns = [] if len(turns) > 1 or "Question: " in turns[0] else turns
        answers = [(one.response_1, one.model_1), (one.response_2, one.model_2)]
        better, worse = answers if one.preference == 1 else answers[::-1]
        if name in ("trl", "datasets"):
            better, worse = better[0], worse[0]
        found[one.external_id] = (one.prompt.image_id, turns, better, worse)
        if name != "trl":
            found[one.external_id] += (one.hallucination,)
        if name in ("llava_rlhf", "csv"):
            found[one.external_id] += (one.preference, one.imported_votes, one.margin)
    return found


# --- ids that several rows have -----------------------------------------------------------------

RANKED = {**LABELLED["VL-RewardBench"], "id": "q"}
OTHERS = {"other answers": {"response": [BAD, f"{GOOD}!"]}}
QUESTIONS = {
    "another question": {"query": "Else?", "response": [BAD, f"{GOOD}!"]},
    "another picture": {"image_path": "b.png", "image": "b.png", "response": [BAD, f"{GOOD}!"]},
    "the same once more": {},
}


def _twice(tmp_path, change):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(picture_bytes())
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([RANKED, {**RANKED, **change}]))
    return import_files(make_project(), [path], Folder(tmp_path), format="rlhf_v")


@pytest.mark.django_db
@pytest.mark.parametrize("change", OTHERS)
def test_pairs_of_one_question_may_have_its_id(tmp_path, change):
    assert _twice(tmp_path, OTHERS[change]).created == 2
    assert Prompt.objects.count() == 1
    assert {one.external_id[:2] for one in Comparison.objects.all()} == {"q "}


@pytest.mark.django_db
@pytest.mark.parametrize("change", QUESTIONS)
def test_an_id_of_two_questions_is_refused(tmp_path, change):
    with pytest.raises(ImportRefused, match=r"'q.*' is the id of line 1 too"):
        _twice(tmp_path, QUESTIONS[change])


# --- which answer is better, in everybody's words -----------------------------------------------

SAID = {
    1: (
        "1",
        1,
        1.0,
        "1.0",
        "A",
        "left",
        "Response 1",
        "response-1",
        "Model A",
        "model_a is better",
        "The first response",
        "left answer is better",
        "A is significantly better",
    ),
    2: (
        *("2", 2.0, "2.0", "b", "right", "answer_b", "Option 2", "[[B]]", "B is slightly better"),
        *("the second one", "B very much better", "second response wins"),
    ),
    None: (
        *("tie", "tie (bothbad)", "both_bad", "Equal", "same", "neither"),
        *("equal quality", "about equal", "similar"),
    ),
}
TABLE = {**FLAT, "response_1": GOOD, "response_2": BAD}


@pytest.mark.parametrize(("preference", "said"), [(p, s) for p, all in SAID.items() for s in all])
def test_a_table_names_the_better_answer_in_many_words(preference, said):
    pair = parse_any_pair(1, {**TABLE, "winner": said})
    assert (pair.label.preference if pair.label else None) == preference
    assert pair.tie == (preference is None)


@pytest.mark.parametrize("said", [0, "0", 0.0, -1, 3, "yes", "A>B", "better", True, {"a": 1}])
def test_what_may_mean_either_is_refused(said):
    with pytest.raises(BadField, match=r"winner: does not say which .* \(write 1, 2 or tie\)"):
        parse_any_pair(1, {**TABLE, "winner": said})


@pytest.mark.parametrize("nothing", [None, "", float("nan"), "nan", "NaN", "null"])
def test_a_cell_without_an_answer_is_no_tie(nothing):
    pair = parse_any_pair(1, {**TABLE, "winner": nothing})
    assert (pair.label, pair.tie, list(pair.warnings())) == (None, False, [])


def test_two_columns_that_name_different_answers_are_refused():
    same = parse_any_pair(1, {**TABLE, "preference": 1, "winner": "model_a", "label": "good"})
    assert same.label.preference == 1
    with pytest.raises(BadField, match="preference and winner: does not say"):
        parse_any_pair(1, {**TABLE, "preference": 1, "winner": "model_b"})


def test_a_tie_is_said_since_people_are_asked_again():
    [warning] = parse_any_pair(1, {**TABLE, "winner": "tie"}).warnings()
    assert "is a tie" in str(warning)
    assert parse_any_pair(1, {**LABELLED["VL-RewardBench"], "human_ranking": [1, 1]}).tie


def result(said, name="better"):
    return {"from_name": name, "type": "choices", "value": {"choices": [said]}}


def task(*annotations):
    data = LABELLED["Label Studio"]["data"]
    return {"id": 5, "data": data, "annotations": [{"result": list(one)} for one in annotations]}


def argilla(**questions):
    responses = {
        name: [{"value": value, "status": "submitted"} for value in values]
        for name, values in questions.items()
    }
    return {**LABELLED["Argilla 2"], "responses": responses}


def json_min(**members):
    return {**LABELLED["Label Studio, JSON-MIN"], "better_one": None, **members}


COUNTED = {
    "choices in words": task([result("Response A")], [result("Response A")], [result("B")]),
    "beside another question": task([result("Blurry", "quality"), result("left")]),
    "Argilla": argilla(better=["response-1", "response-1"], quality=["poor", "fine"]),
    "JSON-MIN of a pairwise control": json_min(pw=[{"selected": "left"}]),
    "JSON-MIN of choices": json_min(best="Response 1", quality="Terrible"),
    "JSON-MIN beside names of models": json_min(best="left", model_1="A", model_2="B"),
    "JSON-MIN as CSV": json_min(best="left", lead_time="2.0", row="2", image_path="2"),
    "JSON-MIN with none beside it": json_min(best="left", mistakes="None"),
}
UNTOLD = {
    "choices of another kind": (task([result("Terrible")]), "Terrible"),
    "one of several": (task([result("left")], [result("cannot say")]), "cannot say"),
    "two questions about the answers": (
        task([result("left", "honest"), result("right", "helpful")]),
        "several questions: honest",
    ),
    "Argilla": (argilla(better=["response-1", "dunno"]), "dunno"),
    "JSON-MIN": (json_min(quality="Terrible"), "no answer of its people"),
    "JSON-MIN of numbers": (json_min(lead_time="1.0", row="1"), "no answer of its people"),
}


@pytest.mark.parametrize("export", COUNTED)
def test_the_answers_of_people_are_told_by_what_they_say(export):
    label = parse_any_pair(1, COUNTED[export]).label
    wanted = 2 if export == "Argilla 2" else 1
    assert label.preference == wanted and label.votes[str(wanted)] >= 1


def test_a_number_in_a_column_of_answers_is_an_answer():
    assert parse_any_pair(1, json_min(preference=2)).label.preference == 2


@pytest.mark.parametrize("export", UNTOLD)
def test_an_answer_that_cannot_be_told_is_never_a_tie(export):
    record, shown = UNTOLD[export]
    with pytest.raises(BadField, match="preference: does not say which") as refused:
        parse_any_pair(1, record)
    assert shown in str(refused.value)


OUTPUTS = {"output_1": GOOD, "output_2": BAD}


@pytest.mark.parametrize("member", ["system", "system_prompt", "history"])
def test_what_the_model_was_told_besides_is_not_dropped(member):
    said = [["Earlier?", "Yes."]] if member == "history" else "Answer in French."
    record = {**LABELLED["LLaMA-Factory"], member: said}
    with pytest.raises(BadField, match=member):
        parse_any_pair(1, record)
    for nothing in ("", None, []):
        assert parse_any_pair(1, {**record, member: nothing}).label
    ours = {"id": 1, "image": "a.png", "conversations": [human()], member: said}
    for parse, answers in ((parse_prompt, {}), (parse_any_pair, OUTPUTS)):
        with pytest.raises(BadField, match=member):
            parse(1, {**ours, **answers})
        assert parse(1, {**ours, **answers, member: None}).id == "1"


# --- records that hold no two answers -----------------------------------------------------------

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


def imported(tmp_path, rows, format):
    (tmp_path / "a.png").write_bytes(picture_bytes())
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    project = make_project()
    return project, import_files(project, [path], Folder(tmp_path), format=format)


def rows_of(*answers, **members):
    """JSON-MIN: a row for each annotation of one task."""
    return [
        {**json_min(best=answer), "id": 7, "annotation_id": 40 + number, **members}
        for number, answer in enumerate(answers)
    ]


COUNTED_TOGETHER = {
    "all alike": (["left", "left", "left"], 1, {"1": 3, "2": 0, "tie": 0}, 1.0),
    "a majority": (["right", "left", "right"], 2, {"1": 1, "2": 2, "tie": 0}, 1 / 3),
    "with a tie among them": (["right", "Tie", "right"], 2, {"1": 0, "2": 2, "tie": 1}, 2 / 3),
    "as many for each": (["left", "right"], None, {}, None),
    "most for a tie": (["same", "both", "left"], None, {}, None),
    "one alone": (["left"], 1, {"1": 1, "2": 0, "tie": 0}, 1.0),
}


@pytest.mark.django_db
@pytest.mark.parametrize("kind", COUNTED_TOGETHER)
@pytest.mark.parametrize("form", ["a row for each", "one task"])
def test_the_votes_of_several_annotators_are_kept(tmp_path, kind, form):
    answers, preference, votes, margin = COUNTED_TOGETHER[kind]
    rows = rows_of(*answers)
    if form == "one task":
        rows = [task(*([result(answer)] for answer in answers))]
        rows[0]["data"]["image"] = "a.png"
    project, done = imported(tmp_path, rows, "rlhf_v")
    [comparison] = Comparison.objects.filter(project=project)
    assert (done.created, done.left_out) == (1, 0)
    assert (comparison.preference, comparison.imported_votes) == (preference, votes)
    assert comparison.margin == (None if margin is None else pytest.approx(margin))
    told = [str(one) for one in done.warnings]
    assert any("is a tie" in one for one in told) == (preference is None)
    further = [one for one in told if "counted as its votes" in one]
    assert len(further) == (form == "a row for each" and len(answers) > 1)


@pytest.mark.django_db
def test_the_same_answer_of_one_annotator_twice_is_no_second_vote(tmp_path):
    rows = rows_of("left", "left", annotation_id=3)
    with pytest.raises(ImportRefused, match="is the id of line 1 too"):
        imported(tmp_path, rows, "rlhf_v")


@pytest.mark.django_db
def test_answers_to_other_texts_are_no_votes_for_these(tmp_path):
    rows = [*rows_of("left", "right"), {**rows_of("left")[0], "answer2": "Another."}]
    rows[-1]["annotation_id"] = 99
    _, done = imported(tmp_path, rows, "rlhf_v")
    assert done.created == 2


@pytest.mark.django_db
@pytest.mark.parametrize("turns", [[human(), gpt()], [user(), assistant()]])
def test_turns_may_be_called_role_and_content(tmp_path, turns):
    """As MiniCPM's files have them, beside LLaVA's members."""
    (tmp_path / "a.png").write_bytes(picture_bytes())
    files = []
    for name, answer in (("m1", GOOD), ("m2", BAD)):
        last = {**turns[1], ("value" if "value" in turns[1] else "content"): answer}
        record = {"id": "0", "image": "a.png", "conversations": [turns[0], last]}
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps([record]))
    done = import_files(make_project(), files, Folder(tmp_path), format="llava")
    one = Comparison.objects.get()
    assert (done.created, one.response_1, one.response_2) == (1, GOOD, BAD)
    assert import_files(make_project(), files[:1], Folder(tmp_path), format="llava").created == 1
    path = tmp_path / "s.json"
    path.write_text(json.dumps([{**record, "conversations": [{"role": "system", "content": "x"}]}]))
    with pytest.raises(ImportRefused, match="is a system turn, which people are not shown"):
        import_files(make_project(), [path], Folder(tmp_path), format="prompts")


# --- questions without answers ------------------------------------------------------------------

SHOWN = {"type": "image_url", "image_url": {"url": "a.png"}}
REQUEST = {"model": "m", "messages": [{"role": "user", "content": parts(ASKED, SHOWN)}]}
WITH_ANSWER = "OpenAI messages with an answer to learn"
PROMPTS = {
    "LLaVA-Bench in the wild": {
        **{"question_id": 0, "image": "a.png", "category": "conv", "text": ASKED},
    },
    "POPE": {"question_id": 1, "image": "a.png", "text": ASKED, "label": "yes"},
    "MMHal-Bench": {
        **{"question_type": "other", "image_id": "x", "image_src": "https://h.org/x/a.png"},
        **{"question": ASKED, "gt_answer": GOOD, "model_answer": ""},
    },
    "a row of a table": {**FLAT, "id": "5"},
    "TRL's prompts": {
        "images": ["a.png"],
        "prompt": [{"role": "user", "content": parts(ASKED, IMAGE)}],
    },
    "OpenAI messages": {"messages": REQUEST["messages"]},
    WITH_ANSWER: {"messages": [*REQUEST["messages"], assistant()]},
    "a request of a batch": {
        **{"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": REQUEST}
    },
    "OpenAI responses": {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": ASKED},
                    {"type": "input_image", "image_url": "a.png"},
                ],
            }
        ]
    },
    "ms-swift": {"query": f"<image>{ASKED}", "images": ["a.png"]},
    "a Label Studio task": {"id": 3, "data": {"image": "a.png", "question": ASKED}},
    "LLaVA": {"id": "1", "image": "a.png", "conversations": [human(f"<image>\n{ASKED}"), gpt()]},
}


@pytest.mark.django_db
@pytest.mark.parametrize("form", PROMPTS)
def test_questions_come_in_without_answers(tmp_path, form):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([PROMPTS[form]]))
    wanted = {"LLaVA": "llava", WITH_ANSWER: "llava_rlhf"}.get(form, "prompts")
    assert format_by_content([path]) == wanted
    project, done = imported(tmp_path, [PROMPTS[form]], "prompts")
    [prompt] = Prompt.objects.filter(project=project)
    assert (done.created, prompt.image.width > 0) == (1, True)
    [turn] = prompt.conversation
    assert (turn["from"], turn["value"].replace("<image>", "").strip()) == ("human", ASKED)
    again = import_files(project, [path], Folder(tmp_path), format="prompts")
    assert (again.created, again.unchanged) == (0, 1)


@pytest.mark.parametrize("form", PROMPTS.keys() - {"LLaVA", WITH_ANSWER})
def test_a_question_among_pairs_says_its_format(form):
    for parse in (parse_row, parse_any_pair):
        with pytest.raises(BadField) as refused:
            parse(1, PROMPTS[form])
    assert "a question without answers has the format prompts" in str(refused.value)


NO_QUESTIONS = {
    "a system turn": ({"messages": [{"role": "system", "content": "x"}, user()]}, "system turn"),
    "a tool turn": (
        {"image": "a.png", "messages": [user(), assistant(), {"role": "tool", "content": "x"}]},
        "messages[2]: is a tool turn, which people are not shown",
    ),
    "no question": ({"image": "a.png", "text": " "}, "text: is empty"),
    "only the place of the image": ({"image": "a.png", "text": "<image>"}, "an empty question"),
    "no image": ({"question_id": 1, "text": ASKED}, "image: is not the name of an image"),
    "two images": ({"images": ["a.png", "b.png"], "query": ASKED}, "names 2 images"),
    "an id that is an object": ({**FLAT, "id": {}}, "id: is neither a text nor a whole number"),
    "a pair": (LABELLED["RLHF-V"], "is a pair of answers: its format is rlhf_v"),
    "nothing": ({}, "id: is missing"),
    "no object": ([], "is not an object"),
}


@pytest.mark.parametrize("kind", NO_QUESTIONS)
def test_what_is_no_question_is_refused_by_its_field(kind):
    record, reason = NO_QUESTIONS[kind]
    with pytest.raises(BadField) as refused:
        parse_any_prompt(1, record)
    assert reason in str(refused.value)


@pytest.mark.django_db
@pytest.mark.parametrize(("order", "created"), [((0, 1), 1), ((1, 0), 2)])
def test_a_correction_apart_from_its_pair_is_a_pair_and_said_to_be(tmp_path, order, created):
    own = {**LABELLED["RLHF-V"], "ds_name": "factloop"}
    pair = {**own, "origin_split": json.dumps({"id": "a"})}
    correction = {
        **own,
        **{"chosen": "Corrected.", "rejected": BAD},
        "origin_split": json.dumps({"corrects": "a", "id": "a#1"}),
    }
    rows = [(pair, correction)[place] for place in order]
    _, done = imported(tmp_path, rows, "rlhf_v")
    said = [str(one) for one in done.warnings if "right behind their pair" in str(one)]
    assert (done.created, len(said)) == (created, created - 1)
