from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training.rlhf import decoding
from training.rlhf.contract import SamplingSettings, Turn
from training.rlhf.data import TokenSequence
from training.rlhf.decoding import chosen_tokens
from training.rlhf.models import VisionLanguageModel
from training.rlhf.rollout import Responses, sample

FOUR = torch.tensor([[0.1, 0.2, 0.3, 0.4]])


class FourTokens:
    """A model that says one of four tokens with the probabilities of ``FOUR``."""

    def logits(self, hidden: torch.Tensor, *, temperature: float = 1.0) -> torch.Tensor:
        return FOUR.log().expand(len(hidden), 4) / temperature


def tokens(draws: list[float], **settings: float) -> list[int]:
    found, _ = chosen_tokens(
        FourTokens(),  # type: ignore[arg-type]
        torch.zeros(len(draws), 1),
        torch.tensor(draws, dtype=torch.float64),
        SamplingSettings(**settings),
    )
    return found.tolist()


def test_a_draw_picks_the_token_whose_share_it_falls_in() -> None:
    assert tokens([0.0, 0.09, 0.11, 0.29, 0.31, 0.59, 0.61, 0.9999999]) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_temperature_sharpens() -> None:
    # at 0.5 the shares are 1 : 4 : 9 : 16 of 30
    shares = [1 / 30, 5 / 30, 14 / 30]
    just_before = [share - 1e-4 for share in shares]
    just_behind = [share + 1e-4 for share in shares]
    assert tokens(just_before, temperature=0.5) == [0, 1, 2]
    assert tokens(just_behind, temperature=0.5) == [1, 2, 3]


def test_nucleus_leaves_out_the_unlikely_ones() -> None:
    # 0.4 + 0.3 reach 0.6; they share [0, 1) as 3 : 4, in the order of their ids
    assert tokens([0.0, 0.42, 0.43, 0.99], top_p=0.6) == [2, 2, 3, 3]
    assert tokens([0.0, 0.99], top_p=0.01) == [3, 3]


def test_greedy_takes_the_likeliest() -> None:
    assert tokens([0.0, 0.99], temperature=0.0) == [3, 3]


def test_tokens_without_probability_are_never_picked(model: VisionLanguageModel) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(1, model.hidden_size).expand(2000, -1)
    draws = torch.linspace(0, 1, 2001, dtype=torch.float64)[:-1]
    found, _ = chosen_tokens(model, hidden, draws, SamplingSettings())
    assert not torch.isin(found, torch.tensor(model.suppressed_ids)).any()


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_samples_do_not_depend_on_their_batch(
    model: VisionLanguageModel, image_files: list[Path], top_p: float
) -> None:
    """Also when responses end at different times and finished ones are taken out."""
    questions = ["what ?", "is there a red circle and a cross ?", "what is there ?"]
    prompts: list[TokenSequence] = [
        model.chat.prompt((Turn(speaker="human", text=f"<image>\n{question}"),), image)
        for question, image in zip(questions, model.encode_images(image_files), strict=True)
        for _ in range(4)
    ]
    model.stop_ids = (2, 7, 11, 13)
    settings = SamplingSettings(temperature=1.3, top_p=top_p, response_length=40)
    found = []
    for batch_size in (1, 5, 12):
        torch.manual_seed(3)
        found.append(sample(model, prompts, settings, adapter=None, batch_size=batch_size))
    assert found[0].texts == found[1].texts == found[2].texts
    assert len(set(found[0].lengths.tolist())) > 4
    assert torch.equal(found[0].ids, found[2].ids)


def sampled_in_turns(
    model: VisionLanguageModel, files: list[Path], *, size: int, **options: Any
) -> tuple[Responses, list[tuple[int, int]], list[list[int]]]:
    """24 responses, ``size`` at once: passes as (rows, columns), and rows measured together."""
    prompts = [
        model.chat.prompt((Turn(speaker="human", text=f"<image>\n{question}"),), image)
        for question, image in zip(
            ["what ?", "is there a red circle and a cross ?", "what is there ?"] * 8,
            model.encode_images(files) * 8,
            strict=True,
        )
    ]
    model.stop_ids = (2, 7, 11, 13)
    passes: list[tuple[int, int]] = []
    run, together = model.run, list[list[int]]()

    def noting(**inputs: Any) -> torch.Tensor:
        passes.append(tuple(inputs["input_ids"].shape))  # type: ignore[arg-type]
        return run(**inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "run", noting)
        torch.manual_seed(3)
        found = sample(
            model,
            prompts,
            SamplingSettings(temperature=1.3, response_length=40),
            adapter=None,
            batch_size=size,
            after_batch=lambda rows, *_: together.append(rows),
            **options,
        )
    return found, passes, together


def test_where_responses_end_waiting_prompts_are_let_in(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    whole, _, _ = sampled_in_turns(model, image_files, size=24)
    found, passes, together = sampled_in_turns(model, image_files, size=4)
    assert found.texts == whole.texts and torch.equal(found.ids, whole.ids)
    assert sorted(row for rows in together for row in rows) == list(range(24))
    steps = [rows for rows, columns in passes if columns == 1]
    assert max(steps) == 4
    lengths = found.lengths.tolist()
    # the bound of any schedule that leaves no place empty while somebody waits (Graham 1966)
    assert len(steps) <= sum(lengths) / 4 + 0.75 * max(lengths)
    assert len([columns for _, columns in passes if columns > 1]) == 6, "a prompt is run once"


def test_a_gpu_is_not_asked_after_every_token(
    model: VisionLanguageModel, image_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that have ended go along for some steps, and nothing of that is heard."""
    expected, _, _ = sampled_in_turns(model, image_files, size=4)
    original = decoding.Flight.__init__

    def on_a_gpu(self: decoding.Flight, *given: Any) -> None:
        original(self, *given)
        self._every = 8

    monkeypatch.setattr(decoding.Flight, "__init__", on_a_gpu)
    found, passes, _ = sampled_in_turns(model, image_files, size=4)
    assert torch.equal(found.ids, expected.ids) and found.drawn_with is not None
    torch.testing.assert_close(found.drawn_with, expected.drawn_with)
    assert sum(columns == 1 for _, columns in passes) % 8 == 0


def test_what_was_answered_before_memory_ran_out_stays(
    model: VisionLanguageModel, image_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, *_ = sampled_in_turns(model, image_files, size=24)
    original, ran_out = decoding.Flight.admit, list[int]()

    def admit(self: decoding.Flight, numbers: list[int], *given: Any) -> None:
        if len(self.unfinished) + len(numbers) > 3 and len(answered) >= 4:
            ran_out.append(len(numbers))
            raise torch.OutOfMemoryError("fake: out of memory")
        original(self, numbers, *given)

    answered: list[int] = []
    monkeypatch.setattr(decoding.Flight, "result", _noting(decoding.Flight.result, answered))
    monkeypatch.setattr(decoding.Flight, "admit", admit)
    found, _, together = sampled_in_turns(model, image_files, size=4)
    assert ran_out and model.fit("sampling").limit == 2
    assert torch.equal(found.ids, expected.ids)
    assert sorted(row for rows in together for row in rows) == list(range(24))


def _noting(result: Callable[..., Any], answered: list[int]) -> Callable[..., Any]:
    def noting(self: decoding.Flight, numbers: list[int]) -> Any:
        answered.extend(numbers)
        return result(self, numbers)

    return noting
