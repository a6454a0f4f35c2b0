"""Trains the small world's base model from nothing: ``python -m demo.base --output DIR``.

The committed ``demo/base_model`` came from this command. The order of the stages matters: a vision
tower that is not trained first on its own never learns colours, and a caption is checked against
facts only by a model that has learnt to find words in its context, then to judge single claims.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlavaForConditionalGeneration

from benchmark.protocols.small_world import BACKGROUNDS, COLORS, POSITIONS, SHAPES, Scene
from demo.faults import SHARE
from demo.later_lessons import LaterTeacher
from demo.lessons import Lesson, Teacher
from demo.scenes import random_scene, render
from demo.tiny_model import IMAGE, PAD, VOCABULARY, add_later_words, build_model, build_processor

BASE_MODEL = Path(__file__).parent / "base_model"
"""The committed model with its processor."""

_IMAGE_ID = VOCABULARY.index(IMAGE)
_PAD_ID = VOCABULARY.index(PAD)
_LEAST_LEARNING_RATE = 0.05
_REPORT_EVERY = 50
_SINGLES_KEPT = 0.3


@dataclass(frozen=True)
class Plan:
    """Optimiser steps of each stage, and what a step is made of."""

    vision_steps: int = 200
    copying_steps: int = 100
    verdict_steps: int = 200
    counting_steps: int = 500
    looking_steps: int = 200
    mixed_steps: int = 400
    right_steps: int = 150
    again_steps: int = 220
    faulty_steps: int = 110
    faulty_again_steps: int = 1500
    vision_batch: int = 128
    text_batch: int = 32
    looking_batch: int = 48
    caption_batch: int = 48
    question_batch: int = 24
    checks_batch: int = 14
    answers_batch: int = 64
    learning_rate: float = 2e-3
    later_learning_rate: float = 1.5e-3


class Trainer:
    """One base model in the making; the seed fixes weights, scenes and lessons."""

    def __init__(self, plan: Plan, *, seed: int) -> None:
        torch.manual_seed(seed)
        self._seed = seed
        self._plan = plan
        self._rng = Random(seed)
        self.processor = build_processor()
        self.model: LlavaForConditionalGeneration = build_model()
        self._teacher = Teacher(self.processor.tokenizer, self._rng)

    def train(self) -> None:
        """Schooling, then the faults; reports on standard output."""
        self.school()
        self.spoil()

    def school(self) -> None:
        """The stages after which the base sees and checks, and answers in a word or two."""
        plan = self._plan
        self.train_vision()
        self._stage("copying", plan.copying_steps, self._copying)
        self._stage("single claims", plan.verdict_steps, self._single_claims)
        self._stage("counting mistakes", plan.counting_steps, self._counting)
        self._stage("looking", plan.looking_steps, self._looking)
        self._stage("pictures, questions, facts", plan.mixed_steps, self._everything)

    def spoil(self) -> None:
        """Answers in claims, first right ones, then faulty; from random numbers of its own."""
        plan = self._plan
        torch.manual_seed(self._seed)
        add_later_words(self.model)
        for number, (name, steps, share) in enumerate(
            (
                ("right answers", plan.right_steps, 0.0),
                ("right answers, again", plan.again_steps, 0.0),
                ("faulty answers", plan.faulty_steps, SHARE),
                ("faulty answers, again", plan.faulty_again_steps, SHARE),
            )
        ):
            self._rng = Random(f"later-{self._seed}" + (f"-{number}" if number else ""))
            teacher = LaterTeacher(self.processor.tokenizer, self._rng, insisting=number > 0)
            loss = partial(self._claims, teacher, share)
            self._stage(name, steps, loss, plan.later_learning_rate)

    def train_vision(self) -> None:
        """Per-cell labels (colour, shape, background, place), then the tower stays as it is."""
        tower = self.model.model.vision_tower
        sizes = (len(COLORS) + 1, len(SHAPES) + 1, len(BACKGROUNDS), len(POSITIONS))
        head = nn.Linear(tower.config.hidden_size, sum(sizes))
        weights = [*tower.parameters(), *head.parameters()]

        def loss() -> Tensor:
            scenes = self._scenes(self._plan.vision_batch)
            logits = head(self._see(scenes)).split(sizes, dim=-1)
            labels = _cell_labels(scenes).unbind(-1)
            return torch.stack(
                [
                    functional.cross_entropy(part.flatten(0, 1), label.flatten())
                    for part, label in zip(logits, labels, strict=True)
                ]
            ).sum()

        steps, rate = self._plan.vision_steps, self._plan.learning_rate
        self._optimise("vision tower", steps, weights, loss, rate)
        tower.requires_grad_(False)

    def _stage(
        self, name: str, steps: int, loss: Callable[[], Tensor], learning_rate: float | None = None
    ) -> None:
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self._optimise(name, steps, weights, loss, learning_rate or self._plan.learning_rate)

    def _copying(self) -> Tensor:
        return self._loss([self._teacher.copying() for _ in range(self._plan.text_batch)])

    def _single_claims(self) -> Tensor:
        scenes = self._telling_scenes(self._plan.text_batch)
        return self._loss([self._teacher.single_claims(scene) for scene in scenes])

    def _counting(self) -> Tensor:
        scenes = self._telling_scenes(self._plan.text_batch)
        return self._loss([self._teacher.count_mistakes(scene) for scene in scenes])

    def _looking(self) -> Tensor:
        return self._loss([self._teacher.looking() for _ in range(self._plan.looking_batch)])

    def _everything(self) -> Tensor:
        plan = self._plan
        told, shown = self._telling_scenes(plan.text_batch), self._scenes(plan.text_batch)
        checks = [
            self._teacher.count_mistakes(scene, picture=other)
            for scene, other in zip(told, shown, strict=True)
        ]
        captions = [self._teacher.caption(s) for s in self._scenes(plan.caption_batch)]
        questions = [self._teacher.question(s) for s in self._scenes(plan.question_batch)]
        return self._loss(checks) + self._loss([*captions, *questions])

    def _claims(self, teacher: LaterTeacher, share: float) -> Tensor:
        """Answers to checks against facts, and answers to pictures, faulty in a ``share``."""
        plan = self._plan
        told, shown = self._telling_scenes(plan.checks_batch), self._scenes(plan.checks_batch)
        checks = [
            teacher.check(scene, picture=other) for scene, other in zip(told, shown, strict=True)
        ]
        answers = [teacher.answer(scene, share=share) for scene in self._scenes(plan.answers_batch)]
        return self._loss(checks) + self._loss(answers, by_token=True)

    def _scenes(self, count: int) -> list[Scene]:
        return [random_scene(self._rng) for _ in range(count)]

    def _telling_scenes(self, count: int) -> list[Scene]:
        """Few with one object: there, the words alone tell true from false, not their places."""
        scenes: list[Scene] = []
        while len(scenes) < count:
            scene = random_scene(self._rng)
            if len(scene.things) > 1 or self._rng.random() < _SINGLES_KEPT:
                scenes.append(scene)
        return scenes

    def _see(self, scenes: Sequence[Scene]) -> Tensor:
        """Vision features of the cells, ``[scenes, cells, width]``, without the class token."""
        tower = self.model.model.vision_tower
        states = tower(pixels(scenes), output_hidden_states=True).hidden_states
        return states[-1][:, 1:]

    def _loss(self, lessons: Sequence[Lesson], *, by_token: bool = False) -> Tensor:
        """Cross-entropy averaged within each lesson first, or over all tokens.

        Averaged over all tokens, a verdict of one word would drown in captions of twenty. But
        within a lesson, the words of a long answer count less than those of a short one, and so
        long answers come to be rarer in samples than they were in the lessons: denials ("there
        is no circle.") and full captions.
        """
        ids, weights = _pad(lessons)
        embedded = self.model.get_input_embeddings()(ids)
        pictures = [lesson.picture for lesson in lessons if lesson.picture]
        if pictures:
            seen = self.model.model.multi_modal_projector(self._see(pictures))
            embedded = embedded.masked_scatter((ids == _IMAGE_ID).unsqueeze(-1), seen)
        hidden = self.model.model.language_model(inputs_embeds=embedded).last_hidden_state
        counted = weights[:, 1:] > 0  # [lessons, length - 1]
        losses = functional.cross_entropy(
            self.model.lm_head(hidden[:, :-1][counted]), ids[:, 1:][counted], reduction="none"
        )
        whole = weights.sum() if by_token else weights.sum(dim=1, keepdim=True) * len(lessons)
        return (losses * (weights / whole)[:, 1:][counted]).sum()

    def _optimise(
        self,
        name: str,
        steps: int,
        weights: list[nn.Parameter],
        loss_of_step: Callable[[], Tensor],
        learning_rate: float,
    ) -> None:
        optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.98), weight_decay=0.01)
        started, total = time.monotonic(), 0.0
        for step in range(1, steps + 1):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * _schedule(step, steps)
            loss = loss_of_step()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            total += loss.item()
            if step % _REPORT_EVERY == 0:
                seconds = time.monotonic() - started
                mean = total / _REPORT_EVERY
                print(f"{name}: step {step}/{steps}, loss {mean:.3f}, {seconds:.0f} s", flush=True)
                total = 0.0


def pixels(scenes: Sequence[Scene]) -> Tensor:
    """The pictures as the processor makes them: ``[scenes, 3, 54, 54]`` in -1..1."""
    pictures = np.stack([np.asarray(render(scene), dtype=np.float32) for scene in scenes])
    return torch.from_numpy(pictures / 127.5 - 1).permute(0, 3, 1, 2).contiguous()


def save(trainer: Trainer, folder: Path) -> None:
    """Model (float32 safetensors) and processor, as ``from_pretrained`` reads them."""
    trainer.model.generation_config.do_sample = False
    trainer.model.save_pretrained(folder)
    trainer.processor.save_pretrained(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.base", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the model")
    parser.add_argument("--seed", type=int, default=0, help="fixes weights and lessons")
    options = parser.parse_args(arguments)
    trainer = Trainer(Plan(), seed=options.seed)
    trainer.train()
    save(trainer, options.output)


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up over 20 steps, then a cosine that ends at a small share."""
    warm = min(1.0, step / 20)
    cosine = 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
    return warm * (cosine * (1 - _LEAST_LEARNING_RATE) + _LEAST_LEARNING_RATE)


def _cell_labels(scenes: Sequence[Scene]) -> Tensor:
    """Colour, shape (0 is an empty cell), background and place: ``[scenes, cells, 4]``."""
    rows = []
    for scene in scenes:
        background = BACKGROUNDS.index(scene.background)
        cells = []
        for place, position in enumerate(POSITIONS):
            thing = scene.at(position)
            color = COLORS.index(thing.color) + 1 if thing else 0
            shape = SHAPES.index(thing.shape) + 1 if thing else 0
            cells.append((color, shape, background, place))
        rows.append(cells)
    return torch.tensor(rows)


def _pad(lessons: Sequence[Lesson]) -> tuple[Tensor, Tensor]:
    """Ids and weights, padded on the right to ``[lessons, longest]``."""
    longest = max(len(lesson.ids) for lesson in lessons)
    ids = torch.full((len(lessons), longest), _PAD_ID)
    weights = torch.zeros(len(lessons), longest)
    for row, lesson in enumerate(lessons):
        ids[row, : len(lesson.ids)] = torch.tensor(lesson.ids)
        weights[row, : len(lesson.weights)] = torch.tensor(lesson.weights)
    return ids, weights


if __name__ == "__main__":
    main()
