import dataclasses
import json
import threading
from collections import Counter
from typing import Any

import pytest

from benchmark.judging import endpoints
from benchmark.judging.endpoint_replies import LARGEST_REPLY_BYTES
from benchmark.judging.endpoints import Endpoint
from benchmark.protocols import mmhal
from benchmark.protocols.protocol import Item, Outcome
from tests.benchmark.fake_judge import FakeJudge, Reply, fake_judge

QUESTION = {
    "question_type": "counting",
    "question_topic": "outdoor",
    "image_id": "a",
    "image_src": "https://example.org/a.jpg",
    "image_content": ["Boat"],
    "question": "How many boats are there?",
    "gt_answer": "Three.",
}


def items(count: int = 1) -> list[Item]:
    return [Item(id=n, question=QUESTION, answer=f"answer {n}.") for n in range(count)]


def endpoint(judge: FakeJudge, **changes: Any) -> Endpoint:
    patient = Endpoint(
        base_url=judge.url,
        model="judge-1",
        key="a key",
        timeout_seconds=5,
        first_delay_seconds=0.001,
        longest_delay_seconds=0.01,
    )
    return dataclasses.replace(patient, **changes)


def verdicts_of(where: Endpoint, asked: list[Item], **how: Any) -> Any:
    return endpoints.endpoint_verdicts(where, asked, protocol=mmhal.PROTOCOL, **how)


def ask(judge: FakeJudge, asked: list[Item] | None = None, **changes: Any) -> dict[int, Outcome]:
    verdicts = verdicts_of(endpoint(judge, **changes), asked or items())
    return {item.id: outcome for item, outcome in verdicts}


def test_a_verdict_carries_text_rating_and_cost() -> None:
    with fake_judge(lambda prompt, before: Reply("Fine.\n\n**Rating:** 4")) as judge:
        (outcome,) = ask(judge).values()
    assert outcome == Outcome(
        text="Fine.\n\n**Rating:** 4", rating=4, state="parsed", calls=1, tokens=40
    )


def test_the_request_is_deterministic_and_text_only() -> None:
    with fake_judge(lambda prompt, before: Reply()) as judge:
        ask(judge)
    (request,) = judge.requests
    assert (request["model"], request["temperature"]) == ("judge-1", 0)
    assert all(isinstance(message["content"], str) for message in request["messages"])
    assert judge.authorizations == ["Bearer a key"]


def test_options_override_and_null_removes() -> None:
    options = {"max_tokens": None, "max_completion_tokens": 50}
    with fake_judge(lambda prompt, before: Reply()) as judge:
        ask(judge, options=options)
    assert "max_tokens" not in judge.requests[0]
    assert judge.requests[0]["max_completion_tokens"] == 50


def test_no_key_sends_no_authorization() -> None:
    with fake_judge(lambda prompt, before: Reply()) as judge:
        ask(judge, key="")
    assert judge.authorizations == [""]


def test_an_unclear_text_is_unparsed_and_not_asked_again() -> None:
    with fake_judge(lambda prompt, before: Reply("Rating: 3 or 4")) as judge:
        (outcome,) = ask(judge).values()
    assert (outcome.rating, outcome.state, outcome.calls) == (None, "unparsed", 1)
    assert outcome.text == "Rating: 3 or 4"


def test_reference_mode_reads_as_the_original_did() -> None:
    with fake_judge(lambda prompt, before: Reply("**Rating:** 5")) as judge:
        asked = verdicts_of(endpoint(judge), items(), mode="reference")
        ((_, outcome),) = asked
    assert (outcome.rating, outcome.state) == (0, "parsed")


