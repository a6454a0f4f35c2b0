"""The only module that talks to a judge: a chat endpoint in OpenAI's form.

It knows no database. ``verdicts`` yields each outcome as soon as it is there, so that a caller who
stores them one by one pays for nothing twice after a kill. A judge that cannot be reached for one
answer gives the outcome ``failed``; one that refuses altogether (wrong key, no such model) raises
JudgeRefused, because asking on would refuse every question.

Keys come from the environment only, from variables whose names begin with JUDGE_API_KEY: whoever
may enter an endpoint must not be able to have another secret of this installation sent to it.
"""

from __future__ import annotations

import json
import os
import queue
import random
import re
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import httpx

from benchmark.judging.endpoint_replies import (
    WORDS_LOOKED_AT,
    Again,
    Reply,
    excerpt,
    read,
    reply_of,
    retry_after,
)
from benchmark.protocols.protocol import Item, Mode, Outcome, Protocol, State
from config import deadlines

KEY_VARIABLE = re.compile(r"JUDGE_API_KEY[A-Z0-9_]*")
Away = Callable[[str, float], None]
LISTENED_SECONDS = 1.0
_RETRIED = {408, 409, 425, 429}
"""And every status from 500 on: proxies have their own for a server that is away."""
_REFUSED = {401, 402, 403, 404, 405}
_NOTHING_LEFT = re.compile(
    r"insufficient[_ ](?:quota|balance|credits?|funds)|billing_(?:not_active|hard_limit_reached)"
    r"|credit balance is too low|account_deactivated",
    re.IGNORECASE,
)
"""What endpoints say, some with status 429 or 400, that will not be otherwise in a minute."""
_NO_SUCH_MODEL = re.compile(
    r"model_not_found|invalid_model\b|\bmodel\b[^.\n]{0,120}? (?:does not exist|is not found"
    r"|not found|is not a valid model)|not a valid model",
    re.IGNORECASE,
)
_MOST_WITHOUT_TEXT = 2
"""Times that a question is asked whose replies say nothing and are billed."""
_LONGER = (
    "More room helps: --options '{\"max_tokens\": 4096}', or max_completion_tokens where the "
    "endpoint calls it so."
)


class JudgeError(Exception):
    """Base of what can go wrong with a judge; the message is meant for people."""


class JudgeRefused(JudgeError):
    """No question will be answered: the endpoint, the key or the model is wrong."""


class JudgeUnavailable(JudgeError):
    """One question got no usable reply, however often it was asked."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a judge listens and how patiently it is asked."""

    base_url: str
    """Up to and without ``/chat/completions``."""
    model: str
    key: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    """Further members of the request; they override temperature 0, and null leaves one out."""
    timeout_seconds: float = 90
    attempts: int = 7
    first_delay_seconds: float = 1
    longest_delay_seconds: float = 60
    concurrency: int = 4


def key_from_environment(variable: str) -> str:
    """The key in an environment variable, empty where it is not set.

    Raises JudgeRefused for a name that does not begin with JUDGE_API_KEY.
    """
    if not KEY_VARIABLE.fullmatch(variable):
        raise JudgeRefused(f"{variable} is not a name of a judge's key: JUDGE_API_KEY…")
    return os.environ.get(variable, "")


