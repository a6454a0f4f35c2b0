"""Sample responses of a run, told per prompt: how its answer to the same prompt changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from annotation import access
from annotation.models import Image
from training.models import Run, Sample

MOST_PROMPTS = 12
MOST_STEPS = 6
MOST_LISTED = 200


@dataclass(kw_only=True)
class History:
    """The responses to one prompt, the newest first."""

    prompt: str
    facts: list[str]
    image: Image | None
    """None where the person may not see it, or it is gone."""
    samples: list[Sample] = field(default_factory=list)


def steps(run: Run) -> list[int]:
    """The steps that samples were drawn at, newest first."""
    found = run.samples.order_by("-step").values_list("step", flat=True).distinct()
    return list(found[:MOST_LISTED])


def spread(known: list[int], most: int = MOST_STEPS) -> list[int]:
    """At most ``most`` of ``known``, evenly: the first and the last are always among them."""
    if len(known) <= most:
        return known
    places = {round(number * (len(known) - 1) / (most - 1)) for number in range(most)}
    return [known[place] for place in sorted(places)]


def histories(run: Run, user: Any, shown: list[int]) -> list[History]:
    """One for each prompt that has a sample at one of the ``shown`` steps; three queries."""
    rows = list(run.samples.filter(step__in=shown).order_by("-step", "prompt_id"))
    visible = access.visible(user, Image.objects.all())
    images = visible.in_bulk({_sha256(row) for row in rows}, field_name="sha256")
    found: dict[tuple[str, str], History] = {}
    for row in rows:
        # Not by the record's id: a reward model tells two responses to one prompt.
        key = (row.image, row.prompt)
        if key not in found:
            if len(found) == MOST_PROMPTS:
                continue
            found[key] = History(prompt=row.prompt, facts=row.facts, image=images.get(_sha256(row)))
        found[key].samples.append(row)
    return list(found.values())


def _sha256(sample: Sample) -> str:
    return sample.image.partition(".")[0]