TROUBLE = [
    Reply(status=429, headers={"Retry-After": "0"}),
    Reply(status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    *(Reply(status=status) for status in (500, 502, 507, 521, 525, 530, 599)),
    Reply(status=503, body=b"<html>busy</html>"),
    Reply(body=b"not json"),
    Reply(body=b"{}"),
    Reply(body=b'{"choices": []}'),
    Reply(body=b"[1, 2]"),
    Reply(text=None),
    Reply(text="  "),
    Reply(body=b"short", headers={"Content-Length": "500"}),
    Reply(body=b"x" * (LARGEST_REPLY_BYTES + 1)),
    Reply(after_seconds=0.6),
]


@pytest.mark.parametrize("trouble", TROUBLE)
def test_trouble_is_asked_again(trouble: Reply) -> None:
    with fake_judge(lambda prompt, before: trouble if before == 0 else Reply()) as judge:
        (outcome,) = ask(judge, timeout_seconds=0.3).values()
    assert (outcome.rating, outcome.state, outcome.calls) == (5, "parsed", 2)


def test_text_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "Rating: "}, {"type": "text", "text": "2"}]
    with fake_judge(lambda prompt, before: Reply(parts)) as judge:
        (outcome,) = ask(judge).values()
    assert outcome.rating == 2


def test_patience_ends_and_says_why() -> None:
    with fake_judge(lambda prompt, before: Reply(status=503)) as judge:
        (outcome,) = ask(judge, attempts=3).values()
    assert (outcome.state, outcome.rating, outcome.calls) == ("failed", None, 3)
    assert outcome.text == "No usable reply after 3 attempts; the last: status 503."


def test_one_bad_question_fails_alone() -> None:
    def answer(prompt: str, before: int) -> Reply:
        return Reply(status=400, body=b"filtered") if "answer 1." in prompt else Reply()

    with fake_judge(answer) as judge:
        outcomes = ask(judge, items(3))
    assert {n: outcome.state for n, outcome in outcomes.items()} == {
        0: "parsed",
        1: "failed",
        2: "parsed",
    }
    assert "400: filtered" in outcomes[1].text
    assert outcomes[1].calls == 1


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_a_refusal_ends_the_asking(status: int) -> None:
    reply = Reply(status=status, body=b"go away", headers={"Location": "http://127.0.0.1:1/"})
    with (
        fake_judge(lambda prompt, before: reply) as judge,
        pytest.raises(endpoints.JudgeRefused, match=f"{status}: go away"),
    ):
        ask(judge, items(40), concurrency=2)
    assert len(judge.requests) < 40


def test_no_address_of_a_judge() -> None:
    with pytest.raises(endpoints.JudgeRefused, match="not an address"):
        list(verdicts_of(Endpoint(base_url="ftp://example", model="x"), items()))


def test_a_judge_that_is_away_fails_after_its_attempts() -> None:
    with fake_judge(lambda prompt, before: Reply()) as judge:
        gone = endpoint(judge, attempts=2)
    ((_, outcome),) = verdicts_of(gone, items())
    assert outcome.state == "failed"
    assert "the connection failed" in outcome.text


def test_concurrency_is_bounded_and_used() -> None:
    with fake_judge(lambda prompt, before: Reply(after_seconds=0.02)) as judge:
        ask(judge, items(24), concurrency=3)
    assert judge.busiest == 3


def test_closing_the_iterator_stops_asking() -> None:
    with fake_judge(lambda prompt, before: Reply(after_seconds=0.01)) as judge:
        verdicts = verdicts_of(endpoint(judge, concurrency=2), items(60))
        next(verdicts)
        verdicts.close()  # type: ignore[attr-defined]
        asked = len(judge.requests)
    assert asked < 60
    assert not [t for t in threading.enumerate() if t.name.startswith("judge")]


def test_each_answer_is_asked_once_through_a_troubled_endpoint() -> None:
    """Three questions in ten meet trouble once; no other request is made."""

    def answer(prompt: str, before: int) -> Reply:
        number = int(prompt.rsplit("answer ", 1)[1].split(".")[0])
        return TROUBLE[number % 4] if number % 10 < 3 and before == 0 else Reply()

    with fake_judge(answer) as judge:
        outcomes = ask(judge, items(50))
    assert Counter(outcome.rating for outcome in outcomes.values()) == {5: 50}
    assert len(judge.requests) == 50 + 15


# --- Keys -----------------------------------------------------------------------------------


