"""The run kind "report_card": a reward model scores the held-out pairs of its release, whole and
with picture or facts taken away or exchanged."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.urls import reverse
from PIL import Image as Picture

from annotation import exporting
from benchmark.models import ReportCard
from benchmark.report_cards import best_of_n, figures
from benchmark.report_cards.figures import Scored
from training.checkpoints import registry
from training.models import Attempt, Checkpoint, Run
from training.rlhf.contract import Kind, PreferencePair, RunSpec, ScoreSettings, divide_held_out
from training.runs import requests
from training.runs.kinds import RunKind

BLANK = "blank.png"
SAMPLED = "best_of_n.json"
BLANK_PIXELS = (336, 336)
MOST_PAIRS = 500
_GREY = (127, 127, 127)


class ReportCardKind(RunKind):
    name = "report_card"
    title = "Report card of a reward model"
    description = "Scores held-out pairs with and without picture and facts: what it looks at."
    engine = Kind.SCORE
    takes = frozenset({"reward_model"})
    needs = frozenset({"release", "reward_model"})
    measures = True
    decides = frozenset({"labelled", "unusable_records"})

    def decide(self, spec: RunSpec, options: dict[str, Any]) -> RunSpec:
        assert isinstance(spec.settings, ScoreSettings)
        settings = replace(spec.settings, labelled=False, unusable_records="leave_out")
        return replace(spec, settings=settings)

    def write_data(self, run: Run, directory: Path) -> None:
        assert run.release is not None
        exporting.write_training_data(run.release, directory)
        pairs = asked(_pairs(directory / "data" / "held_out.jsonl"), chose=chose(run))
        if not pairs:
            raise ValueError("the release holds nothing out: there is nothing fair to report")
        (directory / "images" / BLANK).write_bytes(blank_picture())
        told = [pair.to_json() for pair in conditions(pairs)]
        source = best_of_n.sampled_in(run.project)
        if source is not None:
            exporting.write_images(best_of_n.images_of(source), directory)
            (directory / "data" / SAMPLED).write_text(json.dumps(source.to_json()), "utf-8")
            told += best_of_n.records(source)
        lines = (json.dumps(one, ensure_ascii=False) for one in told)
        (directory / "data" / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def finish(self, run: Run, attempt: Attempt, directory: Path) -> None:
        with (directory / "final" / "scores.jsonl").open(encoding="utf-8") as handle:
            scores = [json.loads(line) for line in handle if line.strip()]
        by_id = {line["id"]: line for line in scores}
        held_out = _pairs(directory / "data" / "held_out.jsonl")
        pairs, aside = fair(held_out, by_id, chose=chose(run))
        found = figures.report(scored(pairs, by_id))
        found["left_out"] = len(pairs) - found["pairs"]
        found |= {"left_aside": aside, "flattered": chose(run) and not aside}
        sampled = directory / "data" / SAMPLED
        if sampled.exists():
            source = best_of_n.Source.from_json(json.loads(sampled.read_text("utf-8")))
            found["best_of_n"] = best_of_n.report(source, by_id)
        ReportCard.objects.update_or_create(
            checkpoint=run.reward_model, defaults={"run": run, "figures": found}
        )

    def result_url(self, run: Run) -> str | None:
        if run.reward_model_id is None:
            return None
        return reverse("benchmark:report-card", args=[run.reward_model_id])


def request_report(reward_model: Checkpoint, requested_by: Any) -> Run:
    """Queue the report card, with the release that the reward model was trained on, loaded as it
    was trained. Raises Refused for what is no reward model of a run."""
    made_by = reward_model.run
    if reward_model.kind != Checkpoint.Kind.REWARD_MODEL or made_by is None or not made_by.base:
        raise requests.Refused("reward_model", "is not the reward model of a run")
    if not holds_pairs_out(made_by):
        raise requests.Refused("reward_model", "its release holds no pair out")
    common = requests.Common(
        project=made_by.project,
        requested_by=requested_by,
        base=made_by.base,
        release=made_by.release,
        reward_model=reward_model,
        preset=made_by.preset,
        model_changes=made_by.model,
        gpus=made_by.gpus,
    )
    step = requests.Step("report_card")
    name = requests.named(f"Report card of {reward_model}", made_by.project, made_by.release)
    return requests.request_run(common, step, name=name)


def holds_pairs_out(run: Run) -> bool:
    """Whether there is anything fair to report of what a run has trained."""
    return run.release is not None and bool(run.release.counts.get("held_out"))


def report_on(run: Run) -> None:
    """What follows a run that made a reward model: its report card, where pairs are held out."""
    made = registry.final_checkpoint(run)
    if not settings.REPORT_CARDS or made is None or made.kind != Checkpoint.Kind.REWARD_MODEL:
        return
    if not holds_pairs_out(run):
        return
    request_report(made, run.requested_by)


def chose(run: Run) -> bool:
    """Whether held-out pairs chose which step of the reward model was kept."""
    made_by = run.reward_model.run if run.reward_model else None
    told = made_by.settings if made_by else {}
    return bool(told.get("keep_best") or told.get("patience"))


def asked(held_out: Sequence[PreferencePair], *, chose: bool) -> list[PreferencePair]:
    """The pairs to be scored, those that chose nothing first."""
    if chose:
        choosing, reporting = divide_held_out([pair.subject for pair in held_out])
        order = dict.fromkeys([*reporting, *choosing])
        held_out = [held_out[number] for number in order]
    return list(held_out[:MOST_PAIRS])


def fair(
    held_out: Sequence[PreferencePair], lines: Mapping[str, Any], *, chose: bool
) -> tuple[list[PreferencePair], int]:
    """The pairs that did not choose the step that was kept, and how many others did.

    Divided as training divided them, which left out what is too long for the model: what got no
    score here. Where they are too few to be divided, all of them chose: (all of them, 0).
    """
    scored_ids = {name.split("/", 1)[1] for name in lines if "/" in name}
    pairs = asked(held_out, chose=chose)
    if not chose:
        return pairs, 0
    unusable = {pair.id for pair in pairs if pair.id not in scored_ids}
    usable = [pair for pair in held_out if pair.id not in unusable]
    choosing, reporting = divide_held_out([pair.subject for pair in usable])
    if choosing == reporting:
        return pairs, 0
    fit = {usable[number].id for number in reporting} | unusable
    return [pair for pair in pairs if pair.id in fit], len(choosing)


def blank_picture() -> bytes:
    """A grey PNG, shown in place of a picture."""
    picture = io.BytesIO()
    Picture.new("RGB", BLANK_PIXELS, _GREY).save(picture, "PNG")
    return picture.getvalue()


def conditions(pairs: Sequence[PreferencePair]) -> Iterator[PreferencePair]:
    """Each pair under each condition, told apart by the beginning of its id.

    Without any facts there are but two: with the picture and without. Facts of another image are
    shown only where each pair has such.
    """
    facts = any(pair.captions for pair in pairs)
    others = [_others(pairs, place) for place in range(len(pairs))]
    for place, pair in enumerate(pairs):
        yield _as(pair, figures.WHOLE if facts else "image", pair.image, pair.captions)
        yield _as(pair, "neither", BLANK, ())
        if facts:
            yield _as(pair, "image", pair.image, ())
            yield _as(pair, "facts", BLANK, pair.captions)
            if all(others):
                yield _as(pair, "other_facts", pair.image, others[place])


def _others(pairs: Sequence[PreferencePair], place: int) -> tuple[str, ...]:
    """The facts of the next picture that is another one with other facts."""
    own = pairs[place]
    for step in range(1, len(pairs)):
        other = pairs[(place + step) % len(pairs)]
        if other.image != own.image and other.captions and other.captions != own.captions:
            return tuple(other.captions)
    return ()


def _as(
    pair: PreferencePair, condition: str, image: str, captions: Sequence[str]
) -> PreferencePair:
    return replace(
        pair,
        id=f"{condition}/{pair.id}",
        image=image,
        more_images=tuple(BLANK if image == BLANK else one for one in pair.more_images),
        captions=tuple(captions),
    )


def scored(pairs: Sequence[PreferencePair], lines: dict[str, dict[str, Any]]) -> list[Scored]:
    """The pairs with what the engine said of them; ``lines`` are those of its scores by id. A pair
    that did not fit under one of the conditions is left out of all, and so is one that the reward
    model had no number for."""
    found = []
    asked = {name for name in figures.CONDITIONS if any(f"{name}/{p.id}" in lines for p in pairs)}
    for pair in pairs:
        told = {
            name: lines[f"{name}/{pair.id}"]
            for name in figures.CONDITIONS
            if f"{name}/{pair.id}" in lines
        }
        if told.keys() != asked:
            continue
        whole = told.get(figures.WHOLE) or told["image"]
        numbers = [line["probability_1"] for line in told.values()]
        if not all(map(math.isfinite, (*numbers, whole["reward_1"], whole["reward_2"]))):
            continue
        found.append(
            Scored(
                preference=pair.preference,
                honesty=pair.hallucination,
                margin=abs(pair.margin),
                lengths=(len(pair.output_1), len(pair.output_2)),
                first={name: float(line["probability_1"]) for name, line in told.items()},
                rewards=(float(whole["reward_1"]), float(whole["reward_2"])),
            )
        )
    return found


def _pairs(path: Path) -> list[PreferencePair]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as handle:
        return [PreferencePair.from_json(json.loads(line)) for line in handle if line.strip()]
