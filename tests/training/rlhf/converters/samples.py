"""Small files of our own in the forms in which the data sets are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

QUESTIONS_NAME = "v2_OpenEnded_mscoco_train2014_questions.json"


def vqa_questions() -> dict[str, Any]:
    asked = [
        (9, 9000, "Is the dog asleep?"),
        (9, 9001, "What colour is the dog?"),
        (9, 9002, "Is there  a ball? "),
        (25, 25000, "Can you see the sea?"),
    ]
    return {
        "info": {"version": "2.0", "year": 2017},
        "task_type": "Open-Ended",
        "data_type": "mscoco",
        "data_subtype": "train2014",
        "license": {"name": "-"},
        "questions": [
            {"image_id": image, "question": text, "question_id": number}
            for image, number, text in asked
        ],
    }


def vqa_annotations() -> dict[str, Any]:
    given = [
        (9, 9000, "no", "yes/no"),
        (9, 9001, "brown", "other"),
        (9, 9002, "yes", "yes/no"),
        (25, 25000, "not sure", "yes/no"),
    ]
    return {
        "data_type": "mscoco",
        "data_subtype": "train2014",
        "annotations": [
            {
                "question_type": "is the",
                "multiple_choice_answer": answer,
                "answers": [
                    {"answer": answer, "answer_confidence": "yes", "answer_id": person}
                    for person in range(1, 11)
                ],
                "image_id": image,
                "answer_type": kind,
                "question_id": number,
            }
            for image, number, answer, kind in given
        ],
    }


def aokvqa() -> list[dict[str, Any]]:
    question = {
        "split": "train",
        "image_id": 9,
        "question_id": "22MexNkBPpdZGX6sxbxVBH",
        "question": "Why does the dog look at the man?",
        "choices": ["fear", "hunger", "ball", "rain"],
        "correct_choice_idx": 2,
        "direct_answers": ["ball"] * 10,
        "difficult_direct_answer": False,
        "rationales": ["The man holds a ball", "Dogs like balls.", " "],
    }
    unanswered = {k: v for k, v in question.items() if k != "correct_choice_idx"}
    return [
        question,
        unanswered | {"split": "test", "question_id": "t"},
        question | {"question_id": "r", "rationales": []},
    ]


def llava() -> list[dict[str, Any]]:
    def turns(*texts: str) -> list[dict[str, str]]:
        return [
            {"from": ("human", "gpt")[number % 2], "value": text}
            for number, text in enumerate(texts)
        ]

    return [
        {
            "id": "000000000009",
            "image": "000000000009.jpg",
            "conversations": turns(
                "What is the dog doing?\n<image>", "It waits.", "For what?", "For the ball."
            ),
        },
        {"id": "text-only", "conversations": turns("Hello", "Hello.")},
        {
            "id": "open",
            "image": "000000000025.jpg",
            "conversations": turns("<image>\nWhat is this?", "A beach.", "Where?"),
        },
        {"id": 4, "image": "000000000025.jpg", "conversations": turns("<image>\nWhat?", "")},
        {"id": 5, "image": ["a.jpg", "b.jpg"], "conversations": turns("<image>\nWhat?", "A.")},
    ]


CAPTIONS = [
    ("1000.jpg", "A dog waits for a ball ."),
    ("1000.jpg", "A brown dog, waiting"),
    ("2000.jpg", "Two people walk along the sea ."),
]
TOKEN_FILE = "".join(
    f"{image}#{number % 2}\t{caption}\n" for number, (image, caption) in enumerate(CAPTIONS)
)
BAR_FILE = "image_name| comment_number| comment\n" + "".join(
    f"{image}| {number % 2}| {caption}\n" for number, (image, caption) in enumerate(CAPTIONS)
)
COMMA_FILE = "image,caption\n" + "".join(f'{image},"{caption}"\n' for image, caption in CAPTIONS)


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path
