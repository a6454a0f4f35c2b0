"""A labelled project about the pictures that the tiny model of the engine's tests knows."""

from annotation.models import Comparison, Project
from tests.factories import make_comparison, make_image, make_prompt, picture_bytes
from tests.training.factories import make_common
from tests.training.rlhf import tiny


def labelled_project() -> Project:
    """Twelve comparisons about as many pictures, decided for what their picture shows."""
    common = make_common()
    colours = list(tiny.COLOURS)
    for number in range(12):
        colour, wrong = colours[number % 3], colours[(number + 1) % 3]
        image = make_image(picture_bytes(colour=(*tiny.COLOURS[colour][:2], number)))
        turns = [{"from": "human", "value": "<image>\nwhat is there ?"}]
        prompt = make_prompt(
            common.project, image=image, conversation=turns, captions=[f"a {colour} circle"]
        )
        make_comparison(
            common.project,
            prompt=prompt,
            response_1=f"a {colour} circle",
            response_2=f"a {wrong} circle",
            outcome=Comparison.Outcome.DECIDED,
            preference=1,
            hallucination=True,
            margin=1.0,
            open_slots=0,
        )
    return common.project
