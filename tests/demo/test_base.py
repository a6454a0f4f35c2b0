"""The recipe of the base model runs, and the committed base is what the demo needs it to be."""

from random import Random

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from benchmark.protocols.mmhal import TYPES
from benchmark.protocols.small_world import (
    NUMBERS,
    Scene,
    coverage,
    false_claims,
    hallucinating,
    rate,
)
from demo import world
from demo.base import BASE_MODEL, Plan, Trainer, main, pixels, save
from demo.lessons import FACT_FORMAT, FACTS_INTRODUCTION, RATING_PROMPT, Lesson, mistaken_claims
from demo.scenes import random_scene, render, sentence
from demo.tiny_model import ASSISTANT, EOS, USER

SHORT = Plan(
    vision_steps=2,
    copying_steps=2,
    verdict_steps=2,
    counting_steps=2,
    looking_steps=2,
    mixed_steps=2,
    vision_batch=4,
    text_batch=4,
    looking_batch=4,
    caption_batch=4,
    question_batch=2,
)


@pytest.fixture(scope="module")
def base():
    model = AutoModelForImageTextToText.from_pretrained(BASE_MODEL, dtype=torch.float32).eval()
    return model, AutoProcessor.from_pretrained(BASE_MODEL)


def answers(base, questions, scenes, *, sampled: bool = False) -> list[str]:
    """One answer of the base to each question about each scene's picture."""
    model, processor = base
    texts = [
        processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}],
            add_generation_prompt=True,
        )
        for text in questions
    ]
    inputs = processor(
        images=[render(scene) for scene in scenes], text=texts, padding=True, return_tensors="pt"
    )
    torch.manual_seed(0)
    how = {"do_sample": True, "top_k": 0} if sampled else {"do_sample": False}
    output = model.generate(**inputs, **how, max_new_tokens=20)
    return processor.batch_decode(
        output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )


def shares(texts, scenes) -> tuple[float, float]:
    """Share of hallucinating captions, and mean coverage."""
    pairs = list(zip(texts, scenes, strict=True))
    wrong = sum(hallucinating(text, scene) for text, scene in pairs)
    return wrong / len(pairs), sum(coverage(text, scene) for text, scene in pairs) / len(pairs)


def test_base_hallucinates_when_sampled_although_it_knows_better(base) -> None:
    rng = Random(0)
    scenes = [random_scene(rng, held_out=True) for _ in range(300)]
    describe = ["Describe the image."] * len(scenes)
    wrong, covered = shares(answers(base, describe, scenes, sampled=True), scenes)
    greedy_wrong, greedy_covered = shares(answers(base, describe, scenes), scenes)
    assert 0.6 < wrong < 0.85
    assert greedy_wrong < 0.35
    assert greedy_covered > covered + 0.2


def test_base_counts_mistakes_against_written_facts(base) -> None:
    model, processor = base
    rng, right = Random(1), 0
    prompts = world.prompts(200, seed=5, held_out=True)
    for prompt in prompts:
        claims = sentence(mistaken_claims(prompt.scene, rng))
        told = [FACT_FORMAT.format(caption=fact) for fact in prompt.record.captions]
        facts = "\n".join([FACTS_INTRODUCTION, *told])
        text = f"<bos>{USER} Describe the image. {facts} {ASSISTANT} {claims}{EOS}"
        inputs = processor.tokenizer(
            f"{text}{USER} {RATING_PROMPT} {ASSISTANT}", return_tensors="pt"
        )
        with torch.no_grad():
            verdict = model(**inputs).logits[0, -1].argmax().item()
        word = processor.tokenizer.convert_ids_to_tokens(verdict)
        right += word == NUMBERS[false_claims(claims, prompt.scene)]
    assert right / len(prompts) > 0.7


def test_base_answers_questions_but_falls_for_adversarial_ones(base) -> None:
    questions = world.questions(15, seed=3)
    scenes = [Scene.from_json(q["truth"]["scene"]) for q in questions]
    texts = answers(base, [q["question"] for q in questions], scenes)
    ratings = [rate(q, text).rating for q, text in zip(questions, texts, strict=True)]
    means = {kind: sum(ratings[n :: len(TYPES)]) / 15 for n, kind in enumerate(TYPES)}
    assert min(means[kind] for kind in ("attribute", "relation", "environment", "holistic")) > 3
    assert means["adversarial"] < 3
    assert sum(ratings) / len(ratings) > 3


def test_trainer_depends_on_the_seed_alone() -> None:
    states = []
    for seed in (1, 1, 2):
        trainer = Trainer(SHORT, seed=seed)
        trainer.train()
        states.append(trainer.model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_trainer_leaves_the_vision_tower_alone_after_its_stage() -> None:
    trainer = Trainer(SHORT, seed=0)
    before = [weight.clone() for weight in trainer.model.model.vision_tower.parameters()]
    trainer.train_vision()
    seen = [weight.clone() for weight in trainer.model.model.vision_tower.parameters()]
    assert any(not torch.equal(a, b) for a, b in zip(before, seen, strict=True))
    trainer._stage("everything", 2, trainer._everything)
    after = trainer.model.model.vision_tower.parameters()
    assert all(torch.equal(a, b) for a, b in zip(seen, after, strict=True))


def test_loss_averages_within_a_lesson_first() -> None:
    trainer = Trainer(SHORT, seed=0)
    long = Lesson([1, 5, 7, 8, 9, 10], [0, 0, 1, 1, 1, 1])
    short = Lesson([1, 5, 11], [0, 0, 0.5])
    with torch.no_grad():
        together = trainer._loss([long, short])
        apart = (trainer._loss([long]) + trainer._loss([short])) / 2
    torch.testing.assert_close(together, apart)


def test_pixels_are_what_the_processor_makes() -> None:
    rng = Random(3)
    scenes = [random_scene(rng) for _ in range(3)]
    trainer = Trainer(SHORT, seed=0)
    made = trainer.processor.image_processor([render(s) for s in scenes], return_tensors="pt")
    torch.testing.assert_close(pixels(scenes), made["pixel_values"])


def test_save_writes_a_folder_that_loads(tmp_path) -> None:
    trainer = Trainer(SHORT, seed=0)
    save(trainer, tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path)
    weights = trainer.model.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in loaded.state_dict().items())
    assert AutoProcessor.from_pretrained(tmp_path).chat_template


def test_main_needs_to_know_where_to_write(capsys) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "--output" in capsys.readouterr().err
