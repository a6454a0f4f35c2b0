"""Records as the tools of the world write them, which the tests of this folder change."""

import json

from annotation.image_sources import Folder
from annotation.importing import import_files
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
    "ms-swift, no system prompt": {
        "messages": [{"role": "system", "content": ""}, user(), assistant()],
        "rejected_messages": [user(), assistant(BAD)],
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
    "Label Studio, a ranking of items": {
        "data": {
            **{"image": "a.png", "prompt": ASKED},
            "items": [{"id": 7, "title": "One", "body": BAD}, {"id": 9, "body": GOOD}],
        },
        "annotations": [{"result": [{"type": "ranker", "value": {"ranker": ["9", "7"]}}]}],
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


def imported(tmp_path, rows, format):
    (tmp_path / "a.png").write_bytes(picture_bytes())
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    project = make_project()
    return project, import_files(project, [path], Folder(tmp_path), format=format)
