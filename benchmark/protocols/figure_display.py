"""How figures are called, in which unit they are written, and where better lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["up", "down", ""]
Style = Literal["number", "share", "share_tenths", "percent", "percent_tenths"]
"""2.53; 0.57 as "57 %"; 0.574 as "57.4 %"; 57 as "57 %"; 57.4 as "57.4 %"."""


@dataclass(frozen=True)
class Shown:
    """One figure of a summary: its key there, its title, what it is, and where better lies."""

    name: str
    title: str
    unit: str
    better: Better = "up"
    scale: str = ""
    """From where to where it goes, for a figure that is written without a unit of its own."""
    style: Style = "number"
    of: str = ""
    """What stands behind it where it stands large: "of 6"."""
    counts: bool = False
    """Whether it is a share of answers that are counted one by one: "5 of 6" is said beside it."""
    pooled: bool = False
    """Whether it is made of counts over all answers (nouns, objects, one word's answers): the
    answers that it is over are then not what it divides by."""
    by_type: str = ""
    """Its title in a table of question types, where that is another."""
    undefined: str = "there is nothing to divide by"
    """Why it may be not defined, as the end of a sentence."""

    @property
    def label(self) -> str:
        """What it is called beside figures on the usual scale, 0 to 6, which needs no name."""
        return "" if self.scale else self.title

    @property
    def stored_in(self) -> str:
        """The unit of its value where programs read it: a share is not written as a percentage."""
        if self.style == "number":
            return self.scale or self.unit
        return "share, 0 to 1" if self.style.startswith("share") else "percent"

    @property
    def heading(self) -> str:
        return f"{self.title}, {self.scale}" if self.scale else self.title


@dataclass(frozen=True)
class Axis:
    """What a chart is drawn on, in the unit that the figure is stored in."""

    label: str
    unit: str
    min: float | None = None
    max: float | None = None

    def to_json(self) -> dict[str, str | float]:
        """As static/js/charts.js reads it."""
        ends = {"min": self.min, "max": self.max}
        given = {name: end for name, end in ends.items() if end is not None}
        return {"label": self.label, "unit": self.unit, **given}


@dataclass(frozen=True)
class Table:
    """A table as it was published: names of columns, and a row of figures per model."""

    id: str
    title: str
    terms: tuple[str, ...]
    """What a figure of it depends on, each for a place under the title."""
    sources: tuple[tuple[str, str], ...]
    """Where its figures were printed: title and address."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    digits: tuple[int, ...] = ()
    """Decimals of each column; one each where nothing is said."""
    warning: str = ""
    """What must be read before such figures are held against others."""
    opened: bool = False
    rows_are: str = "Model"

    @property
    def written(self) -> list[tuple[str, list[str]]]:
        """Rows as text, a dash for what was not printed."""
        digits = self.digits or (1,) * len(self.columns)
        return [
            (model, [_written(value, n) for value, n in zip(row, digits, strict=True)])
            for model, row in self.rows
        ]


def _written(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"  # noqa: RUF001


THE_PAPER = (
    "Sun et al., Aligning Large Multimodal Models with Factually Augmented RLHF",
    "https://arxiv.org/abs/2309.14525",
)
"""The source of figures that the paper printed."""
