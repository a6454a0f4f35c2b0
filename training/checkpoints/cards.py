"""The model card and the archive that a person downloads: a folder that PEFT loads.

The card is written from the database when it is asked for, so that it always says what is known.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.text import slugify

from annotation import storage
from training.checkpoints import checkpoint_files, registry
from training.figures import curves
from training.figures.comparing import flat
from training.models import Checkpoint, Run
from training.runs import kinds

CARD = "README.md"

Section = tuple[str, list[tuple[str, Any]]]
_sections: list[Callable[[Checkpoint], Section | None]] = []


def register_section(tell: Callable[[Checkpoint], Section | None]) -> None:
    """Have a higher app add a section to the cards of those checkpoints that it knows of."""
    if tell not in _sections:
        _sections.append(tell)


def model_card(checkpoint: Checkpoint) -> str:
    """Markdown with the front matter that model hubs read; ends with a newline."""
    base = checkpoint.base
    header = {
        "base_model": base.source or base.name if base else None,
        "library_name": "peft" if base else "transformers",
        "tags": ["factloop", checkpoint.kind],
    }
    # JSON is YAML: no name that a person chose can break out of its value.
    front = [f"{key}: {json.dumps(value)}" for key, value in header.items() if value]
    parts = [
        "---\n" + "\n".join(front) + "\n---",
        f"# {_plain(checkpoint.name)}",
        _purpose(checkpoint),
        _section("What speaks against its labels", _warnings(checkpoint)),
        _section("Where it comes from", _origin(checkpoint)),
        _section("Figures", _figures(checkpoint)),
    ]
    if checkpoint.run is not None:
        settings = flat(checkpoint.run.settings) | flat(checkpoint.run.model, "model")
        parts.append(_section("Settings", sorted(settings.items())))
    told = (tell(checkpoint) for tell in _sections)
    parts += [_section(title, rows) for title, rows in filter(None, told)]
    parts.append(_section("Files (sha256)", [(f["name"], f["sha256"]) for f in checkpoint.files]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(checkpoint: Checkpoint) -> list[tuple[str, Any]]:
    found = curves.by_importance(checkpoint.metrics)
    return [(one.label, f"{one.value:.6g} {one.unit}".rstrip()) for one in found]


def _purpose(checkpoint: Checkpoint) -> str:
    if checkpoint.kind == Checkpoint.Kind.REWARD_MODEL:
        return (
            "A reward model: an adapter with a scalar head that scores how little a response about "
            "an image hallucinates. Its scores rank responses to one prompt; they mean nothing on "
            "a scale of their own."
        )
    if checkpoint.kind == Checkpoint.Kind.POLICY:
        return (
            "An adapter of a vision-language model. Load the base model, then "
            "`PeftModel.from_pretrained(base, folder)` with this folder."
        )
    return "A base model: `transformers` loads the folder."


def _warnings(checkpoint: Checkpoint) -> list[tuple[str, Any]]:
    return [(one["release"], one["text"]) for one in checkpoint.warnings]


def _origin(checkpoint: Checkpoint) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    run = checkpoint.run
    if run is not None:
        rows += _of_run(run, checkpoint)
    for ancestor in registry.lineage(checkpoint):
        digest = getattr(ancestor.item, "sha256", "")
        rows.append((ancestor.role, f"{ancestor.item}{f' (sha256 {digest})' if digest else ''}"))
    return [*rows, ("sha256 of all files", checkpoint.sha256)] if checkpoint.sha256 else rows


def _of_run(run: Run, checkpoint: Checkpoint) -> list[tuple[str, Any]]:
    return [
        ("made by", f"run {run.pk}, {kinds.get(run.kind).title}"),
        ("step", checkpoint.step),
        ("made on", checkpoint.created_at.date().isoformat()),
        ("code version", checkpoint.code_version or "not recorded"),
        ("preset", run.preset),
        ("seed", run.seed),
    ]


def _section(title: str, rows: list[tuple[str, Any]]) -> str:
    if not rows:
        return ""
    lines = [f"| {_plain(name)} | {_plain(value)} |" for name, value in rows]
    return "\n".join([f"## {title}", "", "| what | value |", "|---|---|", *lines])


def _plain(value: Any) -> str:
    """Text that stays in its cell and is never markup."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    text = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\|<>[]`*_" else letter for letter in text)


def download(checkpoint: Checkpoint) -> StreamingHttpResponse:
    """The archive as an attachment, named after the checkpoint."""
    answer = StreamingHttpResponse(archive(checkpoint), content_type="application/zip")
    filename = f"{slugify(checkpoint.name)[:80] or 'checkpoint'}-{checkpoint.pk}.zip"
    answer["Content-Disposition"] = content_disposition_header(True, filename)
    return answer


def archive(checkpoint: Checkpoint) -> Iterator[bytes]:
    """A zip of the checkpoint's files and its card, made while it is sent.

    Nothing is held in memory but two chunks. A file that differs from what was stored raises
    RegistryError before the archive is closed: what the person has then is no valid archive.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(cast(IO[bytes], pipe), "w") as packed:
        packed.writestr(_entry(checkpoint, CARD), model_card(checkpoint))
        for file in checkpoint.files:
            if file["name"] == CARD:
                continue
            yield from _packed(checkpoint, file, packed, pipe)
    yield pipe.drain()


def _packed(
    checkpoint: Checkpoint, file: dict[str, Any], packed: zipfile.ZipFile, pipe: _Pipe
) -> Iterator[bytes]:
    entry = _entry(checkpoint, file["name"])
    with packed.open(entry, "w", force_zip64=True) as target:
        try:
            for chunk in checkpoint_files.file_chunks(checkpoint, file["name"]):
                target.write(chunk)
                yield pipe.drain()
        except storage.Damaged as error:
            raise checkpoint_files.differs(checkpoint, file["name"]) from error


def _entry(checkpoint: Checkpoint, name: str) -> zipfile.ZipInfo:
    """Stored, not compressed: weights do not shrink."""
    return zipfile.ZipInfo(name, checkpoint.created_at.timetuple()[:6])


class _Pipe:
    """What ZipFile writes to, and the response reads from; it cannot seek."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def drain(self) -> bytes:
        """What was written since the last time."""
        data = bytes(self._waiting)
        self._waiting.clear()
        return data
