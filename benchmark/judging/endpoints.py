"""The only module that talks to a judge: a chat endpoint in OpenAI's form.

It knows no database. ``verdicts`` yields each outcome as soon as it is there, so that a caller who
stores them one by one pays for nothing twice after a kill. A judge that cannot be reached for one
answer gives the outcome ``failed``; one that refuses altogether (wrong key, no such model) raises
JudgeRefused, because asking on would refuse every question.

Keys come from the environment only, from variables whose names begin with JUDGE_API_KEY: whoever
may enter an endpoint must not be able to have another secret of this installation sent to it.
"""

from __future__ import annotations

import email.utils
import json
import os
import queue
import random
import re
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import httpx

from benchmark.protocols.protocol import Item, Mode, Outcome, Protocol, State
from config import deadlines
from config.sanitising import finite_number, storable, whole_number

KEY_VARIABLE = re.compile(r"JUDGE_API_KEY[A-Z0-9_]*")
Away = Callable[[str, float], None]
LISTENED_SECONDS = 1.0
LARGEST_REPLY_BYTES = 1 << 20
"""Of a reply, as it comes and unpacked."""
_LONGEST_RETRY_AFTER = 86_400.0
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
_CUT = {"length", "max_tokens", "max_output_tokens", "max_length", "model_length", "incomplete"}
_SPOKEN = {"text", "output_text"}
"""Parts of a reply that are no thoughts."""
_WITHHELD = {"content_filter", "safety", "recitation"}
_MOST_WITHOUT_TEXT = 2
"""Times that a question is asked whose replies say nothing and are billed."""
_LONGER = (
    "More room helps: --options '{\"max_tokens\": 4096}', or max_completion_tokens where the "
    "endpoint calls it so."
)
_WORDS_LOOKED_AT = 4000


class JudgeError(Exception):
    """Base of what can go wrong with a judge; the message is meant for people."""


class JudgeRefused(JudgeError):
    """No question will be answered: the endpoint, the key or the model is wrong."""


class JudgeUnavailable(JudgeError):
    """One question got no usable reply, however often it was asked."""


class _Again(Exception):
    """A reply worth another try; ``after_seconds`` is what the endpoint asked for, ``tokens`` what
    it billed all the same."""

    def __init__(self, reason: str, after_seconds: float | None = None, tokens: int = 0) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds
        self.tokens = tokens


@dataclass(frozen=True)
class _Reply:
    """What a judge said, the tokens that it was billed for, and whether the limit cut it."""

    text: str
    tokens: int
    cut: bool


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
        except _Again as again:
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
    protocol: Protocol, item: Item, reply: _Reply, mode: Mode, *, calls: int, tokens: int
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


def _ask(client: httpx.Client, endpoint: Endpoint, body: dict[str, Any]) -> _Reply:
    """Raises _Again, JudgeUnavailable for this question, or JudgeRefused for all of them."""
    url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
    try:
        with (
            deadlines.within(endpoint.timeout_seconds),
            client.stream("POST", url, json=body) as response,
        ):
            content = _without(endpoint.key, _read(response))
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise JudgeRefused(f"{endpoint.base_url} is not an address of a judge: {error}") from error
    except httpx.TimeoutException:
        raise _Again(f"no reply within {endpoint.timeout_seconds:g} s") from None
    except httpx.HTTPError as error:
        raise _Again(f"the connection failed ({error or type(error).__name__})") from None
    status = response.status_code
    if status in _REFUSED or 300 <= status < 400:
        raise JudgeRefused(f"the judge's endpoint answered {status}: {_excerpt(content)}")
    words = content.decode(errors="replace")[:_WORDS_LOOKED_AT]
    for_all = _NOTHING_LEFT.search(words) or (status in (400, 422) and _NO_SUCH_MODEL.search(words))
    if status in (400, 422, 429) and for_all:
        raise JudgeRefused(f"the judge's endpoint answered {status}: {_excerpt(content)}")
    if status in _RETRIED or status >= 500:
        raise _Again(f"status {status}", _retry_after(response))
    if status in (400, 422) and (names := _options_refused(content, body)):
        raise JudgeRefused(
            f"the judge's endpoint refuses {', '.join(names)}: {_excerpt(content)} {_advice(names)}"
        )
    if status != 200:
        raise JudgeUnavailable(f"The judge's endpoint answered {status}: {_excerpt(content)}")
    return _text_of(response, content)


