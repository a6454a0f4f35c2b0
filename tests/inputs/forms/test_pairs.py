"""Two answers to a question about a picture, in the forms that data sets and trainers write."""

import io
import json

import pytest

from annotation.image_sources import Folder
from annotation.importing import import_files
from annotation.importing.formats import parse_any_pair, read
from annotation.importing.forms.ours import parse_prompt
from annotation.importing.record_files import BadField, ImportRefused
from annotation.models import Comparison, Prompt
from tests.factories import make_project, picture_bytes
from tests.inputs.forms.records import (
    ASKED,
    BAD,
    FLAT,
    GOOD,
    IMAGE,
    LABELLED,
    assistant,
    gpt,
    human,
    parts,
    user,
)


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
    "two better answers": (
        {**LABELLED["RLHF-V"], "chosen": [GOOD, GOOD]},
        "chosen",
        "holds 2 answers, not one",
    ),
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
