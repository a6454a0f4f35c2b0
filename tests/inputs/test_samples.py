"""Logs of evaluation tools as files of answers."""

import json

import pytest

from benchmark import protocols
from benchmark.protocols.protocol import Refused

THINGS = ("dog", "cat", "bench")
OF_SPLITS = {"random": "boat", "popular": "car"}


def asked(thing):
    return f"Is there a {thing} in the image?"


def question(number, thing):
    return {
        "question_id": number,
        "image": f"COCO_val2014_{number:012d}.jpg",
        "text": asked(thing),
        "label": "yes",
    }


def of_version_2(number, thing, said, split="random"):
    picture = f"COCO_val2014_{number:012d}"
    doc = {"question_id": str(number), "question": asked(thing), "answer": "yes"}
    return {
        "doc_id": number + 40,
        "doc": {**doc, "category": split, "image_source": picture},
        "target": "yes",
        "resps": [[said]],
        "filtered_resps": [said],
    }


def of_version_3(number, thing, said, split="random"):
    about = {"question_id": str(number), "prediction": said.lower(), "ground_truth": "yes"}
    return {
        "doc_id": number + 40,
        "target": "yes",
        "input": f"{asked(thing)}\nAnswer the question using a single word or phrase.",
        "resps": [[said]],
        "pope_accuracy": {**about, "score": 1.0, "category": split},
    }


VERSIONS = {"2": of_version_2, "3": of_version_3}


def joined(folder, things, samples):
    path, answers = folder / "coco_pope_random.json", folder / "samples.jsonl"
    path.write_text("\n".join(json.dumps(question(n, one)) for n, one in enumerate(things, 1)))
    answers.write_text("\n".join(map(json.dumps, samples)))
    pope = protocols.named("pope")
    records = [one.data for one in pope.read_questions(path)]
    return pope.read_answers(answers, records).answers


@pytest.mark.parametrize("version", VERSIONS)
def test_samples_of_lmms_eval_are_joined_by_id(tmp_path, version):
    samples = [VERSIONS[version](n, one, f"Yes, {one}.") for n, one in enumerate(THINGS, 1)]
    found = joined(tmp_path, THINGS, samples[::-1])
    assert found == {n: f"Yes, {one}." for n, one in enumerate(THINGS)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("split", OF_SPLITS)
def test_of_several_splits_the_one_that_asks_the_same_is_taken(tmp_path, version, split):
    things = ("dog", OF_SPLITS[split])
    samples = [
        VERSIONS[version](number, one, f"{name} {number}", name)
        for name, other in OF_SPLITS.items()
        for number, one in enumerate(("dog", other), 1)
    ]
    assert joined(tmp_path, things, samples) == {0: f"{split} 1", 1: f"{split} 2"}


@pytest.mark.parametrize("version", VERSIONS)
def test_samples_of_other_questions_are_refused(tmp_path, version):
    with pytest.raises(Refused, match="answers another question"):
        joined(tmp_path, THINGS, [VERSIONS[version](1, "boat", "Yes")])
    with pytest.raises(Refused, match="the answer is not a text"):
        joined(tmp_path, THINGS, [{**VERSIONS[version](1, "dog", ""), "resps": [["a", "b"]]}])


def test_white_space_in_a_question_of_mmhal_says_nothing(tmp_path):
    record = {
        **{"question_type": "other", "question_topic": "t", "image_id": "i", "image_src": "a.png"},
        **{"image_content": [], "question": "What is  it?", "gt_answer": "x", "model_answer": "y"},
    }
    mmhal = protocols.named("mmhal")
    path = tmp_path / "a.json"
    path.write_text(json.dumps([record]))
    known = [{**record, "question": "What is it?\n"}]
    assert mmhal.read_answers(path, known).answers == {0: "y"}