def _read(response: httpx.Response) -> bytes:
    """The body within its limit of size.

    An encoding is not undone in one go, as the client would: three kilobytes of nested gzip are
    four gigabytes.
    """
    content = bytearray()
    unpack = _Unpacker(response.headers.get("content-encoding", ""))
    # What comes is counted too: much of it may unpack to nothing, and zlib keeps, and copies for
    # each further piece, what follows the end of what was packed.
    came = 0
    for chunk in response.iter_raw():
        came += len(chunk)
        content += unpack(chunk, LARGEST_REPLY_BYTES + 1 - len(content))
        if max(came, len(content)) > LARGEST_REPLY_BYTES:
            raise _Again("a reply of more than 1 MiB")
    return bytes(content)


class _Unpacker:
    """Undoes one layer of gzip or deflate, a bounded piece at a time; refuses anything else."""

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise _Again("a reply that is packed in a way nobody asked for")
        self._zlib = None if name in ("", "identity") else zlib.decompressobj(zlib.MAX_WBITS | 32)

    def __call__(self, data: bytes, most: int) -> bytes:
        if self._zlib is None:
            return data
        try:
            return self._zlib.decompress(data, most)
        except zlib.error:
            raise _Again("a reply that is packed badly") from None


def _without(key: str, content: bytes) -> bytes:
    """What an endpoint says is stored and shown: its key, which some repeat in errors, is not."""
    return content.replace(key.encode(), b"(key)") if key else content


def _text_of(response: httpx.Response, content: bytes) -> _Reply:
    try:
        # However many digits a count has, the verdict beside it was paid for.
        data = json.loads(content, parse_int=float)
        tokens = _billed(data.get("usage"))
        choice = data["choices"][0]
        said = choice["message"].get("content") or choice["message"].get("refusal")
        ended = str(choice.get("finish_reason")).lower()
        cut = ended in _CUT
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise _Again(f"a reply that is no chat completion: {_excerpt(content)}") from None
    if isinstance(said, list):
        parts = (part for part in said if isinstance(part, dict))
        said = "".join(
            str(part.get("text", "")) for part in parts if str(part.get("type", "text")) in _SPOKEN
        )
    text = storable(said) if isinstance(said, str) else ""
    if not text.strip() and ended in _WITHHELD:
        text = f"(The endpoint withheld its reply: {ended}.)"
    if not text.strip() and not cut:
        raise _Again("a reply without text", tokens=tokens)
    return _Reply(text, tokens, cut)


def _billed(usage: Any) -> int:
    """The tokens that an endpoint says it billed, in all or asked and answered apart; what it
    writes there costs no verdict."""
    if not isinstance(usage, dict):
        return 0
    total = whole_number(usage.get("total_tokens"))
    return total or sum(
        next((count for name in names if (count := whole_number(usage.get(name)))), 0)
        for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    )


def _options_refused(content: bytes, body: dict[str, Any]) -> list[str]:
    """The members of the request, other than the question itself, that a refusal names: every
    other question would be refused for the same reason."""
    words = content.decode(errors="replace")[:_WORDS_LOOKED_AT]
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


def _delay(endpoint: Endpoint, attempt: int, again: _Again) -> float:
    """Seconds until the next attempt: what was asked for, else doubling; spread so that many
    waiting questions do not return at one moment."""
    longest = endpoint.longest_delay_seconds
    if again.after_seconds is not None:
        return min(again.after_seconds, longest) * random.uniform(1, 1.2)
    doubled = endpoint.first_delay_seconds * 2 ** (attempt - 1)
    return float(min(doubled, longest)) * random.uniform(0.5, 1)


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    seconds = finite_number(value, least=0, most=_LONGEST_RETRY_AFTER)
    if seconds is not None:
        return seconds
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, moment - time.time()), _LONGEST_RETRY_AFTER)


def _excerpt(content: bytes) -> str:
    """The endpoint's own words, out of the JSON that they mostly stand in."""
    text = storable(" ".join(_message_in(content).split()))
    return text[:200] or "(nothing)"


def _message_in(content: bytes) -> str:
    try:
        said = json.loads(content, parse_int=float)
    except (ValueError, RecursionError):
        said = None
    for name in ("error", "message", "detail"):
        if isinstance(said, dict) and isinstance(said.get(name), (str, dict)):
            said = said[name]
    return said if isinstance(said, str) else content.decode(errors="replace")
