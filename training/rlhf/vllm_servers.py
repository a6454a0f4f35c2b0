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
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
from PIL import Image

from training.rlhf.adapters import POLICY
from training.rlhf.contract import PpoSettings
from training.rlhf.errors import EngineError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.processes import processes
from training.rlhf.run_directory import Run
from training.rlhf.vllm_rounds import Answer, Ask, VllmRounds, longest, parameters_of, prompt_of

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

    @contextlib.contextmanager
    def _policy(self, model: VisionLanguageModel) -> Iterator[Ask]:
        everyone = processes()
        if not self._start:
            # What an earlier start called by the same name must not be taken for this one's.
            self._start = everyone.collect([uuid.uuid4().hex[:8]])[0]
            self._check(model)
        name = f"{self._prefix}{self._start}-{self._round}"
        if everyone.leads:
            shutil.rmtree(self._adapters, ignore_errors=True)
            model.save_adapter(POLICY, self._adapters / name)
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
        yield from asyncio.run(self._ask_all(model, name, questions, seeds, before_step))

    async def _ask_all(
        self,
        model: VisionLanguageModel,
        name: str,
        questions: Mapping[int, Question],
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
                ids, picture = prompt_of(model, questions[row])
                body = {
                    "model": name,
                    "token_ids": ids,
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
