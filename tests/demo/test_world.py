"""Prompts, questions and the oracle's measure, as the demo uses them."""

import io
import subprocess
import sys
from collections import Counter

import pytest
from PIL import Image

from benchmark.protocols.mmhal import TYPES
from benchmark.protocols.small_world import Scene, coverage, hallucinating, rate
from demo import world
from demo.claims import is_so
from demo.faults import has_held_out_companion
from demo.scenes import caption, is_held_out
from training.rlhf.contract import Generation, PromptRecord


def answers(prompts: list[world.Prompt], *texts: str) -> list[Generation]:
    return [
        Generation(id=p.record.id, responses=texts, finished=(True,) * len(texts)) for p in prompts
    ]


def test_prompts_follow_the_contract_and_the_seed() -> None:
    prompts = world.prompts(5, seed=1)
    assert [PromptRecord.from_json(p.record.to_json()) for p in prompts] == [
        p.record for p in prompts
    ]
    assert prompts == world.prompts(5, seed=1)
    assert prompts != world.prompts(5, seed=2)
    assert len({p.record.image for p in prompts}) == 5


def test_prompts_of_both_sides_keep_apart() -> None:
    train, held_out = world.prompts(30, seed=1), world.prompts(30, seed=1, held_out=True)
    assert not any(is_held_out(p.scene) for p in train)
    assert all(is_held_out(p.scene) for p in held_out)
    assert not {p.record.id for p in train} & {p.record.id for p in held_out}


def test_prompts_carry_true_facts() -> None:
    for prompt in world.prompts(20, seed=3):
        assert len(prompt.record.captions) == 5
        assert not any(hallucinating(fact, prompt.scene) for fact in prompt.record.captions)


def test_mixture_holds_every_kind_and_its_truth() -> None:
    prompts = world.mixture(300, seed=1)
    assert prompts == world.mixture(300, seed=1)
    assert {p.question.type for p in prompts} == set(world.MIXTURE)
    for prompt in prompts:
        assert PromptRecord.from_json(prompt.record.to_json()) == prompt.record
        assert prompt.record.conversation[0].text.endswith(prompt.question.text)
        assert prompt.record.caption_type == prompt.question.caption_type
    assert {p.record.caption_type for p in prompts} == set(range(1, 8))
    assert {p.record.length_bonus for p in prompts if p.question.type != "holistic"} == {0}


def test_mixture_shows_no_held_out_scene_and_no_held_out_companion() -> None:
    for prompt in world.mixture(300, seed=2):
        assert not is_held_out(prompt.scene)
        assert not has_held_out_companion(prompt.scene)
    asked = [Scene.from_json(q["truth"]["scene"]) for q in world.questions(20, seed=2)]
    assert sum(map(has_held_out_companion, asked)) > 20


def test_facts_of_the_mixture_are_true_and_name_everything() -> None:
    for prompt in world.mixture(60, seed=3):
        told = [claim for fact in prompt.record.captions for claim in fact[:-1].split(" and ")]
        assert all(is_so(claim, prompt.scene) for claim in told)
        assert {str(thing) for thing in prompt.scene.things} < set(told)
        assert f"background {prompt.scene.background}" in told


def test_picture_is_a_png_that_never_changes() -> None:
    prompt = world.prompts(1, seed=1)[0]
    assert prompt.picture() == prompt.picture()
    with Image.open(io.BytesIO(prompt.picture())) as picture:
        assert (picture.format, picture.size) == ("PNG", (216, 216))


def test_questions_are_of_all_types_and_rightly_answered() -> None:
    questions = world.questions(4, seed=1)
    assert Counter(q["question_type"] for q in questions) == dict.fromkeys(TYPES, 4)
    assert all(rate(q, q["gt_answer"]).rating == 6 for q in questions)
    assert all(is_held_out(Scene.from_json(q["truth"]["scene"])) for q in questions)
    assert len({q["image_src"] for q in questions}) == len(questions)
    assert world.picture_of(questions[0]).startswith(b"\x89PNG")


def test_evaluate_true_captions_are_perfect() -> None:
    prompts = world.prompts(10, seed=1, held_out=True)
    generations = [answers([p], caption(p.scene))[0] for p in prompts]
    outcome = world.evaluate(generations, prompts).to_json()
    assert outcome["hallucinating_answers"] == 0
    assert outcome["coverage"] == 1
    low, high = outcome["intervals"]["coverage"]
    assert 0 < low < high == 1
    assert outcome["answers"] == 10


def test_evaluate_counts_every_response_and_brackets_the_mean() -> None:
    prompts = world.prompts(40, seed=1, held_out=True)
    truth = caption(prompts[0].scene)
    outcome = world.evaluate(answers(prompts, "", truth), prompts)
    share = outcome.hallucinating_answers
    expected = sum(1 + hallucinating(truth, p.scene) for p in prompts) / 80
    assert share.value == pytest.approx(expected)
    assert outcome.coverage.value == pytest.approx(
        sum(coverage(truth, p.scene) for p in prompts) / 80
    )
    assert share.low <= share.value <= share.high
    assert outcome.answers == 80


def test_evaluate_does_not_reward_silence_or_repetition() -> None:
    prompts = world.prompts(10, seed=1, held_out=True)
    silent = world.evaluate(answers(prompts, ""), prompts)
    repeated = [answers([p], " and ".join([str(p.scene.things[0])] * 2) + ".")[0] for p in prompts]
    assert silent.hallucinating_answers.value == 1
    assert silent.coverage.value == 0
    assert world.evaluate(repeated, prompts).hallucinating_answers.value == 1


@pytest.mark.parametrize("change", ["missing", "double", "foreign"])
def test_evaluate_refuses_answers_that_do_not_match(change: str) -> None:
    prompts = world.prompts(3, seed=1, held_out=True)
    generations = answers(prompts, "")
    if change == "missing":
        generations.pop()
    elif change == "double":
        generations.append(generations[0])
    else:
        generations[0] = answers(world.prompts(1, seed=9), "")[0]
    with pytest.raises(ValueError, match="do not match"):
        world.evaluate(generations, prompts)


def test_world_loads_no_torch() -> None:
    program = "import sys, demo.world, demo.annotators; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
