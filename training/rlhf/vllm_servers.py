"""vLLM as the sampler of PPO in servers of its own: `vllm serve`, one or several, on other GPUs.

Each round's policy goes to all of them as an adapter, by the path of its folder, so they need the
run directory under the same path. What a stranger would get wrong: a server outlives a run that was
killed, so what such a run left on it is removed when the run goes on.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import logging
import os
import shutil
import threading
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import torch
from PIL import Image

from training.rlhf.adapters import POLICY
from training.rlhf.contract import PpoSettings
from training.rlhf.errors import EngineError, Interrupted
from training.rlhf.models import VisionLanguageModel
from training.rlhf.processes import processes
from training.rlhf.run_directory import Run
from training.rlhf.vllm_rounds import (
    Answer,
    Ask,
    VllmRounds,
    longest,
    parameters_of,
    short_prompt_of,
)

if TYPE_CHECKING:
    from training.rlhf.samplers import Question

SERVERS = "SAMPLER_SERVERS"
"""The environment's name of their addresses, separated by blanks. Not a setting of a run: who
starts runs must not choose what the trainer's host talks to."""
KEY = "SAMPLER_SERVERS_KEY"
"""What they were given as ``--api-key``, if anything."""
_TIMEOUT = httpx.Timeout(30, read=3600)
"""Seconds; an answer may wait for as many others as a server has no room for."""
_LOOK_AROUND_SECONDS = 0.2

log = logging.getLogger(__name__)