def endpoint_verdicts(
    endpoint: Endpoint,
    items: Iterable[Item],
    *,
    protocol: Protocol,
    mode: Mode = "careful",
    away: Away = lambda reason, seconds: None,
) -> Generator[tuple[Item, Outcome], None, None]:
    """Verdicts in the order in which they arrive, ``endpoint.concurrency`` questions at once;
    ``items`` are taken one by one, in the caller's thread, when there is room for them.

    ``away`` is told, in the caller's thread, why a question has to be asked again and in how many
    seconds.

    Raises JudgeRefused once the endpoint refuses. That, and closing the iterator, stops asking;
    replies under way are waited for (at most ``timeout_seconds``) and dropped.
    """
    stop = threading.Event()
    headers = {"Accept-Encoding": "identity"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    timeout = httpx.Timeout(endpoint.timeout_seconds, connect=15)
    with (
        # The client outlives the pool: closing it would not wake a thread that waits for a reply.
        httpx.Client(headers=headers, timeout=timeout, transport=deadlines.transport()) as client,
        ThreadPoolExecutor(endpoint.concurrency, thread_name_prefix="judge") as pool,
    ):
        waiting = iter(items)
        troubles: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        asked: dict[Future[Outcome], Item] = {}

        def one(item: Item) -> Outcome:
            return _judge_one(client, endpoint, item, protocol, mode, stop, troubles)

        def ask_next(count: int) -> None:
            for item in islice(waiting, count):
                asked[pool.submit(one, item)] = item

        try:
            ask_next(endpoint.concurrency)
            while asked:
                done, _ = wait(asked, LISTENED_SECONDS, return_when=FIRST_COMPLETED)
                _tell(troubles, away)
                for future in done:
                    yield asked.pop(future), future.result()
                    # Only now: a kill loses at most ``concurrency`` replies that nobody has kept.
                    ask_next(1)
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _tell(troubles: queue.SimpleQueue[tuple[str, float]], away: Away) -> None:
    """The newest trouble: what is asked again soonest says nothing about the others."""
    newest = None
    while not troubles.empty():
        newest = troubles.get()
    if newest is not None:
        away(*newest)


def _judge_one(
    client: httpx.Client,
    endpoint: Endpoint,
    item: Item,
    protocol: Protocol,
    mode: Mode,
    stop: threading.Event,
    troubles: queue.SimpleQueue[tuple[str, float]],
) -> Outcome:
    body = {
        "model": endpoint.model,
        "messages": protocol.messages(item),
        "temperature": 0,
        "max_tokens": 1024,
        **endpoint.options,
    }
    body = {name: value for name, value in body.items() if value is not None}
    reason, tokens = "", 0
    for attempt in range(1, endpoint.attempts + 1):
        try:
            reply = _ask(client, endpoint, body)
        except Again as again:
            reason, tokens = str(again), tokens + again.tokens
            if attempt == endpoint.attempts or (again.tokens and attempt >= _MOST_WITHOUT_TEXT):
                break
            delay = _delay(endpoint, attempt, again)
            troubles.put((reason, delay))
            if stop.wait(delay):
                break
            continue
        except JudgeUnavailable as error:
            return Outcome(text=str(error), state="failed", calls=attempt, tokens=tokens)
        return _outcome(protocol, item, reply, mode, calls=attempt, tokens=tokens + reply.tokens)
    problem = f"No usable reply after {attempt} attempts; the last: {reason}."
    return Outcome(text=problem, state="failed", calls=attempt, tokens=tokens)


def _outcome(
    protocol: Protocol, item: Item, reply: Reply, mode: Mode, *, calls: int, tokens: int
) -> Outcome:
    """A reply that the length limit cut is no verdict, whatever stands in it: it may be half a
    thought. Asking again would be cut again, and be paid for again."""
    paid: dict[str, Any] = {"calls": calls, "tokens": tokens}
    if reply.cut and not reply.text.strip():
        return Outcome(
            text=f"The reply was cut at the length limit. {_LONGER}", state="failed", **paid
        )
    if reply.cut:
        text = f"{reply.text}\n\n(Cut at the length limit. {_LONGER})"
        return Outcome(text=text, state="unparsed", **paid)
    said = protocol.read(item, reply.text, mode=mode)
    state: State = "parsed" if said.clear else "unparsed"
    return Outcome(
        text=reply.text,
        rating=said.rating,
        scores=said.scores,
        found=said.found,
        state=state,
        **paid,
    )


def _ask(client: httpx.Client, endpoint: Endpoint, body: dict[str, Any]) -> Reply:
    """Raises Again, JudgeUnavailable for this question, or JudgeRefused for all of them."""
    url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
    try:
        with (
            deadlines.within(endpoint.timeout_seconds),
            client.stream("POST", url, json=body) as response,
        ):
            content = _without(endpoint.key, read(response))
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise JudgeRefused(f"{endpoint.base_url} is not an address of a judge: {error}") from error
    except httpx.TimeoutException:
        raise Again(f"no reply within {endpoint.timeout_seconds:g} s") from None
    except httpx.HTTPError as error:
        raise Again(f"the connection failed ({error or type(error).__name__})") from None
    status = response.status_code
    if status in _REFUSED or 300 <= status < 400:
        raise JudgeRefused(f"the judge's endpoint answered {status}: {excerpt(content)}")
    words = content.decode(errors="replace")[:WORDS_LOOKED_AT]
    for_all = _NOTHING_LEFT.search(words) or (status in (400, 422) and _NO_SUCH_MODEL.search(words))
    if status in (400, 422, 429) and for_all:
        raise JudgeRefused(f"the judge's endpoint answered {status}: {excerpt(content)}")
    if status in _RETRIED or status >= 500:
        raise Again(f"status {status}", retry_after(response))
    if status in (400, 422) and (names := _options_refused(content, body)):
        raise JudgeRefused(
            f"the judge's endpoint refuses {', '.join(names)}: {excerpt(content)} {_advice(names)}"
        )
    if status != 200:
        raise JudgeUnavailable(f"The judge's endpoint answered {status}: {excerpt(content)}")
    return reply_of(response, content)


def _without(key: str, content: bytes) -> bytes:
    """What an endpoint says is stored and shown: its key, which some repeat in errors, is not."""
    return content.replace(key.encode(), b"(key)") if key else content


def _options_refused(content: bytes, body: dict[str, Any]) -> list[str]:
    """The members of the request, other than the question itself, that a refusal names: every
    other question would be refused for the same reason."""
    words = content.decode(errors="replace")[:WORDS_LOOKED_AT]
    if "context" in words.lower() and "length" in words.lower():
        return []  # This one question was too long.
    options = sorted(body.keys() - {"model", "messages"})
    return [name for name in options if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", words)]


def _advice(names: Sequence[str]) -> str:
    """Which options of the judge help."""
    helping: dict[str, Any] = dict.fromkeys(names)
    if "max_tokens" in helping:
        helping["max_completion_tokens"] = 4096
    return f"A judge made with --options '{json.dumps(helping)}' would not send it."


def _delay(endpoint: Endpoint, attempt: int, again: Again) -> float:
    """Seconds until the next attempt: what was asked for, else doubling; spread so that many
    waiting questions do not return at one moment."""
    longest = endpoint.longest_delay_seconds
    if again.after_seconds is not None:
        return min(again.after_seconds, longest) * random.uniform(1, 1.2)
    doubled = endpoint.first_delay_seconds * 2 ** (attempt - 1)
    return float(min(doubled, longest)) * random.uniform(0.5, 1)
