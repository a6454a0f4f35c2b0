"""Making a release: one frozen artefact in storage that everything else is read from.

The artefact is JSON lines: first what the release is, then one comparison a line with its votes
(people by pseudonym), ordered by id. One SELECT reads it all, so it shows one moment even while
people answer; nothing that follows looks at the tables again.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import orjson
from django.contrib.postgres.expressions import ArraySubquery
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, Q
from django.db.models.functions import JSONObject
from django.utils import timezone

from annotation.errors import DomainError
from annotation.models import Adjudication, Comparison, Judgment, Project, Release, User
from annotation.preferences import Votes
from annotation.quality import agreement
from annotation.reliable_votes import reliable_votes

VERSION = 1
ROWS_AT_ONCE = 1000


class NothingToRelease(DomainError):
    """No comparison is decided, or none that the policy takes."""

    status = 409
    title = "There is nothing to release"


class BadPolicy(DomainError):
    status = 422
    title = "The release policy is not valid"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Which decided comparisons become preferences. All comparisons keep their votes."""

    minimum_margin: float = 0.0
    """The least (votes for - votes against) / votes, 0..1."""
    honesty_only: bool = False
    """Leave out preferences that helpfulness decided between equally honest responses."""
    imported_labels: bool = True
    """Take preferences that came with an imported file and that nobody here has judged."""

    minimum_reliability: float = 0.0
    """Leave out the votes of annotators below this estimate (annotation.reliability), 0..1."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Policy:
        """Raises BadPolicy, naming the field."""
        known = {field.name: type(field.default) for field in fields(cls)}
        for name, value in data.items():
            if name not in known:
                raise BadPolicy(f"{name} is not known; there are {', '.join(known)}", field=name)
            whole_number = known[name] is float and type(value) is int
            if type(value) is not known[name] and not whole_number:
                raise BadPolicy(f"{name} has the wrong type", field=name)
        policy = cls(**data)
        for name in ("minimum_margin", "minimum_reliability"):
            if not 0 <= getattr(policy, name) <= 1:
                raise BadPolicy(f"{name} must be from 0 to 1", field=name)
        return policy

    def takes(self, row: dict[str, Any]) -> bool:
        """Whether a line of the artefact is a preference to train on."""
        return (
            row["outcome"] == Comparison.Outcome.DECIDED
            and row["margin"] >= self.minimum_margin
            and (row["hallucination"] or not self.honesty_only)
            and (self.imported_labels or not row["imported"])
        )


def make_release(
    project: Project,
    *,
    policy: dict[str, Any] | None = None,
    seed: int = 0,
    held_out_share: float = 0.1,
    created_by: User | None = None,
) -> Release:
    """A release, built and frozen before this returns.

    Raises NothingToRelease and BadPolicy; then no release was made.
    """
    with transaction.atomic():
        release = request_release(
            project,
            policy=policy,
            seed=seed,
            held_out_share=held_out_share,
            created_by=created_by,
        )
        _freeze(release)
    return release


def request_release(
    project: Project,
    *,
    policy: dict[str, Any] | None = None,
    seed: int = 0,
    held_out_share: float = 0.1,
    created_by: User | None = None,
) -> Release:
    """The row of a release that ``build`` then fills. Raises NothingToRelease and BadPolicy."""
    Policy.from_json(policy or {})
    if not 0 <= held_out_share <= 0.9:
        raise BadPolicy("the held-out share must be from 0 to 0.9", field="held_out_share")
    decided = project.comparisons.filter(outcome=Comparison.Outcome.DECIDED)
    if not decided.exists():
        raise NothingToRelease(f"No comparison of {project.name} is decided yet.")
    with transaction.atomic():
        locked = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        last = locked.releases.aggregate(last=Max("number"))["last"] or 0
        return Release.objects.create(
            project=project,
            number=last + 1,
            policy=asdict(Policy.from_json(policy or {})),
            seed=seed,
            held_out_share=held_out_share,
            guidelines_version=locked.guidelines_version,
            created_by=created_by,
        )


def build(release: Release) -> None:
    """Freezes a requested release; a failure is written on it. Nothing happens to a ready one."""
    try:
        with transaction.atomic():
            locked = Release.objects.select_for_update(no_key=True).get(pk=release.pk)
            if locked.state == Release.State.BUILDING:
                _freeze(locked)
    except DomainError as error:
        waiting = Release.objects.filter(pk=release.pk, state=Release.State.BUILDING)
        waiting.update(state=Release.State.FAILED, error=str(error))
    release.refresh_from_db()


def _freeze(release: Release) -> None:
    policy = Policy.from_json(release.policy)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        with rows.open("wb") as file:
            summary = _write_rows(release, policy, file)
        if not summary.exported_images:
            raise NothingToRelease("No decided comparison is left under this policy.")
        held_out = held_out_images(
            summary.exported_images, seed=release.seed, share=release.held_out_share
        )
        artefact = Path(folder) / "artefact"
        release.counts = _assemble(release, rows, artefact, held_out)
        release.agreement = agreement(summary.answers, seed=release.seed)
        release.sha256 = sha256_of(artefact)
        with artefact.open("rb") as built:
            path = f"releases/{release.project_id}/{release.sha256}.jsonl"
            if not default_storage.exists(path):
                path = default_storage.save(path, File(built))
            release.artefact.name = path
    release.state = Release.State.READY
    release.frozen_at = timezone.now()
    release.save()


@dataclass
class _Summary:
    exported_images: set[str]
    answers: Counter[tuple[str, ...]]
    """How many comparisons got which answers: few kinds, however many comparisons."""


def _write_rows(release: Release, policy: Policy, file: Any) -> _Summary:
    summary = _Summary(exported_images=set(), answers=Counter())
    rows = _snapshot(release.project)
    if policy.minimum_reliability > 0:
        rows = reliable_votes(rows, policy.minimum_reliability)
    for row in rows:
        row["exported"] = policy.takes(row)
        if row["exported"]:
            summary.exported_images.add(row["image"]["sha256"])
        counted = [j["more_hallucinated"] for j in row["judgments"] if not j["surplus"]]
        if len(counted) > 1:
            summary.answers[tuple(sorted(counted))] += 1
        file.write(canonical(row))
    return summary


def _assemble(release: Release, rows: Path, artefact: Path, held_out: set[str]) -> dict[str, int]:
    """Writes the header and the rows with their split; the counts of what was written."""
    counts: Counter[str] = Counter()
    images: dict[str, set[str]] = {"train": set(), "held_out": set()}
    with artefact.open("wb") as file, rows.open("rb") as lines:
        file.write(canonical(_header(release)))
        for line in lines:
            row = orjson.loads(line)
            sha256 = row["image"]["sha256"]
            row["split"] = "held_out" if sha256 in held_out else "train"
            if row["exported"]:
                counts[row["split"]] += 1
                counts["preferences"] += 1
                images[row["split"]].add(sha256)
            counts["comparisons"] += 1
            counts["judgments"] += len(row["judgments"])
            file.write(canonical(row))
    for split, found in images.items():
        counts[f"{split}_images"] = len(found)
    names = ("preferences", "train", "held_out", "train_images", "held_out_images")
    return {name: counts[name] for name in (*names, "comparisons", "judgments")}


def _header(release: Release) -> dict[str, Any]:
    return {
        "artefact": VERSION,
        "project": release.project.slug,
        "question": release.project.question,
        "policy": release.policy,
        "seed": release.seed,
        "held_out_share": release.held_out_share,
        "guidelines_version": release.guidelines_version,
    }


def held_out_images(images: set[str], *, seed: int, share: float) -> set[str]:
    """The images that training never sees, by a hash of seed and image.

    The same seed keeps an image on its side in every release, however much is added, so that no
    model is tested on what its ancestor was trained on. The one exception: where the hash would
    hold out none of several images, the nearest one is held out.
    """

    def place(sha256: str) -> float:
        return int(hashlib.sha256(f"{seed}:{sha256}".encode()).hexdigest()[:13], 16) / 16**13

    if share <= 0 or len(images) < 2:
        return set()
    first, *others = sorted(images, key=place)
    return {first, *(sha256 for sha256 in others[:-1] if place(sha256) < share)}


def _snapshot(project: Project) -> Iterator[dict[str, Any]]:
    """Comparisons that have votes or a preference, as one statement saw them."""
    judgments = (
        Judgment.objects.filter(comparison=OuterRef("pk"), assignment__purpose="work")
        .order_by("assignment__annotator__pseudonym")
        .values(
            json=JSONObject(
                annotator="assignment__annotator__pseudonym",
                shown_first="assignment__shown_first",
                leased_at="assignment__leased_at",
                created_at="created_at",
                more_hallucinated="more_hallucinated",
                more_helpful="more_helpful",
                spans="spans",
                confidence="confidence",
                note="note",
                active_seconds="active_seconds",
                surplus="surplus",
                version="version",
            )
        )
    )
    rulings = Adjudication.objects.filter(comparison=OuterRef("pk")).values(
        json=JSONObject(
            adjudicator="adjudicator__pseudonym",
            more_hallucinated="more_hallucinated",
            more_helpful="more_helpful",
        )
    )
    judged = Exists(Judgment.objects.filter(comparison=OuterRef("pk")))
    told = ~Q(outcome=Comparison.Outcome.WAITING) | judged
    comparisons = (
        Comparison.objects.filter(told, project=project, gold_more_hallucinated="")
        .order_by("external_id")
        .values(
            "external_id",
            "response_1",
            "response_2",
            "model_1",
            "model_2",
            "source",
            "outcome",
            "preference",
            "hallucination",
            "margin",
            "imported_votes",
            prompt_external_id=F("prompt__external_id"),
            conversation=F("prompt__conversation"),
            captions=F("prompt__captions"),
            caption_type=F("prompt__caption_type"),
            length_bonus=F("prompt__length_bonus"),
            image_sha256=F("prompt__image__sha256"),
            image_format=F("prompt__image__format"),
            judgments_json=ArraySubquery(judgments),
            rulings_json=ArraySubquery(rulings),
        )
    )
    for found in comparisons.iterator(chunk_size=ROWS_AT_ONCE):
        yield _row(dict(found))


def _row(found: dict[str, Any]) -> dict[str, Any]:
    judgments = found.pop("judgments_json")
    rulings = found.pop("rulings_json")
    imported_votes = found.pop("imported_votes")
    extension = {"png": "png", "jpeg": "jpg"}[found.pop("image_format")]
    sha256 = found.pop("image_sha256")
    counted = [(j["more_hallucinated"], j["more_helpful"]) for j in judgments if not j["surplus"]]
    imported = found["outcome"] == Comparison.Outcome.DECIDED and not counted and not rulings
    return {
        **found,
        "image": {"sha256": sha256, "name": f"{sha256}.{extension}"},
        "imported": imported,
        "votes": imported_votes if imported else Votes.count(counted).to_json(),
        "judgments": judgments,
        "adjudication": rulings[0] if rulings else None,
    }


def canonical(value: Any) -> bytes:
    """One line of JSON, the same bytes for the same value."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
