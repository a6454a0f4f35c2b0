"""Continuations of one prefix in one line: who stands where, and who sees whom."""

from __future__ import annotations

import pytest
import torch

from training.rlhf.packing import Lines, width_of

OWNERS = [0, 1, 0]
IDS = torch.tensor([[11, 12, 0], [21, 0, 0], [31, 32, 33]])
MASK = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]])
BEFORE = torch.tensor([[1, 1], [1, 0]])


@pytest.fixture
def lines() -> Lines:
    return Lines.of(BEFORE, OWNERS, IDS, MASK, MASK)


def test_continuations_stand_one_behind_the_other(lines: Lines) -> None:
    assert lines.ids.tolist() == [[11, 12, 31, 32, 33], [21, 0, 0, 0, 0]]
    assert width_of(OWNERS, [2, 1, 3], 2) == 5


def test_each_counts_on_from_its_prefix(lines: Lines) -> None:
    assert lines.positions[0].tolist() == [2, 3, 2, 3, 4]
    assert lines.positions[1, 0] == 1


def test_a_token_sees_its_prefix_and_what_is_its_own_before_it(lines: Lines) -> None:
    seen = [row.nonzero().flatten().tolist() for row in lines.allowed[0]]
    # Places 0 and 1 are the prefix; then 11, 12, 31, 32, 33.
    assert seen == [[0, 1, 2], [0, 1, 2, 3], [0, 1, 4], [0, 1, 4, 5], [0, 1, 4, 5, 6]]
    assert lines.allowed[1, 0].nonzero().flatten().tolist() == [0, 2]


def test_every_place_sees_something() -> None:
    """A row of scores that is masked everywhere would become not-a-number."""
    lines = Lines.of(BEFORE, OWNERS, IDS, MASK, MASK)
    assert bool(lines.allowed.any(-1).all())


def test_rows_come_back_in_their_order(lines: Lines) -> None:
    back = lines.rows(lines.ids[..., None].float())[..., 0]
    assert back[MASK.bool()].tolist() == IDS[MASK.bool()].float().tolist()
    assert back[0].tolist() == [11, 12, 12]  # what has no place repeats the last before it


def test_padding_that_counts_gets_a_place_and_is_seen_by_nobody() -> None:
    """The paper's means over all slots: padding is asked about, and never answered from."""
    slots = torch.ones_like(MASK)
    lines = Lines.of(BEFORE, OWNERS, IDS, MASK, slots)
    assert lines.ids[0].tolist() == [11, 12, 0, 31, 32, 33]
    assert lines.positions[0].tolist() == [2, 3, 4, 2, 3, 4]
    assert not lines.allowed[0, :, 2 + 2].any()
    assert lines.allowed[0, 2].nonzero().flatten().tolist() == [0, 1, 2, 3]


def test_a_row_without_slots_takes_no_room() -> None:
    slots = MASK.clone()
    slots[0] = 0
    lines = Lines.of(BEFORE, OWNERS, IDS, MASK, slots)
    assert lines.ids[0].tolist() == [31, 32, 33]
    assert lines.rows(lines.ids).shape == (3, 3)
