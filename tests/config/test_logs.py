"""Lines that programs read: one JSON object each, with the run and the request."""

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from config import logs
from config.logs import JsonFormatter, RequestLog

log = logging.getLogger("a.logger")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    """What is logged from now on, as it is written."""
    written: list[dict[str, Any]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(json.loads(JsonFormatter().format(record)))

    caplog.set_level(logging.INFO)
    handler = Handler()
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def test_a_line_says_what_it_is_about(lines: list[dict[str, Any]]) -> None:
    with logs.about(run_id=7):
        with logs.about(attempt=2):
            log.warning("the %s is “away”\nfor now", "database")
        log.info("later")
    log.info("outside")
    first, second, third = lines
    assert first["message"] == "the database is “away”\nfor now"
    assert (first["level"], first["logger"]) == ("WARNING", "a.logger")
    assert (first["run_id"], first["attempt"]) == (7, 2)
    assert first["time"].endswith("+00:00")
    assert second["run_id"] == 7
    assert "attempt" not in second
    assert "run_id" not in third


def test_a_traceback_stands_in_the_line_of_its_error(lines: list[dict[str, Any]]) -> None:
    try:
        raise KeyError("surprise")
    except KeyError:
        log.exception("it broke")
    assert lines[0]["traceback"].endswith("KeyError: 'surprise'")


def test_a_thread_does_not_inherit_what_its_parent_is_about(lines: list[dict[str, Any]]) -> None:
    with logs.about(run_id=7):
        thread = threading.Thread(target=lambda: log.info("from a thread"))
        thread.start()
        thread.join()
    assert "run_id" not in lines[0]


def answer(request: Any) -> HttpResponse:
    log.info("within")
    return HttpResponse()


@pytest.mark.parametrize(("given", "kept"), [("trace-1.a:b", True), ("a b", False), ("", False)])
def test_a_request_has_a_number_in_its_lines_and_its_answer(
    lines: list[dict[str, Any]], given: str, kept: bool
) -> None:
    response = RequestLog(answer)(RequestFactory().get("/", headers={"X-Request-ID": given}))
    [line] = lines
    assert line["request_id"] == response["X-Request-ID"]
    assert (line["request_id"] == given) is kept
    assert len(line["request_id"]) == (len(given) if kept else 32)


@pytest.mark.django_db
def test_in_json_each_request_is_told_by_its_route_not_its_address(
    settings: Any, lines: list[dict[str, Any]]
) -> None:
    settings.LOG_FORMAT = "json"
    Client().get("/training/runs/5/?secret=canary")
    [line] = [line for line in lines if line["logger"] == "factloop.requests"]
    assert (line["method"], line["status"]) == ("GET", 302)
    assert line["route"] == "training/runs/<int:pk>/"
    assert line["milliseconds"] > 0
    assert "canary" not in json.dumps(line)


def test_the_format_is_chosen_by_the_environment(tmp_path: Any) -> None:
    from tests.config.test_settings import evaluate

    chosen = "settings.LOGGING['handlers']['console']['formatter']"
    variables = {"FACTLOOP_VAR": str(tmp_path)}
    assert evaluate(chosen, LOG_FORMAT="json", **variables).stdout.strip() == "json"
    assert evaluate(chosen, **variables).stdout.strip() == "plain"
    assert "LOG_FORMAT must be" in evaluate("1", LOG_FORMAT="xml", **variables).stderr
