"""``python -m demo.measuring``: what a base model says, knows and can check, kind by kind.

RLHF can bring out only what a base says now and then, and a reward model can use facts only where
its base can check answers against them. So no kind of question is trained on whose answers the
base cannot tell apart (AUC of its "zero" to the rating prompt below ``LEAST_AUC``).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from benchmark.protocols.small_world import Scene
from demo.base import BASE_MODEL
from demo.claims import helpful, mistakes, right
from demo.faults import tempting
from demo.lessons import FACT_FORMAT, FACTS_INTRODUCTION, RATING_PROMPT
from demo.questions import KINDS, Question
from demo.scenes import random_scene, render, told
from demo.tiny_model import ASSISTANT, EOS, USER

LEAST_AUC = 0.9
MOST_TOKENS = 20


@dataclass(frozen=True)
class Measured:
    """One kind of question; shares are between 0 and 1."""

    kind: str
    greedy: float
    """Share of the most likely answers that are right (captions: free of false claims)."""
    greedy_helpful: float
    """Mean coverage of captions; as ``greedy`` for other kinds."""
    sampled: float
    """As ``greedy``, at temperature 1."""
    auc: float
    """How well the base's verdicts tell its own honest sampled answers from the others."""
    honest: int
    asked: int


class Base:
    """A base model with its processor, asked directly."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = AutoProcessor.from_pretrained(folder)

    def answers(
        self, questions: Sequence[Question], scenes: Sequence[Scene], *, sampled: bool
    ) -> list[str]:
        """One answer to each question; sampled at temperature 1, or the most likely one."""
        turns = [
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": q.text}]}]
            for q in questions
        ]
        texts = self.processor.apply_chat_template(turns, add_generation_prompt=True)
        inputs = self._inputs(texts, scenes)
        how = {"do_sample": True, "top_k": 0} if sampled else {"do_sample": False}
        output = self.model.generate(**inputs, **how, max_new_tokens=MOST_TOKENS)
        width = inputs["input_ids"].shape[1]
        found: list[str] = self.processor.batch_decode(output[:, width:], skip_special_tokens=True)
        return found

    @torch.no_grad()
    def honesty(
        self,
        questions: Sequence[Question],
        scenes: Sequence[Scene],
        answers: Sequence[str],
        facts: Sequence[Sequence[str]],
    ) -> list[float]:
        """Log-probability that "zero" parts of each are wrong, asked as a reward model is."""
        texts = []
        for question, answer, captions in zip(questions, answers, facts, strict=True):
            lines = "\n".join(FACT_FORMAT.format(caption=caption) for caption in captions)
            texts.append(
                f"<bos>{USER} <image>\n{question.text}\n{FACTS_INTRODUCTION}\n{lines}\n"
                f"{ASSISTANT} {answer}{EOS}{USER} {RATING_PROMPT}\n{ASSISTANT} "
            )
        logits = self.model(**self._inputs(texts, scenes)).logits[:, -1].log_softmax(-1)
        found: list[float] = logits[
            :, self.processor.tokenizer.convert_tokens_to_ids("zero")
        ].tolist()
        return found

    def _inputs(self, texts: Sequence[str], scenes: Sequence[Scene]) -> dict[str, torch.Tensor]:
        pictures = [render(scene) for scene in scenes]
        inputs: dict[str, torch.Tensor] = self.processor(
            images=pictures, text=list(texts), padding=True, return_tensors="pt"
        )
        return inputs


def measure(base: Base, kind: str, *, count: int, seed: int = 0) -> Measured:
    """``count`` questions of a kind about held-out scenes."""
    rng = Random(f"measuring-{kind}-{seed}")
    torch.manual_seed(seed)
    questions: list[Question] = []
    scenes: list[Scene] = []
    while len(questions) < count:
        scene = random_scene(rng, held_out=True)
        question = tempting(scene, kind, rng)
        if question is not None:
            questions.append(question)
            scenes.append(scene)
    greedy = base.answers(questions, scenes, sampled=False)
    sampled = base.answers(questions, scenes, sampled=True)
    facts = [told(scene, rng) for scene in scenes]
    verdicts = base.honesty(questions, scenes, sampled, facts)
    said = list(zip(sampled, questions, scenes, strict=True))
    honest = [mistakes(*one) == 0 for one in said]
    return Measured(
        kind=kind,
        greedy=fmean(_right(*one) for one in zip(greedy, questions, scenes, strict=True)),
        greedy_helpful=fmean(helpful(*one) for one in zip(greedy, questions, scenes, strict=True)),
        sampled=fmean(_right(*one) for one in said),
        auc=auc(verdicts, honest),
        honest=sum(honest),
        asked=count,
    )


def _right(answer: str, question: Question, scene: Scene) -> bool:
    if question.type == "holistic":
        return mistakes(answer, question, scene) == 0
    return right(answer, question)


def auc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """How often a positive's score is above a negative's; a half where all are of one sort."""
    good = [score for score, is_good in zip(scores, positive, strict=True) if is_good]
    bad = [score for score, is_good in zip(scores, positive, strict=True) if not is_good]
    if not good or not bad:
        return 0.5
    return fmean((g > b) + 0.5 * (g == b) for g in good for b in bad)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.measuring", description=__doc__)
    parser.add_argument("--base", type=Path, default=BASE_MODEL, help="folder of the model")
    parser.add_argument("--count", type=int, default=200, help="questions of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    base = Base(options.base)
    print(f"n = {options.count} a kind, held-out scenes; greedy unless said otherwise")
    print(f"{'kind':<12} {'right':>6} {'helpful':>8} {'right at T=1':>13} {'AUC':>6}")
    for kind in KINDS:
        m = measure(base, kind, count=options.count, seed=options.seed)
        print(
            f"{kind:<12} {m.greedy:6.0%} {m.greedy_helpful:8.0%} {m.sampled:13.0%} {m.auc:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
