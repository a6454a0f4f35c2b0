"""Files of anything at all: taken, or refused in words that are never long, by every reader."""

import io
import json

import pytest

from annotation.importing import formats
from annotation.importing.captions import read_captions
from annotation.importing.record_files import ImportRefused
from annotation.models import ImportJob
from benchmark import protocols
from benchmark.sources import NotTaken, read_questions, refusing
from tests.factories import picture_bytes

ROW = {
    **{"id": "1", "image": "a.png", "question": "What?", "chosen": "A", "rejected": "B"},
    **{"question_id": 1, "text": "Is there a dog?", "label": "yes", "category": "conv"},
    **{"image_id": "x", "image_src": "a.png", "gt_answer": "g", "model_answer": "m"},
    **{"question_type": "attribute", "question_topic": "t", "image_content": ["a"]},
    **{"conversations": [{"from": "human", "value": "What?"}], "output_1": "A", "output_2": "B"},
    **{"ID": "1", "Category": "safety", "Better": "Output1", "Label": "Output1"},
    **{"query": "What?", "response": ["A", "B"], "human_ranking": [0, 1], "truth": "yes"},
}
LONG = "x" * 200_000
FILES = {
    "nothing": b"",
    "zeros": b"\0" * 100,
    "words": b"hello\nworld",
    "a number": b"3",
    "null": b"null",
    "an empty object": b"{}",
    "an empty list": b"[]",
    "a list of an empty object": b"[{}]",
    "lists": b"[[1], [2]]",
    "texts": b'["a", "b"]',
    "depth": b"[" * 3000,
    "a picture": picture_bytes(),
    "a table": b"a,b\n1,2\n",
    "a member twice": b'{"a": 1, "a": 2}',
    "UTF-16": json.dumps([ROW]).encode("utf-16"),
    "half a pair of surrogates": json.dumps([dict.fromkeys(ROW, "\ud800")]).encode(),
    "a large number": json.dumps([{**ROW, "question_id": 10**400}]).encode(),
    **{f"a long {name}": json.dumps([{**ROW, name: LONG}]).encode() for name in ROW},
    **{f"an object for {name}": json.dumps([{**ROW, name: {LONG: 1}}]).encode() for name in ROW},
    **{f"null for {name}": json.dumps([{**ROW, name: None}]).encode() for name in ROW},
}
RAW = ("Error", "Traceback", "NoneType", "codec", "object is not", "out of range", LONG[:400])


@pytest.mark.parametrize("name", FILES)
def test_no_reader_stumbles_over_a_file(name, tmp_path):
    said = []
    for form in ImportJob.Format.values:
        for second in (None, io.BytesIO(FILES[name])):
            try:
                formats.read(form, io.BytesIO(FILES[name]), second, names=("a", "b"))
            except ImportRefused as refused:
                said += map(str, refused.problems)
    problems = []
    read_captions(io.BytesIO(FILES[name]), problems)
    said += map(str, problems)
    path = tmp_path / "coco_pope_random.json"
    path.write_bytes(FILES[name])
    for protocol in protocols.TABLE.values():
        try:
            read_questions(protocol.name, path)
        except NotTaken as refused:
            said += str(refused).splitlines()
        try:
            with refusing():
                protocol.read_answers(path, [])
        except NotTaken as refused:
            said += str(refused).splitlines()
    assert said
    for line in said:
        assert not any(word in line for word in RAW) and len(line) < 400, line[:400]
