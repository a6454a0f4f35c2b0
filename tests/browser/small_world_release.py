"""A release of the small world whose pairs nothing but picture and facts can tell apart."""

from __future__ import annotations

from random import Random

from annotation import exporting
from annotation.models import Comparison, Image, Release, User
from demo import world
from demo.loop import BASE_MODEL
from demo.scenes import caption, random_scene
from tests import factories
from training.checkpoints import registry


def caption_release(admin: User, *, scenes: int, held_out_share: float) -> Release:
    """Scenes, each with its caption preferred to the caption of another scene."""
    project = factories.make_project(slug="scenes", name="Scenes")
    draw = Random(4)
    images: dict[bytes, Image] = {}
    for number, prompt in enumerate(world.prompts(scenes, seed=4)):
        picture = prompt.picture()
        images[picture] = images.get(picture) or factories.make_image(picture)
        stored = factories.make_prompt(
            project,
            image=images[picture],
            external_id=prompt.record.id,
            conversation=[{"from": "human", "value": prompt.record.conversation[0].text}],
            captions=list(prompt.record.captions),
        )
        responses = [caption(prompt.scene), caption(random_scene(draw, held_out=True))]
        better = 1 + number % 2
        factories.make_comparison(
            project,
            prompt=stored,
            response_1=responses[better - 1],
            response_2=responses[2 - better],
            outcome=Comparison.Outcome.DECIDED,
            preference=better,
            hallucination=True,
            margin=1.0,
            open_slots=0,
        )
    registry.register_base("small-world base", folder=BASE_MODEL)
    return exporting.make_release(project, held_out_share=held_out_share, created_by=admin)
