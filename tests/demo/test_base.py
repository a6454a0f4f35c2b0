"""The recipe of the base model runs, and the committed base is what the demo needs it to be."""

from random import Random

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from benchmark.protocols.mmhal import TYPES
from demo import world
from demo.base import BASE_MODEL, Plan, Trainer, main, pixels, save
from demo.lessons import Lesson
from demo.measuring import LEAST_AUC, Base, Measured, auc, measure
from demo.questions import KINDS
from demo.scenes import random_scene, render

SHORT = Plan(
    vision_steps=2,
    copying_steps=2,
    verdict_steps=2,
    counting_steps=2,
    looking_steps=2,
    mixed_steps=2,
    right_steps=2,
    again_steps=2,
    faulty_steps=2,
    faulty_again_steps=2,
    vision_batch=4,
    text_batch=4,
    looking_batch=4,
    caption_batch=4,
    question_batch=2,
    checks_batch=2,
    answers_batch=4,
)


@pytest.fixture(scope="module")
def measured() -> dict[str, Measured]:
    base = Base(BASE_MODEL)
    return {kind: measure(base, kind, count=100) for kind in KINDS}


def test_base_hallucinates_in_its_most_likely_answers_and_knows_better(measured) -> None:
    captions = measured["holistic"]
    assert captions.greedy < 0.7
    assert captions.greedy_helpful > 0.65
    greedy = [measured[kind].greedy for kind in TYPES]
    assert 0.2 < sum(greedy) / len(greedy) < 0.6
    assert measured["adversarial"].greedy < 0.4
    assert 0.02 < measured["adversarial"].sampled < 0.45


@pytest.mark.parametrize("kind", world.CHECKED_BY_FACTS)
def test_base_can_check_answers_of_every_kind_that_facts_are_for(measured, kind: str) -> None:
    found = measured[kind]
    assert min(found.honest, found.asked - found.honest) >= 3
    assert found.auc > LEAST_AUC - 0.06  # n = 100: 0.04 of chance; the docs say what is under it


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


def test_loss_by_token_counts_a_word_alike_in_long_and_short_lessons() -> None:
    """Else a denial of five words is sampled less often than it was taught."""
    trainer = Trainer(SHORT, seed=0)
    long = Lesson([1, 5, 7, 8, 9, 10], [0, 0, 3, 1, 1, 1])
    short = Lesson([1, 5, 11], [0, 0, 3])
    with torch.no_grad():
        together = trainer._loss([long, short], by_token=True)
        apart = (6 * trainer._loss([long]) + 3 * trainer._loss([short])) / 9
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


def test_auc_counts_pairs_and_halves_ties() -> None:
    assert auc([3.0, 1.0, 2.0], [True, False, True]) == 1
    assert auc([1.0, 1.0], [True, False]) == 0.5
    assert auc([1.0, 2.0, 3.0], [True, False, True]) == 0.5
    assert auc([1.0], [True]) == 0.5


def test_main_needs_to_know_where_to_write(capsys) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "--output" in capsys.readouterr().err
