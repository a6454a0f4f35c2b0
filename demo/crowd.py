"""Simulated annotators: they log nothing in by hand and see only what the REST API shows.

Each is a thread with a token of its own that takes the next comparison, looks at its picture and
question, answers with ``demo.annotators.judge``, and goes on until there is nothing left.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from random import Random
from threading import Event
from typing import Any

import httpx

from demo.annotators import Answer, judge
from demo.world import Prompt

TIMEOUT_SECONDS = 60

Seen = tuple[str, str]
"""The hash of a picture and the question about it: all that annotators are told of a prompt."""


def label_everything(
    site: str,
    project: str,
    tokens: list[str],
    prompts: Mapping[Seen, Prompt],
    *,
    noise: float,
    seed: int,
    on_judgment: Callable[[], None],
) -> int:
    """Judges until the queue is empty for everybody; the number of judgments that were accepted.

    ``prompts`` holds what is asked about which scene. Raises httpx.HTTPStatusError when the API
    refuses something.
    """
    enough = Event()
    with ThreadPoolExecutor(len(tokens)) as people:
        working = [
            people.submit(
                _annotate,
                httpx.Client(
                    base_url=f"{site}/api/v1",
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=TIMEOUT_SECONDS,
                ),
                project,
                prompts,
                Random(f"annotator-{seed}-{number}"),
                noise,
                on_judgment,
                enough,
            )
            for number, token in enumerate(tokens)
        ]
        try:
            return sum(person.result() for person in as_completed(working))
        finally:
            enough.set()  # One failed, or somebody interrupts: the others need not finish.


def _annotate(
    api: httpx.Client,
    project: str,
    prompts: Mapping[Seen, Prompt],
    rng: Random,
    noise: float,
    on_judgment: Callable[[], None],
    enough: Event,
) -> int:
    judged = 0
    with api:
        while not enough.is_set():
            assignment = _post(api, f"/projects/{project}/assignments/next", {})
            if assignment is None:
                break
            answer = _look_and_judge(assignment, prompts, rng, noise)
            _post(api, f"/assignments/{assignment['token']}/judgment", answer)
            judged += 1
            on_judgment()
    return judged


def _look_and_judge(
    assignment: dict[str, Any], prompts: Mapping[Seen, Prompt], rng: Random, noise: float
) -> dict[str, Any]:
    first, second = assignment["responses"]
    prompt = prompts[assignment["image"]["sha256"], assignment["conversation"][-1]["value"]]
    said: Answer = judge(
        first["text"],
        second["text"],
        prompt.scene,
        rng,
        noise=noise,
        question=prompt.question,
    )
    shown = {"a": str(first["response"]), "b": str(second["response"]), "tie": "tie"}
    answer = {"client_uuid": str(uuid.uuid4()), "more_hallucinated": shown[said.more_hallucinated]}
    if said.more_helpful is not None:
        answer["more_helpful"] = shown[said.more_helpful]
    return answer


def _post(api: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
    response = api.post(path, json=body)
    response.raise_for_status()
    if response.status_code == httpx.codes.NO_CONTENT:
        return None
    found: dict[str, Any] = response.json()
    return found
