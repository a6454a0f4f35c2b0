"""One folder per benchmark: all that is special about it, and nothing else.

To add a benchmark, add a folder with a ``protocol.Protocol`` and a line to ``TABLE``. Templates are
looked for here too: "NAME/outcome.html" is a file of that folder.
"""

from __future__ import annotations

from benchmark.protocols import (
    amber,
    dash_b,
    llava_bench,
    mmhal,
    multimodal_rewardbench,
    pope,
    repope,
    small_world,
    vl_rewardbench,
)
from benchmark.protocols.protocol import Protocol

TABLE: dict[str, Protocol] = {
    one.name: one
    for one in (
        mmhal.PROTOCOL,
        small_world.PROTOCOL,
        pope.PROTOCOL,
        llava_bench.PROTOCOL,
        llava_bench.IN_THE_WILD,
        repope.PROTOCOL,
        dash_b.PROTOCOL,
        amber.PROTOCOL,
        amber.GENERATIVE,
        amber.YES_NO,
        vl_rewardbench.PROTOCOL,
        multimodal_rewardbench.PROTOCOL,
    )
}


def named(name: str) -> Protocol:
    """Raises KeyError for a name that the table does not have."""
    return TABLE[name]


def choices() -> list[tuple[str, str]]:
    """Name and title of each."""
    return [(one.name, one.title) for one in TABLE.values()]


def type_title(name: str) -> str:
    """A question type for people: "Conversation" for "conv"."""
    titles = (one.type_titles[name] for one in TABLE.values() if name in one.type_titles)
    title = next(titles, name)
    return title[:1].upper() + title[1:]