def test_a_key_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_API_KEY_LAB", "secret")
    assert endpoints.key_from_environment("JUDGE_API_KEY_LAB") == "secret"
    assert endpoints.key_from_environment("JUDGE_API_KEY_NONE") == ""


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "XJUDGE_API_KEY", "JUDGE_API_KEY;"])
def test_no_other_secret_can_be_sent_to_a_judge(name: str) -> None:
    with pytest.raises(endpoints.JudgeRefused, match="is not a name"):
        endpoints.key_from_environment(name)


@pytest.mark.parametrize("status", [200, 400, 401])
def test_a_key_that_the_endpoint_repeats_is_kept_nowhere(status: int) -> None:
    key = "canary-key-5f0e"
    reply = Reply(text=f"{key} Rating: 5", status=status)
    with fake_judge(lambda prompt, before: reply) as judge:
        try:
            said = " ".join(outcome.text for outcome in ask(judge, key=key).values())
        except endpoints.JudgeRefused as refused:
            said = str(refused)
        assert set(judge.authorizations) == {f"Bearer {key}"}
    assert "(key)" in said
    assert key not in said


@pytest.mark.parametrize(
    ("text", "state"),
    [("At first sight Rating: 5 fits. But wait", "unparsed"), ("", "failed"), (None, "failed")],
)
def test_a_reply_that_the_limit_cut_is_no_verdict_and_is_paid_for_once(
    text: str | None, state: str
) -> None:
    with fake_judge(lambda prompt, before: Reply(text, ended="length")) as judge:
        (outcome,) = ask(judge).values()
    assert (outcome.state, outcome.rating, outcome.calls, outcome.tokens) == (state, None, 1, 40)
    assert "length limit" in outcome.text and "max_tokens" in outcome.text
    assert len(judge.requests) == 1


def test_tokens_of_unusable_replies_are_counted() -> None:
    with fake_judge(lambda prompt, before: Reply("Rating: 4" if before else " ")) as judge:
        (outcome,) = ask(judge).values()
    assert (outcome.rating, outcome.calls, outcome.tokens) == (4, 2, 80)


@pytest.mark.parametrize(("tokens", "calls"), [("", 4), ("billed", 2)])
def test_replies_that_say_nothing_are_paid_for_twice_at_most(tokens: str, calls: int) -> None:
    empty = Reply(" ") if tokens else Reply(body=b'{"choices": []}')
    with fake_judge(lambda prompt, before: empty) as judge:
        (outcome,) = ask(judge, attempts=4).values()
    assert (outcome.state, outcome.calls, len(judge.requests)) == ("failed", calls, calls)


def test_a_reply_that_the_endpoint_withholds_is_unclear_and_asked_for_once() -> None:
    refusal = {"message": {"content": None, "refusal": "I cannot help."}, "finish_reason": "stop"}
    body = json.dumps({"choices": [refusal], "usage": {"total_tokens": 9}}).encode()
    for reply, words in (
        (Reply("", ended="content_filter"), "withheld"),
        (Reply(body=body), "I cannot help."),
    ):
        with fake_judge(lambda prompt, before, reply=reply: reply) as judge:
            (outcome,) = ask(judge).values()
        assert (outcome.state, outcome.calls) == ("unparsed", 1)
        assert words in outcome.text


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no such model", "code": 7}},
        {"object": "error", "message": "no such model"},
        {"detail": "no such model"},
        {"error": "no such model"},
    ],
)
def test_an_endpoint_s_words_are_taken_out_of_their_json(body: dict[str, object]) -> None:
    reply = Reply(status=404, body=json.dumps(body).encode())
    with (
        fake_judge(lambda prompt, before: reply) as judge,
        pytest.raises(endpoints.JudgeRefused, match=r"404: no such model$"),
    ):
        ask(judge)


UNSUPPORTED = json.dumps(
    {
        "error": {
            "message": "Unsupported parameter: 'max_tokens' is not supported with this model.",
            "param": "max_tokens",
        }
    }
).encode()
TOO_LONG = json.dumps(
    {"error": {"message": "max_tokens is too large: the maximum context length is 4096 tokens."}}
).encode()


