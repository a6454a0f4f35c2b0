"""Records into rows: what is here already counts as unchanged, or as a fault when it differs."""

from __future__ import annotations

from collections.abc import Iterable

from annotation.importing.record_files import Faults, ImportRefused, Problem
from annotation.importing.records import PairIn, PromptIn, digest, prompt_of
from annotation.models import Comparison, Image, Project, Prompt


class RecordWriter:
    """Adds records to a project whose row is locked; collects faults and raises once."""

    def __init__(self, project: Project, *, source: str, keep_labels: bool) -> None:
        self.project = project
        self.images: dict[str, Image] = {}
        self.source = source
        self.keep_labels = keep_labels
        self.faults = Faults()

    def write(self, batches: Iterable[list[tuple[PairIn | PromptIn, str]]]) -> tuple[int, int]:
        """How many records are new and how many were here; with each comes its image's SHA-256.

        Raises ImportRefused when some are here already with other content.
        """
        created = unchanged = 0
        for batch in batches:
            rows = Image.objects.in_bulk({sha for _, sha in batch}, field_name="sha256")
            self.images = {prompt_of(record).image: rows[sha] for record, sha in batch}
            pairs = [record for record, _ in batch if isinstance(record, PairIn)]
            wanted = [prompt_of(record) for record, _ in batch]
            prompts, fresh_prompts = self._prompts(wanted, reuse=bool(pairs))
            fresh = self._comparisons(pairs, prompts) if pairs else fresh_prompts
            created += fresh
            unchanged += len(batch) - fresh
        if self.faults:
            raise ImportRefused(self.faults.said(created + unchanged))
        return created, unchanged

    def _prompts(self, wanted: list[PromptIn], *, reuse: bool) -> tuple[dict[str, Prompt], int]:
        """Prompts by record id, and how many are new.

        ``reuse`` takes a prompt of equal content under another id, so that pairs about the same
        question share one prompt.
        """
        contents = {p.id: p.content_sha256(self.images[p.image].sha256) for p in wanted}
        mine = Prompt.objects.filter(project=self.project)
        by_id = {p.external_id: p for p in mine.filter(external_id__in=list(contents))}
        by_content: dict[str, Prompt] = {}
        if reuse:
            alike = mine.filter(content_sha256__in=list(contents.values())).order_by("-pk")
            by_content = {p.content_sha256: p for p in alike}
        result: dict[str, Prompt] = {}
        fresh: list[Prompt] = []
        for record in wanted:
            content = contents[record.id]
            known = by_id.get(record.id) or by_content.get(content)
            if known is None:
                known = self._new_prompt(record, content)
                fresh.append(known)
                by_content.update({content: known} if reuse else {})
            elif known.content_sha256 != content:
                reason = f"{record.id!r} is here already with another prompt, image or captions"
                self.faults.add(Problem(record.line, "id", reason))
            result[record.id] = known
        if not self.faults:
            Prompt.objects.bulk_create(fresh)
        return result, len(fresh)

    def _new_prompt(self, record: PromptIn, content: str) -> Prompt:
        return Prompt(
            project=self.project,
            external_id=record.id,
            image=self.images[record.image],
            conversation=record.conversation,
            captions=record.captions,
            caption_type=record.caption_type,
            length_bonus=record.length_bonus,
            content_sha256=content,
        )

    def _comparisons(self, pairs: list[PairIn], prompts: dict[str, Prompt]) -> int:
        mine = Comparison.objects.filter(project=self.project)
        known = dict(
            mine.filter(external_id__in=[pair.id for pair in pairs]).values_list(
                "external_id", "content_sha256"
            )
        )
        fresh = []
        for pair in pairs:
            prompt = prompts[pair.prompt.id]
            content = comparison_sha256(prompt, pair.response_1, pair.response_2)
            if pair.id not in known:
                fresh.append(self._new_comparison(pair, prompt, content))
            elif known[pair.id] != content:
                reason = f"{pair.id!r} is here already with other responses"
                self.faults.add(Problem(pair.line, "id", reason))
        if not self.faults:
            Comparison.objects.bulk_create(fresh)
        return len(fresh)

    def _new_comparison(self, pair: PairIn, prompt: Prompt, content: str) -> Comparison:
        comparison = Comparison(
            project=self.project,
            prompt=prompt,
            external_id=pair.id,
            response_1=pair.response_1,
            response_2=pair.response_2,
            model_1=pair.model_1,
            model_2=pair.model_2,
            source=self.source[:200],
            content_sha256=content,
            wanted_judgments=self.project.judgments_per_comparison,
            open_slots=self.project.judgments_per_comparison,
        )
        if pair.label is not None and self.keep_labels:
            comparison.wanted_judgments = comparison.open_slots = 0
            comparison.outcome = Comparison.Outcome.DECIDED
            comparison.preference = pair.label.preference
            comparison.hallucination = pair.label.hallucination
            comparison.margin = pair.label.margin
            comparison.imported_votes = pair.label.votes
        return comparison


def comparison_sha256(prompt: Prompt, response_1: str, response_2: str) -> str:
    """Equal for comparisons that show the same."""
    return digest(prompt.content_sha256, response_1, response_2)
