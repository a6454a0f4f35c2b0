"""Questions without answers."""

import json

import pytest

from annotation.image_sources import Folder
from annotation.importing import import_files
from annotation.importing.formats import format_by_content, parse_any_pair, parse_row
from annotation.importing.forms.prompts import parse_any_prompt
from annotation.importing.record_files import BadField
from annotation.models import Prompt
from tests.inputs.forms.records import (
    ASKED,
    FLAT,
    GOOD,
    IMAGE,
    LABELLED,
    assistant,
    gpt,
    human,
    imported,
    parts,
    user,
)

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
