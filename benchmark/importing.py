"""Question sets and answer files on their way in: taken whole, or refused whole with reasons.

The version of a question set is a digest of its questions and of its images' files, so a set with
81 of 96 photographs, or with resized ones, is another version than the complete original: answers
to different pictures are not answers to the same question.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction

from annotation import images
from annotation.image_sources import ImageSource
from annotation.importing.inline_pictures import is_picture
from annotation.models import Image
from annotation.reading.names import excerpt
from benchmark import evaluating, protocols
from benchmark.evaluating import Said
from benchmark.models import Evaluation, Judge, Question, QuestionSet
from benchmark.protocols.protocol import ReadQuestion
from benchmark.sources import NotTaken, read_questions, refusing

LONGEST_NAME = 100
"""A name that is taken gets an addition."""


def import_questions(
    protocol: str,
    path: Path,
    *,
    images_from: ImageSource,
    allow_missing: bool = False,
    name: str = "",
) -> QuestionSet:
    """The question set of a published file; the same again is found again.

    Raises NotTaken for a broken file or image, and, unless ``allow_missing``, for a missing image;
    with it the set lists the names and its evaluations say "81 of 96".
    """
    read = read_questions(protocol, path)
    found, missing = _find_images(read, images_from, allow_missing=allow_missing)
    identity = protocols.named(protocol).identity
    version = _version(read, found, identity)
    # Sets of before were told apart by all fields as they were spelt.
    known = QuestionSet.objects.filter(
        protocol=protocol, version__in=(version, _version(read, found, dict))
    )
    existing = known.first()
    if existing is not None:
        return existing
    named = name or protocols.named(protocol).set_name(path, len(read))
    try:
        return _create(protocol, version, named, read, found, missing)
    except IntegrityError:
        # Somebody else imported the same at the same time.
        made = known.first()
        if made is None:
            raise
        return made


def _create(
    protocol: str,
    version: str,
    name: str,
    read: list[ReadQuestion],
    found: dict[tuple[str, ...], Image],
    missing: list[str],
) -> QuestionSet:
    with transaction.atomic():
        question_set = QuestionSet.objects.create(
            protocol=protocol,
            name=_free_name(name[:LONGEST_NAME], version),
            version=version,
            missing_images=missing,
        )
        saved = images.save(found.values())
        Question.objects.bulk_create(
            Question(
                question_set=question_set,
                index=index,
                type=item.data["question_type"],
                data=item.data,
                image=saved[image.sha256] if (image := found.get(item.image_names)) else None,
            )
            for index, item in enumerate(read)
        )
    return question_set


def import_answers(
    question_set: QuestionSet,
    path: Path,
    *,
    judge: Judge,
    model_name: str,
    leave_out_others: bool = False,
    **fields: Any,
) -> Evaluation:
    """An evaluation of answers that a model gave elsewhere, waiting for ``judge``.

    How answers are joined is the benchmark's matter; never by position. A question without an
    answer is left out and counted; an answer to a question that the set does not have
    is NotTaken, unless these are to be left out: then they are counted too.
    """
    answers, others = _answers(question_set, path, leave_out_others)
    with transaction.atomic():
        evaluation = evaluating.start(
            question_set=question_set,
            judge=judge,
            model_name=model_name,
            answers_left_out=others,
            **fields,
        )
        evaluating.store_answers(evaluation, answers)
    return evaluation


def _answers(
    question_set: QuestionSet, path: Path, leave_out_others: bool
) -> tuple[dict[Question, Said], int]:
    questions = list(question_set.questions.all())
    records = [question.data for question in questions]
    with refusing():
        joined = question_set.rules.read_answers(path, records, leave_out_others=leave_out_others)
    return {questions[place]: Said(text) for place, text in joined.answers.items()}, joined.others


def _find_images(
    read: list[ReadQuestion], source: ImageSource, *, allow_missing: bool
) -> tuple[dict[tuple[str, ...], Image], list[str]]:
    """Images by their possible names, and the (first) names that ``source`` does not have, in the
    file's order. Raises NotTaken, which names all that are at fault."""
    found: dict[tuple[str, ...], Image] = {}
    missing: list[str] = []
    reasons: list[str] = []
    with images.Decoder() as decoder:
        for names in dict.fromkeys(item.image_names for item in read):
            if refusal := _no_name(names[0]):
                reasons.append(f"image {excerpt(names[0])}: {refusal}")
                continue
            try:
                candidates = (source.find(name, decoder) for name in names)
                image = next((image for image in candidates if image is not None), None)
            except images.BadImage as error:
                reasons.append(f"image {excerpt(names[0])} {error}")
                continue
            if image is None:
                missing.append(names[0])
                reasons += [] if allow_missing else [f"image {excerpt(names[0])} is missing"]
            else:
                found[names] = image
    if reasons:
        raise NotTaken(reasons)
    return found, missing


def _no_name(name: str) -> str:
    """Why a question's image is no name of one; empty where it may be."""
    if is_picture(name):
        return "is a picture, not the name of one: bring pictures as files beside the questions"
    return "" if name.strip() else "a question names none"


def _version(
    read: list[ReadQuestion],
    found: dict[tuple[str, ...], Image],
    identity: Callable[[dict[str, Any]], dict[str, Any]],
) -> str:
    content = [
        [
            identity(item.data),
            image.original_sha256 if (image := found.get(item.image_names)) else None,
        ]
        for item in read
    ]
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _free_name(wanted: str, version: str) -> str:
    taken = QuestionSet.objects.filter(name=wanted).exists()
    return f"{wanted} ({version[:8]})" if taken else wanted
