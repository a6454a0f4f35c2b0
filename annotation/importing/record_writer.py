"""Records into rows: what is here already counts as unchanged, or as a fault when it differs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from annotation.importing.bulk import Table
from annotation.importing.record_files import Faults, ImportRefused, Problem
from annotation.importing.records import Label, PairIn, PromptIn, digest, prompt_of
from annotation.models import Comparison, Image, Project, Prompt
from annotation.models.items import random_shuffle
from annotation.texts import look_alike
from config.sanitising import storable

PROMPT_FIELDS = (
    *("project", "external_id", "image", "conversation", "captions"),
    *("caption_type", "length_bonus", "content_sha256"),
)
COMPARISON_FIELDS = (
    *("project", "prompt", "external_id", "response_1", "response_2", "model_1", "model_2"),
    *("source", "content_sha256", "shuffle", "wanted_judgments", "open_slots"),
    *("outcome", "preference", "hallucination", "margin", "imported_votes"),
    *("imported_marks", "imported_corrections"),
)
_KEPT = (
    *("imported_marks", "imported_corrections", "imported_votes"),
    *("preference", "hallucination", "margin", "wanted_judgments", "outcome"),
)
"""Of a comparison that is here, what a file may say anew of it, and how it stands."""
MARKED, CORRECTED, LABEL = "marked words", "corrections", "label and votes"
TAKEN_OUT = "the pair is here already, taken out by a manager, who can bring it back"
_FIELDS = {MARKED: "marks", CORRECTED: "corrections", LABEL: "preference"}


class _Stored(NamedTuple):
    """A prompt that has a row, or will have one at the end of its batch."""

    key: int
    content_sha256: str


class RecordWriter:
    """Adds records to a project whose row is locked; collects faults and raises once."""

    def __init__(self, project: Project, *, source: str, keep_labels: bool) -> None:
        self.project = project
        self.images: dict[str, tuple[int, str]] = {}
        """(key, SHA-256) of the images of a batch, by the name that its records have for them."""
        self.source = storable(source)[:200]
        self.keep_labels = keep_labels
        self.faults = Faults()
        self.warnings = Faults()
        self.not_taken: Counter[str] = Counter()
        """Of how many records that were here already something was not kept."""
        self._prompt_table = Table(Prompt, PROMPT_FIELDS)
        self._comparison_table = Table(Comparison, COMPARISON_FIELDS)

    def write(self, batches: Iterable[list[tuple[PairIn | PromptIn, str]]]) -> tuple[int, int]:
        """How many records are new and how many were here; with each comes its image's SHA-256.

        Raises ImportRefused when some are here already with other content.
        """
        created = unchanged = 0
        for batch in batches:
            mine = Image.objects.filter(sha256__in={sha for _, sha in batch})
            keys = dict(mine.values_list("sha256", "pk"))
            self.images = {prompt_of(record).image: (keys[sha], sha) for record, sha in batch}
            pairs = [record for record, _ in batch if isinstance(record, PairIn)]
            wanted = [prompt_of(record) for record, _ in batch]
            prompts, fresh_prompts = self._prompts(wanted, reuse=bool(pairs))
            fresh = self._comparisons(pairs, prompts) if pairs else fresh_prompts
            created += fresh
            unchanged += len(batch) - fresh
        if self.faults:
            raise ImportRefused(self.faults.said(created + unchanged))
        return created, unchanged

    def _prompts(self, wanted: list[PromptIn], *, reuse: bool) -> tuple[dict[str, _Stored], int]:
        """Prompts by record id, and how many are new.

        ``reuse`` takes a prompt of equal content under another id, so that pairs about the same
        question share one prompt.
        """
        contents = {p.id: p.content_sha256(self.images[p.image][1]) for p in wanted}
        table, mine = self._prompt_table, self.project.pk
        known_ids = table.found(
            mine, "external_id", [*contents], "external_id", "id", "content_sha256"
        )
        by_id = {id: _Stored(key, content) for id, key, content in known_ids}
        by_content: dict[str, _Stored] = {}
        if reuse:
            alike = table.found(
                mine, "content_sha256", [*{*contents.values()}], "content_sha256", "id"
            )
            by_content = {content: _Stored(key, content) for content, key in alike}
        result: dict[str, _Stored] = {}
        fresh: list[PromptIn] = []
        keys = iter(self._prompt_table.new_keys(len({*contents} - {*by_id})))
        for record in wanted:
            content = contents[record.id]
            known = by_id.get(record.id) or by_content.get(content)
            if known is None:
                known = _Stored(next(keys), content)
                fresh.append(record)
                by_content.update({content: known} if reuse else {})
            elif known.content_sha256 != content:
                reason = f"{record.id!r} is here already with another prompt, image or captions"
                self.faults.add(Problem(record.line, "id", reason))
            result[record.id] = known
        if fresh and not self.faults:
            self._prompt_table.write(self._prompt_row(one, result[one.id]) for one in fresh)
        return result, len(fresh)

    def _prompt_row(self, record: PromptIn, stored: _Stored) -> tuple[Any, ...]:
        return (
            *(stored.key, self.project.pk, record.id, self.images[record.image][0]),
            *(record.conversation, record.captions, record.caption_type, record.length_bonus),
            stored.content_sha256,
        )

    def _comparisons(self, pairs: list[PairIn], prompts: dict[str, _Stored]) -> int:
        columns = ("external_id", "content_sha256", *_KEPT)
        ids = [pair.id for pair in pairs]
        rows = self._comparison_table.found(self.project.pk, "external_id", ids, *columns)
        known = {id: (content, dict(zip(_KEPT, kept, strict=True))) for id, content, *kept in rows}
        fresh: list[tuple[PairIn, str]] = []
        for pair in pairs:
            prompt = prompts[pair.prompt.id]
            content = comparison_sha256(prompt, pair.response_1, pair.response_2)
            if pair.id not in known:
                fresh.append((pair, content))
                continue
            there, kept = known[pair.id]
            if there != content:
                reason = f"{pair.id!r} is here already with other responses"
                self.faults.add(Problem(pair.line, "id", reason))
                continue
            if kept["outcome"] == Comparison.Outcome.RETIRED:
                self.warnings.add(Problem(pair.line, "id", TAKEN_OUT))
            if self.keep_labels:
                self._say_what_is_not_taken(pair, kept)
        if fresh and not self.faults:
            keys = self._comparison_table.new_keys(len(fresh))
            self._comparison_table.write(
                (key, *self._comparison_row(pair, prompts[pair.prompt.id].key, content))
                for key, (pair, content) in zip(keys, fresh, strict=True)
            )
        return len(fresh)

    def _say_what_is_not_taken(self, pair: PairIn, kept: dict[str, Any]) -> None:
        """Of a pair that is here already nothing changes, since people may have judged it."""
        marks, corrections = (_from_json(kept[f"imported_{n}"]) for n in ("marks", "corrections"))
        differing = {
            MARKED: pair.marks and pair.marks != marks,
            CORRECTED: pair.corrections and pair.corrections != corrections,
            LABEL: pair.label is not None and not _is_label_of(pair, pair.label, kept),
        }
        for what, differs in differing.items():
            if differs:
                self.not_taken[what] += 1
                reason = f"{what} are not taken: the pair is here already, and stays as it is"
                self.warnings.add(Problem(pair.line, _FIELDS[what], reason))

    def _comparison_row(self, pair: PairIn, prompt: int, content: str) -> tuple[Any, ...]:
        wanted = self.project.judgments_per_comparison
        decided: tuple[Any, ...] = (Comparison.Outcome.WAITING, None, None, None, {})
        label: Label | None = pair.label if self.keep_labels else None
        if look_alike(pair.response_1, pair.response_2):
            # Also against a label: of two equal texts neither is better.
            wanted = 0
            decided = (Comparison.Outcome.UNDECIDED, None, None, None, {})
        elif label is not None:
            wanted = 0
            said = (label.preference, label.hallucination, label.margin, label.votes)
            decided = (Comparison.Outcome.DECIDED, *said)
        return (
            *(self.project.pk, prompt, pair.id, pair.response_1, pair.response_2),
            *(pair.model_1, pair.model_2, self.source, content, random_shuffle()),
            *(wanted, wanted),
            *decided,
            *((pair.marks, pair.corrections) if self.keep_labels else ({}, [])),
        )


def _is_label_of(pair: PairIn, label: Label, kept: dict[str, Any]) -> bool:
    """Whether a label is the one that is here; votes and margin count where a file decided too."""
    if look_alike(pair.response_1, pair.response_2):
        return True  # said as such, and never taken
    if (kept["preference"], kept["hallucination"]) != (label.preference, label.hallucination):
        return False
    by_people = kept["wanted_judgments"] > 0
    return by_people or (kept["margin"], _from_json(kept["imported_votes"])) == (
        label.margin,
        label.votes,
    )


def _from_json(value: Any) -> Any:
    """A column of JSON, which a plain cursor gives as its text."""
    return json.loads(value) if isinstance(value, str) else value


def comparison_sha256(prompt: Prompt | _Stored, response_1: str, response_2: str) -> str:
    """Equal for comparisons that show the same."""
    return digest(prompt.content_sha256, response_1, response_2)