def test_a_refused_option_refuses_every_question_once() -> None:
    with fake_judge(lambda prompt, before: Reply(status=400, body=UNSUPPORTED)) as judge:
        with pytest.raises(endpoints.JudgeRefused, match=r"is not supported.*--options") as caught:
            ask(judge, items(8), concurrency=1)
        assert '"max_completion_tokens": 4096' in str(caught.value)
    assert len(judge.requests) == 1


def test_a_question_that_is_too_long_fails_alone() -> None:
    with fake_judge(
        lambda prompt, before: (
            Reply(status=400, body=TOO_LONG) if "answer 1." in prompt else Reply("Rating: 4")
        )
    ) as judge:
        outcomes = ask(judge, items(3))
    assert [outcomes[n].state for n in range(3)] == ["parsed", "failed", "parsed"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, {"code": "insufficient_quota", "message": "You exceeded your current quota."}),
        (400, {"type": "invalid_request_error", "message": "Your credit balance is too low."}),
        (400, {"message": "lab/judge is not a valid model ID"}),
        (400, {"code": "model_not_found", "message": "The model `judge-1` does not exist."}),
        (422, {"message": "The model judge-1 does not exist"}),
    ],
)
def test_what_would_refuse_every_question_ends_the_asking_at_once(status: int, error: Any) -> None:
    body = json.dumps({"error": error}).encode()
    with (
        fake_judge(lambda prompt, before: Reply(status=status, body=body)) as judge,
        pytest.raises(endpoints.JudgeRefused, match=str(error["message"])[:20]),
    ):
        ask(judge, items(5), concurrency=1)
    assert len(judge.requests) == 1


def test_a_limit_that_passes_is_waited_for() -> None:
    """Also in the words that Google has for a minute's limit."""
    busy = json.dumps({"error": {"code": 429, "message": "You exceeded your current quota"}})
    replies = [Reply(status=429, body=busy.encode()), Reply("Rating: 4")]
    with fake_judge(lambda prompt, before: replies[before]) as judge:
        (outcome,) = ask(judge).values()
    assert (outcome.rating, outcome.calls) == (4, 2)


def completion(content: Any, usage: Any, ended: str = "stop") -> Reply:
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": ended}
    return Reply(body=json.dumps({"choices": [choice], "usage": usage}).encode())


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 30, "completion_tokens": 12}, 42),
        ({"input_tokens": 30, "output_tokens": 12}, 42),
        ({"total_tokens": 40, "prompt_tokens": 30, "completion_tokens": 12}, 40),
        ({"prompt_tokens": 30, "completion_tokens": None}, 30),
        ([], 0),
    ],
)
def test_tokens_are_counted_however_an_endpoint_tells_them(usage: Any, tokens: int) -> None:
    with fake_judge(lambda prompt, before: completion("Rating: 4", usage)) as judge:
        (outcome,) = ask(judge).values()
    assert outcome.tokens == tokens


def test_parts_of_a_reply_that_are_thoughts_are_no_verdict() -> None:
    odd = {"type": {}, "text": "Rating: 3"}
    thought = {"type": "reasoning", "text": "Rating: 5 at first sight."}
    parts = [
        thought,
        odd,
        {"type": "thinking", "thinking": []},
        {"type": "text", "text": "Rating: 1"},
    ]
    with fake_judge(lambda prompt, before: completion(parts, {})) as judge:
        (outcome,) = ask(judge).values()
    assert (outcome.text, outcome.rating) == ("Rating: 1", 1)


@pytest.mark.parametrize("ended", ["MAX_TOKENS", "model_length", "max_output_tokens"])
def test_a_reply_that_any_endpoint_says_was_cut_is_no_verdict(ended: str) -> None:
    with fake_judge(lambda prompt, before: completion("Rating: 5", {}, ended)) as judge:
        (outcome,) = ask(judge).values()
    assert (outcome.rating, outcome.state, outcome.calls) == (None, "unparsed", 1)
