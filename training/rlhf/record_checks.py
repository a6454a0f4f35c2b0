"""Everything a run will need of a record is tried before its first step.

A record that would end the run days later, or teach what nobody meant, is named at once: an image
that cannot be decoded or that the family's processor refuses, a prompt that leaves no room, turns
that the template refuses, a question that asks nothing, an answer where one is to be given. What
cannot be used is left out and counted, or refuses the run, as ``unusable_records`` says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

import durable
from training.rlhf import preflight
from training.rlhf.contract import Record
from training.rlhf.errors import DataError, ModelError
from training.rlhf.images import EncodedImage, joined
from training.rlhf.models import VisionLanguageModel
from training.rlhf.processes import processes
from training.rlhf.run_directory import Run

RecordT = TypeVar("RecordT", bound=Record)

LEFT_OUT = "left_out.jsonl"
"""In the run directory: id and reason of each record that was left out."""
_NAMED = 3


def usable(
    run: Run,
    models: Sequence[VisionLanguageModel],
    records: Sequence[RecordT],
    check: Callable[[RecordT], object],
    *,
    what: str = "records",
) -> list[RecordT]:
    """Those of ``records`` that ``check`` and every model's images can do with; all must call it.

    ``check`` raises DataError or ModelError for a record. DataError names the records at fault when
    the settings refuse them, or when none is left.
    """
    run.events.stage(f"checking {len(records)} {what}")
    if blind := sum(not record.images for record in records):
        run.events.stage(f"{blind} of {len(records)} {what} are text alone, without an image")
    places = processes().share(range(len(records)))
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool:
        pictures = list(pool.map(lambda n: _picture_problem(run, models, records[n]), places))
    found = [
        (place, _of_turns(run, records[place]) or problem or _problem(check, records[place]))
        for place, problem in zip(places, pictures, strict=True)
    ]
    problems = {place: text for place, text in processes().collect(found) if text}
    if problems:
        _tell(run, records, problems, what)
        run.events.doubt(*preflight.left_out(len(problems), len(records), what))
    kept = [record for place, record in enumerate(records) if place not in problems]
    _tell_unused_answers(run, kept, what)
    if processes().leads:
        for code, text in preflight.doubts(run, models, kept):
            run.events.doubt(code, text)
    return kept


def check_marks(marked: Sequence[bool], setting: str) -> None:
    """Raise DataError where ``setting`` is to learn from marked words and no pair has any."""
    if not any(marked):
        raise DataError(
            f"settings.{setting}: 0 of {len(marked):,} pairs have marked words, and they are to be "
            "learnt from"
        )


def stand_in(model: VisionLanguageModel, record: Record) -> EncodedImage:
    """What a record's images, if any, are to text: a placeholder each, and no features."""
    one = EncodedImage(torch.empty(0), [model.chat.image_token_id], {})
    return joined([one for _ in record.images])


def check_facts(run: Run, records: Sequence[Record], *, wanted: bool) -> None:
    """Say how many records have facts; DataError when facts are ``wanted`` and none has any."""
    count = sum(bool(record.captions) for record in records)
    if wanted and not count:
        raise DataError(
            f"settings.with_facts: none of the {len(records)} records has captions, so there are "
            "no facts to show; import captions, or train without facts"
        )
    if wanted:
        run.events.stage(f"{count} of {len(records)} records have facts")


def _of_turns(run: Run, record: Record) -> str:
    refused = run.spec.settings.unusable_records == "refuse"
    return record.asks_nothing or (record.answers_itself if refused else "")


def _tell_unused_answers(run: Run, records: Sequence[Record], what: str) -> None:
    """Where they do not refuse the run, they are what is left out."""
    found = [record for record in records if record.answers_itself]
    if found:
        some = [_named(record.id, record.answers_itself) for record in found[:_NAMED]]
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        text = f"answers of {len(found)} of {len(records)} {what} are not used: {'; '.join(some)}"
        run.events.stage(f"{text}{more}")


def _picture_problem(run: Run, models: Sequence[VisionLanguageModel], record: Record) -> str:
    try:
        for model in models:
            for path in run.image_files(record):
                model.encode_images.check(path)
    except DataError as error:
        return str(error)
    return ""


def _problem(check: Callable[[RecordT], object], record: RecordT) -> str:
    try:
        check(record)
    except (DataError, ModelError) as error:
        return str(error)
    return ""


def _tell(run: Run, records: Sequence[Record], problems: dict[int, str], what: str) -> None:
    """Refuse the run, or say what is left out."""
    some = [_named(records[place].id, text) for place, text in sorted(problems.items())[:_NAMED]]
    more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    text = f"{len(problems)} of {len(records)} {what} cannot be used: {'; '.join(some)}{more}"
    if run.spec.settings.unusable_records == "refuse":
        raise DataError(f"{text} (settings.unusable_records can leave them out)")
    if len(problems) == len(records):
        raise DataError(text)
    run.events.stage(f"left out: {text}")
    if processes().leads:
        lines = [{"id": records[n].id, "reason": text} for n, text in sorted(problems.items())]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        durable.write(run.directory / LEFT_OUT, text)


def _named(record: str, problem: str) -> str:
    return problem if problem.startswith(f"record {record}:") else f"record {record}: {problem}"
