"""A troubled judge and a killed worker: is each answer judged once, at what price in requests?

    python -m perf.judge_faults [--answers FOLDER] [--trouble 0.3] [--kills 2]

Answer files in MMHal-Bench's form (by default those of the shared data, made-up ones where these
are absent) are judged by a real Celery worker. Behind the judge's address listens a server of
this process that rates in many styles of writing, and meets three requests in ten with 429, 5xx,
silence, half replies or garbage. The worker is killed with SIGKILL on the way and started again.
Then every verdict that nobody could read is settled by hand on its page.

Printed is a row per model. The exit status is 1 unless each answer has one verdict, each rating is
the one that the server meant, nothing unreadable got a number, the requests stay within 1.05 times
the fewest that this trouble allows, and the scores are those of an independent computation.
Without DATABASE_URL a scratch Postgres is started and removed again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django

from tests.benchmark.fake_judge import Reply, fake_judge

JUDGE_SECONDS = 2.0
MOST_REQUESTS = 1.05
UNCLEAR = (
    "Rating: 3 or 4",
    "The answer is fine in places and wrong in others.",
    "Rating: 7",
    "Rating: 5, with hallucination",
    "**Rating:** n/a",
)
CLEAR = (
    "The answer fits the objects in the picture.\n\nRating: {n}",
    "**Rating:** {n}",
    "Rating: **{n}**",
    "### Explanation\nMost claims are supported.\n\n### Rating\n{n}/6",
    '{{"explanation": "as the person says", "rating": {n}}}',
    "Explanation: the count is given.\n\nRating (0-6): {n}",
    "Rating: 2\nOn second thoughts, the colour is right after all.\nRating: {n}",
    "I would give this answer a rating of {n}.",
    "Final rating: {n} out of 6",
    "| Rating | {n} |",
    "<think>Could be 3.</think>\nRating: {n}",
    "Rating: [[{n}]]",
)


@dataclass
class Server:
    """What the judge means by each prompt, and in which order trouble comes."""

    trouble: float
    served: Counter[str] = field(default_factory=Counter)

    def reply(self, prompt: str, before: int) -> Reply:
        self.served[prompt] += 1
        if before < self.needed(prompt) - 1:
            return self._trouble(prompt, before)
        rating = meant(prompt)
        if rating is None:
            return Reply(_draw(prompt, "style").choice(UNCLEAR), after_seconds=0.05)
        text = _draw(prompt, "style").choice(CLEAR).format(n=rating)
        return Reply(text, after_seconds=0.05)

    def needed(self, prompt: str) -> int:
        """The fewest requests that bring a verdict: the trouble before it, and one more."""
        draw = _draw(prompt, "trouble")
        return next(n for n in range(1, 6) if n == 5 or draw.random() >= self.trouble)

    def _trouble(self, prompt: str, before: int) -> Reply:
        return _draw(prompt, f"kind {before}").choice(
            (
                Reply(status=429, headers={"Retry-After": "0"}),
                Reply(status=429),
                Reply(status=500),
                Reply(status=503, body=b"overloaded"),
                Reply(after_seconds=JUDGE_SECONDS + 1),
                Reply(body=b"<html>bad gateway</html>"),
                Reply(body=b'{"choices": [{"message": {"con'),
                Reply(""),
                Reply(headers={"Content-Length": "5000"}),
            )
        )


def meant(prompt: str) -> int | None:
    """The rating that the server gives, the same for a prompt however often it is asked; None for
    a verdict that nobody can read (about one in thirty)."""
    draw = _draw(prompt, "rating")
    return None if draw.random() < 1 / 30 else draw.randint(0, 6)


def _draw(prompt: str, purpose: str) -> random.Random:
    return random.Random(hashlib.sha256(f"{purpose}\0{prompt}".encode()).digest())


def main() -> None:
    options = _options()
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    os.environ["JUDGE_TIMEOUT_SECONDS"] = str(JUDGE_SECONDS)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        private = "DATABASE_URL" not in os.environ
        if private:
            os.environ["FACTLOOP_VAR"] = folder
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        from config import embedded

        django.setup()
        try:
            embedded.start_if_needed()
            sys.exit(_run(options, Path(folder)))
        finally:
            if private:
                subprocess.run([sys.executable, "-m", "config.embedded", "stop"], check=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    shared = Path(os.environ.get("FACTLOOP_SHARED") or Path(__file__).parents[2] / "shared")
    answers = shared / "data" / "mmhal_bench" / "responses"
    parser.add_argument("--answers", type=Path, default=answers)
    parser.add_argument("--trouble", type=float, default=0.3)
    parser.add_argument("--kills", type=int, default=2)
    return parser.parse_args()


def _run(options: argparse.Namespace, folder: Path) -> int:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    server = Server(options.trouble)
    with fake_judge(server.reply) as address:
        evaluations = _evaluations(_answer_files(options.answers, folder), address.url, folder)
        seconds, kills = _judged(evaluations, options.kills, folder / "worker.log")
    print(f"{options.trouble:.0%} trouble, {kills} kills, {seconds:.0f} s", flush=True)
    rows = [_row(evaluation, server) for evaluation in evaluations]
    _print(rows)
    everything = _total(rows, server)
    return 0 if everything and all(row["right"] for row in rows) else 1


def _answer_files(folder: Path, scratch: Path) -> list[Path]:
    found = sorted(folder.glob("*.json"))
    if found:
        return found
    print(f"no answer files in {folder}: made-up answers instead", flush=True)
    return [_made_up(scratch / f"made_up_{n}.json", n) for n in range(4)]


def _made_up(path: Path, seed: int) -> Path:
    from benchmark.protocols.mmhal import TYPES

    draw = random.Random(seed)
    records = [
        {
            "question_type": TYPES[n % 8],
            "question_topic": "indoor",
            "image_id": f"image-{n}",
            "image_src": f"https://example.org/image-{n}.jpg",
            "image_content": ["Table", "Cup"],
            "question": f"How many cups are on table {n}?",
            "gt_answer": "Two.",
            "model_answer": f"There are {draw.randint(0, 9)} cups, and {draw.random():.6f} forks.",
        }
        for n in range(96)
    ]
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def _evaluations(files: list[Path], url: str, scratch: Path) -> list[Any]:
    from annotation.image_sources import Folder
    from benchmark.importing import import_answers, import_questions
    from benchmark.models import Judge

    questions = import_questions(
        "mmhal", files[0], images_from=Folder(scratch), allow_missing=True, name="MMHal-Bench"
    )
    judge = Judge.objects.create(name="troubled", kind="openai", base_url=url, model="any")
    return [
        import_answers(questions, file, judge=judge, model_name=file.stem.replace("_", " "))
        for file in files
    ]


def _judged(evaluations: list[Any], kills: int, log: Path) -> tuple[float, int]:
    """Seconds until all have ended, with the worker killed on the way; and the kills made."""
    from benchmark import evaluating
    from benchmark.models import Verdict

    total = sum(evaluation.answers.count() for evaluation in evaluations)
    started, done = time.monotonic(), 0
    worker = _worker(log)
    try:
        while not all(_ended(evaluation) for evaluation in evaluations):
            evaluating.resume_judging()  # What beat does every 20 s.
            time.sleep(0.5)
            if done < kills and Verdict.objects.count() >= total * (done + 1) / (kills + 1):
                _kill(worker)
                worker, done = _worker(log), done + 1
    finally:
        _kill(worker)
    return time.monotonic() - started, done


def _ended(evaluation: Any) -> bool:
    evaluation.refresh_from_db()
    return bool(evaluation.ended)


def _worker(log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", "cpu"]
    command += ["--concurrency", "4", "--loglevel", "ERROR", "--without-gossip", "--without-mingle"]
    with log.open("ab") as output:
        return subprocess.Popen(
            command, start_new_session=True, stdout=output, stderr=subprocess.STDOUT
        )


def _kill(worker: subprocess.Popen[bytes]) -> None:
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def _row(evaluation: Any, server: Server) -> dict[str, Any]:
    """The figures of one model, checked, and its unreadable verdicts settled on its page."""
    from benchmark.protocols import mmhal

    prompts = {
        answer.pk: mmhal.judge_messages(
            mmhal.Question.from_json(answer.question.data), answer.text
        )[-1]["content"]
        for answer in evaluation.answers.select_related("question")
    }
    verdicts = list(evaluation.verdicts())
    ratings = {verdict.answer_id: verdict.rating for verdict in verdicts}
    once = len(verdicts) == len(prompts) == len(ratings)
    as_meant = all(ratings.get(pk) == meant(prompt) for pk, prompt in prompts.items())
    asked = sum(server.served[prompt] for prompt in set(prompts.values()))
    fewest = sum(server.needed(prompt) for prompt in set(prompts.values()))
    state, unclear = evaluation.state, evaluation.summary["unparsed"]
    settled = _settle_on_page(evaluation, prompts)
    # By hand every unreadable verdict becomes 3; the mean is computed here once more.
    expected = [3 if meant(p) is None else meant(p) for p in prompts.values()]
    score = evaluation.summary["score"]["value"]
    mean = sum(rating for rating in expected if rating is not None) / len(expected)
    return {
        "model": evaluation.model_name,
        "answers": len(prompts),
        "judged once": "yes" if once else "NO",
        "as meant": "yes" if as_meant else "NO",
        "requests": asked,
        "fewest": fewest,
        "unread": unclear,
        "state": state,
        "on the page": settled,
        "score": f"{score:.3f}",
        "right": once
        and as_meant
        and settled == unclear
        and state == ("incomplete" if unclear else "complete")
        and abs(score - mean) < 1e-9,
    }


def _settle_on_page(evaluation: Any, prompts: dict[int, str]) -> int:
    """How many unreadable verdicts the page lists; each is settled there as 3."""
    from django.test import Client
    from django.test.utils import override_settings

    from annotation.models import User

    admin, _ = User.objects.get_or_create(username="admin", is_superuser=True, is_staff=True)
    client, settled = Client(), 0
    client.force_login(admin)
    with override_settings(ALLOWED_HOSTS=["testserver"], SECURE_SSL_REDIRECT=False):
        while True:
            page = client.get(f"{evaluation.get_absolute_url()}?show=open").content.decode()
            forms = re.findall(r'action="(/benchmarks/verdicts/\d+/settle/)"', page)
            if not forms:
                break
            for address in forms:
                client.post(address, {"rating": "3"})
            settled += len(forms)
    evaluation.refresh_from_db()
    return settled


def _print(rows: list[dict[str, Any]]) -> None:
    columns = [name for name in rows[0] if name != "right"]
    widths = [max(len(name), *(len(str(row[name])) for row in rows)) for name in columns]
    for cells in (columns, *([row[name] for name in columns] for row in rows)):
        print("  ".join(str(cell).ljust(width) for cell, width in zip(cells, widths, strict=True)))


def _total(rows: list[dict[str, Any]], server: Server) -> bool:
    """All requests over the fewest; an answer that two models share is asked about once."""
    asked = sum(server.served.values())
    fewest = sum(server.needed(prompt) for prompt in server.served)
    answers = sum(row["answers"] for row in rows)
    print(
        f"{answers} answers, {len(server.served)} of them different: {asked} requests, "
        f"{asked / fewest:.3f} times the fewest ({fewest})"
    )
    return asked <= MOST_REQUESTS * fewest


if __name__ == "__main__":
    main()