class VllmServers(VllmRounds):
    """Servers of the policy's base, given the policy's adapter anew each round."""

    def __init__(self, run: Run, settings: PpoSettings, addresses: Sequence[str]) -> None:
        super().__init__(run, settings)
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of each request
        self._addresses = [address.rstrip("/") for address in addresses]
        key = os.environ.get(KEY)
        self._options: dict[str, Any] = {
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
            "timeout": _TIMEOUT,
            "limits": httpx.Limits(max_connections=None),
            "trust_env": False,  # they are neighbours, behind no proxy
        }
        self._prefix = f"factloop-{_digest(str(run.directory.resolve()))}-"
        self._start = ""
        self._coming: _Coming | None = None

    # ---- ahead -------------------------------------------------------------------------------

    def expect(
        self,
        model: VisionLanguageModel,
        questions: Sequence[Question],
        *,
        seed: int,
        policy: Path | None = None,
    ) -> None:
        """See ``Sampler``."""
        if policy is None:
            policy = self._run.directory / "sampler_ahead"
            if processes().leads:
                shutil.rmtree(policy, ignore_errors=True)
                model.save_adapter(POLICY, policy)
        self.drawn_from = policy
        drawn = torch.randint(
            2**31, (len(questions),), generator=torch.Generator().manual_seed(seed)
        )
        own = {row: questions[row] for rows in self._parts(questions) for row in rows}
        self._round += 1
        opened = contextlib.ExitStack()
        ask = opened.enter_context(self._policy(model, policy))
        self._coming = _Coming(opened, own, partial(ask, own, drawn.tolist()))

    def close(self) -> None:
        """See ``Sampler``."""
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.give_up()
        if self.drawn_from is not None and processes().leads:
            shutil.rmtree(self._run.directory / "sampler_ahead", ignore_errors=True)
        self.drawn_from = None

    def _answered(
        self,
        model: VisionLanguageModel,
        questions: Mapping[int, Question],
        seeds: Sequence[int],
        before_step: Callable[[], None],
    ) -> Generator[tuple[int, Answer]]:
        coming = self._coming
        if coming is None:
            yield from super()._answered(model, questions, seeds, before_step)
            return
        if not coming.answers(questions):
            raise RuntimeError("other questions were asked ahead than are to be answered")
        answers = coming.wait(before_step)
        self._coming = None
        with coming.policy:
            yield from answers

    # ---- a round -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _policy(self, model: VisionLanguageModel, folder: Path | None = None) -> Iterator[Ask]:
        """The model's policy, or the one that lies in ``folder``."""
        everyone = processes()
        if not self._start:
            # What an earlier start called by the same name must not be taken for this one's.
            self._start = everyone.collect([uuid.uuid4().hex[:8]])[0]
            self._check(model)
        name = f"{self._prefix}{self._start}-{self._round}"
        if everyone.leads:
            shutil.rmtree(self._adapters, ignore_errors=True)
            if folder is None:
                model.save_adapter(POLICY, self._adapters / name)
            else:
                shutil.copytree(folder, self._adapters / name)
            self._load(name)
        everyone.wait()
        try:
            yield partial(self._answers, model, name)
            everyone.wait()
        finally:
            if everyone.leads:
                self._unload(name)
                shutil.rmtree(self._adapters, ignore_errors=True)

    # ---- adapters ----------------------------------------------------------------------------

    def _check(self, model: VisionLanguageModel) -> None:
        """EngineError for a server that is not there, or whose context is too short.

        Adapters of an earlier start of this run, which was killed, are removed.
        """
        needed = longest(model, self._settings.sampling)
        if not processes().leads:
            return
        for address in self._addresses:
            for served in self._send("GET", address, "/v1/models").json()["data"]:
                if served["id"].startswith(self._prefix):
                    self._send("POST", address, _UNLOAD, {"lora_name": served["id"]})
                elif (room := served.get("max_model_len")) and room < needed:
                    raise EngineError(
                        f"the sampler's server {address} has room for {room} tokens (its "
                        f"--max-model-len); prompts and answers of this run may take {needed}"
                    )

    def _load(self, name: str) -> None:
        path = str((self._adapters / name).resolve())
        for address in self._addresses:
            self._send("POST", address, _LOAD, {"lora_name": name, "lora_path": path})

    def _unload(self, name: str) -> None:
        """Whoever cannot be told forgets it when its place is needed."""
        for address in self._addresses:
            with contextlib.suppress(EngineError):
                self._send("POST", address, _UNLOAD, {"lora_name": name})

    def _send(self, method: str, address: str, path: str, body: Any = None) -> httpx.Response:
        with _failures_of(address), httpx.Client(**self._options) as client:
            response = client.request(method, f"{address}{path}", json=body)
        _expect_success(address, path, response)
        return response

    # ---- answers -----------------------------------------------------------------------------

    def _answers(
        self,
        model: VisionLanguageModel,
        name: str,
        questions: Mapping[int, Question],
        seeds: Sequence[int],
        before_step: Callable[[], None],
    ) -> Iterator[tuple[int, Answer]]:
        # Before a thread begins: a tokenizer must not be used by two of them.
        ids = {row: short_prompt_of(model, question) for row, question in questions.items()}
        return _all(self._ask_all(model, name, questions, ids, seeds, before_step))

    async def _ask_all(
        self,
        model: VisionLanguageModel,
        name: str,
        questions: Mapping[int, Question],
        ids: Mapping[int, list[int]],
        seeds: Sequence[int],
        before_step: Callable[[], None],
    ) -> list[tuple[int, Answer]]:
        """Each server is asked so much at once, and whichever has answered takes the next.

        Questions that are under way when this ends early are given up by the servers, too.
        """
        waiting, found = deque(questions), list[tuple[int, Answer]]()

        async def serve(client: httpx.AsyncClient, address: str) -> None:
            while waiting:
                row = waiting.popleft()
                picture = model.encode_images.picture(questions[row].images[0])
                body = {
                    "model": name,
                    "token_ids": ids[row],
                    "content_parts": [{"type": "image_url", "url": _data_url(picture)}],
                    "sampling_params": parameters_of(model, self._settings.sampling, seeds[row]),
                    "return_token_ids": True,
                }
                with _failures_of(address):
                    response = await client.post(f"{address}{_GENERATE}", json=body)
                _expect_success(address, _GENERATE, response)
                found.append((row, _answer(response.json())))

        each = max(self._settings.sampler_rows // processes().count, 1)
        async with httpx.AsyncClient(**self._options) as client:
            tasks = {
                asyncio.create_task(serve(client, address))
                for _ in range(each)
                for address in self._addresses
            }
            pending = tasks
            try:
                while pending:
                    before_step()
                    done, pending = await asyncio.wait(
                        pending, timeout=_LOOK_AROUND_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    for task in done:
                        task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return found


def _all(asking: Coroutine[Any, Any, list[tuple[int, Answer]]]) -> Iterator[tuple[int, Answer]]:
    yield from asyncio.run(asking)


class _Coming:
    """A round that a thread asks for while this one does something else."""

    def __init__(
        self,
        policy: contextlib.ExitStack,
        questions: Mapping[int, Question],
        ask: Callable[[Callable[[], None]], Iterator[tuple[int, Answer]]],
    ) -> None:
        self.policy = policy
        """To be left when the answers are there, or given up."""
        self._given_up = threading.Event()
        self._records = {row: question.record.id for row, question in questions.items()}
        answers = ask(self._check)
        with_one_thread = ThreadPoolExecutor(1, thread_name_prefix="rollout-ahead")
        self._found = with_one_thread.submit(lambda: [*answers])
        with_one_thread.shutdown(wait=False)

    def answers(self, questions: Mapping[int, Question]) -> bool:
        """Whether it is these that were asked."""
        return self._records == {row: question.record.id for row, question in questions.items()}

    def wait(self, before_step: Callable[[], None]) -> list[tuple[int, Answer]]:
        """All answers; ``before_step`` may raise to give up."""
        while not self._found.done():
            before_step()
            wait([self._found], timeout=_LOOK_AROUND_SECONDS)
        return self._found.result()

    def give_up(self) -> None:
        """End the thread and take the policy from the servers; among several processes, alone."""
        self._given_up.set()
        wait([self._found])
        with contextlib.suppress(Interrupted), self.policy:
            raise Interrupted  # nobody waits for the others

    def _check(self) -> None:
        if self._given_up.is_set():
            raise Interrupted


_GENERATE = "/inference/v1/generate"
_LOAD, _UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
_WHY = {
    401: f"it wants a key: {KEY} must be what it was given as --api-key",
    404: "it was started without VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and --enable-scale-out, or "
    "does not find the run directory under the same path",
}


@contextlib.contextmanager
def _failures_of(address: str) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.warning("the server %s: %r", address, error)
        raise EngineError(
            f"the sampler's server {address} cannot be reached or does not answer ({SERVERS})"
        ) from None


def _expect_success(address: str, path: str, response: httpx.Response) -> None:
    if response.is_success:
        return
    code = response.status_code
    log.warning("the server %s, %s: %s", address, path, response.text[:2000])
    why = _WHY.get(code, "its log and the run's say more")
    raise EngineError(f"the sampler's server {address} refuses {path} with code {code}: {why}")


def _answer(told: dict[str, Any]) -> Answer:
    [choice] = told["choices"]
    drawn = [step["logprob"] for step in choice["logprobs"]["content"]]
    return Answer(told["prompt_token_ids"], choice["token_ids"], drawn)


def _data_url(picture: Image.Image) -> str:
    """As PNG, which changes no pixel."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
