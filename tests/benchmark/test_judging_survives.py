"""Reliability promise 9: a troubled judge and a killed worker cost next to nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter

import pytest
from django.conf import settings
from django.db import connection

from benchmark import evaluating
from benchmark.evaluating import Said
from benchmark.models import Evaluation
from tests.benchmark.factories import make_judge, make_question_set
from tests.benchmark.fake_judge import Reply, fake_judge
from tests.training.processes import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chain]

QUESTIONS = 96
CONCURRENCY = 4
TROUBLE = [
    Reply(status=429, headers={"Retry-After": "0"}),
    Reply(status=500),
    Reply(body=b"<html>bad gateway</html>"),
    Reply(after_seconds=4.0),
]
STYLES = ["Rating: {n}", "**Rating:** {n}", "Fine.\n\nRating (0-6): {n}", "### Rating\n{n}/6"]

WORKER = """
import django
django.setup()
from django.conf import settings
settings.JUDGE_PATIENCE = {
    "timeout_seconds": 2.5, "attempts": 6,
    "first_delay_seconds": 0.01, "longest_delay_seconds": 0.1,
}
from benchmark.judging import work
work.judge(%d)
"""


def number_in(prompt: str) -> int:
    return int(prompt.rsplit("answer ", 1)[1].split(".")[0])


def troubled(prompt: str, before: int) -> Reply:
    """Three answers in ten meet trouble when they are first asked about; one is never clear."""
    number = number_in(prompt)
    if number % 10 < 3 and before == 0:
        return TROUBLE[number % 4]
    if number == 50:
        return Reply("Rating: 3 or 4")
    text = STYLES[number % 4].format(n=number % 7)
    return Reply(text, after_seconds=0.03)


def start_worker(evaluation: Evaluation) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.training.worker_settings",
        "TEST_DATABASE": connection.settings_dict["NAME"],
        "TEST_STORAGE": str(settings.MEDIA_ROOT),
        "PYTHONPATH": str(settings.BASE_DIR),
    }
    command = [sys.executable, "-c", WORKER % evaluation.pk]
    return subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment)


def test_trouble_and_a_kill_in_the_middle_cost_next_to_nothing() -> None:
    with fake_judge(troubled) as server:
        judge = make_judge(base_url=server.url, concurrency=CONCURRENCY)
        question_set = make_question_set(count=QUESTIONS)
        evaluation = evaluating.start(question_set=question_set, judge=judge, model_name="m")
        answers = {q: Said(f"answer {q.number}.") for q in question_set.questions.all()}
        evaluating.store_answers(evaluation, answers)

        worker = start_worker(evaluation)
        wait_for(lambda: evaluation.verdicts().count() >= QUESTIONS // 3)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        kept = evaluation.verdicts().count()
        assert QUESTIONS // 3 <= kept < QUESTIONS

        assert start_worker(evaluation).wait(timeout=120) == 0

    evaluation.refresh_from_db()
    assert evaluation.state == "incomplete"
    assert (evaluation.summary["unparsed"], evaluation.summary["failed"]) == (1, 0)
    ratings = {
        verdict.answer.question.number: verdict.rating
        for verdict in evaluation.verdicts().select_related("answer__question")
    }
    assert ratings == {n: None if n == 50 else n % 7 for n in range(1, QUESTIONS + 1)}

    times = Counter(number_in(request["messages"][-1]["content"]) for request in server.requests)
    needed = {n: 2 if n % 10 < 3 else 1 for n in range(1, QUESTIONS + 1)}
    twice = sum(times[n] - needed[n] for n in needed)
    # What was under way at the kill is asked again, and nothing else.
    assert 0 <= twice <= CONCURRENCY
    assert sum(times.values()) <= 1.05 * sum(needed.values())
