"""The records of a file between reading and writing: on disk, so that a million fit into memory.

A temporary SQLite database holds them with what has to be asked of all of them together: ids that
occur twice, and the images that they name.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from annotation.importing.records import Label, PairIn, PromptIn, digest, prompt_of
from annotation.importing.verdicts import TIE

BATCH = 1000
_TABLES = """
    CREATE TABLE records (seq INTEGER PRIMARY KEY, line INTEGER, id TEXT, asked TEXT, told_by TEXT,
                          image TEXT, facts INTEGER, vote TEXT, body TEXT);
    CREATE TABLE images (name TEXT PRIMARY KEY, about TEXT, captions TEXT);
"""
_REPEATED = "SELECT id, min(seq) AS first FROM records GROUP BY id HAVING count(*) > 1"


class Spool:
    """Records in their order; use as a context manager."""

    def __init__(self, *, tell_apart: bool = False) -> None:
        """``tell_apart``: ids that repeat by design are told apart by the conversation.

        Pairs whose id is that of their question are told apart by their answers.
        """
        self._tell_apart = tell_apart
        # The empty name is a file of its own that vanishes with the connection.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;"
        )
        self._database.executescript(_TABLES)
        self._waiting: list[tuple[Any, ...]] = []
        self.counted_together = 0
        """Records that are the votes of others, once ``settle`` has counted them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def __len__(self) -> int:
        self._flush()
        [count] = self._database.execute("SELECT count(*) FROM records").fetchone()
        return int(count)

    def add(self, record: PairIn | PromptIn) -> None:
        prompt = prompt_of(record)
        asked = told_by = ""
        if self._tell_apart:
            told_by = digest(prompt.conversation)[:8]
        elif isinstance(record, PairIn) and (record.id_of_question or record.vote_of):
            asked = digest(prompt.image, prompt.conversation)
            told_by = digest(record.response_1, record.response_2)[:8]
        vote = record.vote_of if isinstance(record, PairIn) else ""
        about = (record.line, record.id, asked, told_by, prompt.image, bool(prompt.captions), vote)
        self._waiting.append((*about, _dumped(record)))
        if len(self._waiting) == BATCH:
            self._flush()

    def settle(self) -> None:
        """After the last record: ids are told apart, and questions about all become quick."""
        self._flush()
        self._database.executescript(
            "CREATE INDEX by_id ON records (id); CREATE INDEX by_image ON records (image);"
        )
        self.counted_together = sum(self._count_votes())
        self._database.execute(
            "UPDATE records SET id = id || ' ' || told_by WHERE told_by <> '' AND id IN "
            "(SELECT id FROM records GROUP BY id HAVING count(*) > 1 AND count(DISTINCT asked) = 1)"
        )

    def _count_votes(self) -> Iterator[int]:
        """Makes one record of those of several people about one pair; how many it takes away.

        An answer that is there twice stays, as a repeated id.
        """
        several = self._database.execute(
            "SELECT id, asked, told_by FROM records WHERE vote <> '' "
            "GROUP BY id, asked, told_by HAVING count(*) > 1"
        ).fetchall()
        for about in several:
            rows = self._database.execute(
                "SELECT min(seq), body FROM records WHERE id = ? AND asked = ? AND told_by = ? "
                "AND vote <> '' GROUP BY vote ORDER BY 1",
                about,
            ).fetchall()
            (first, body), *others = [(seq, json.loads(body)) for seq, body in rows]
            pair = body["pair"]
            for _, other in others:
                for side, count in other["pair"]["votes"].items():
                    pair["votes"][side] += count
            pair["label"], pair["tie"] = _decided(pair["votes"], pair["label"])
            self._database.execute(
                "UPDATE records SET body = ? WHERE seq = ?", (json.dumps(body), first)
            )
            self._database.executemany(
                "DELETE FROM records WHERE seq = ?", ((seq,) for seq, _ in others)
            )
            yield len(others)

    def ties_of_people(self) -> Iterator[int]:
        """The lines of pairs that the answers of people, a row for each, leave undecided."""
        rows = self._database.execute("SELECT line, body FROM records WHERE vote <> ''")
        for line, body in rows:
            if json.loads(body)["pair"]["tie"]:
                yield line

    def repeated_ids(self) -> Iterator[tuple[int, str, int]]:
        """(line, id, line where that id stands first) of each record whose id was there before."""
        yield from self._database.execute(
            f"SELECT r.line, r.id, f.line FROM ({_REPEATED}) d JOIN records r ON r.id = d.id "
            "JOIN records f ON f.seq = d.first WHERE r.seq > d.first ORDER BY r.seq"
        )

    def count_images(self) -> int:
        [count] = self._database.execute("SELECT count(DISTINCT image) FROM records").fetchone()
        return int(count)

    def images(self) -> Iterator[tuple[str, int, bool]]:
        """(name, first line, whether each of its records brings facts), in the file's order."""
        rows = self._database.execute(
            "SELECT image, min(line), min(facts), min(seq) AS first FROM records "
            "GROUP BY image ORDER BY first"
        )
        for name, line, facts, _ in rows:
            yield name, line, bool(facts)

    def lines_of(self, image: str) -> list[int]:
        rows = self._database.execute(
            "SELECT line FROM records WHERE image = ? ORDER BY seq", (image,)
        )
        return [line for (line,) in rows]

    def leave_out(self, images: Iterable[str]) -> None:
        """Drops the records of these images."""
        self._database.executemany(
            "DELETE FROM records WHERE image = ?", ((image,) for image in images)
        )

    def keep_image(self, name: str, about: Any) -> None:
        """Remembers JSON about the image that is called so here."""
        self._database.execute(
            "INSERT INTO images (name, about) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET about = excluded.about",
            (name, json.dumps(about)),
        )

    def keep_captions(self, name: str, captions: list[str]) -> None:
        """Facts for the records of an image that bring none."""
        self._database.execute(
            "INSERT INTO images (name, captions) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET captions = excluded.captions",
            (name, json.dumps(captions)),
        )

    def kept_images(self) -> Iterator[list[Any]]:
        """What was remembered of images, some at a time."""
        rows = self._database.execute("SELECT about FROM images WHERE about IS NOT NULL")
        while batch := rows.fetchmany(BATCH):
            yield [json.loads(about) for (about,) in batch]

    def batches(self) -> Iterator[list[tuple[PairIn | PromptIn, Any]]]:
        """Each record with what was remembered of its image, some at a time."""
        rows = self._database.execute(
            "SELECT r.id, r.body, i.about, i.captions FROM records r "
            "LEFT JOIN images i ON i.name = r.image ORDER BY r.seq"
        )
        while batch := rows.fetchmany(BATCH):
            yield [
                (_loaded(id, json.loads(body), captions), json.loads(about) if about else None)
                for id, body, about, captions in batch
            ]

    def _flush(self) -> None:
        if self._waiting:
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT INTO records (line, id, asked, told_by, image, facts, vote, body) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                self._waiting,
            )
            self._database.execute("COMMIT")
            self._waiting.clear()


def _decided(votes: dict[str, int], label: Any) -> tuple[dict[str, Any] | None, bool]:
    """The label that votes make, and whether they are a tie."""
    best = max(votes.values())
    leading = [side for side, count in votes.items() if count == best]
    if len(leading) > 1 or leading[0] == TIE:
        return None, True
    honest = label["hallucination"] if label else True
    margin = abs(votes["1"] - votes["2"]) / sum(votes.values())
    made = Label(preference=int(leading[0]), hallucination=honest, margin=margin, votes=votes)
    return vars(made), False


def _dumped(record: PairIn | PromptIn) -> str:
    if isinstance(record, PromptIn):
        return json.dumps({"prompt": vars(record)})
    label = vars(record.label) if record.label else None
    pair = {**vars(record), "prompt": vars(record.prompt), "label": label}
    return json.dumps({"prompt": pair.pop("prompt"), "pair": pair})


def _loaded(id: str, body: dict[str, Any], captions: str | None) -> PairIn | PromptIn:
    prompt = PromptIn(**body["prompt"])
    if captions and not prompt.captions:
        prompt = replace(prompt, captions=json.loads(captions))
    pair = body.get("pair")
    if pair is None:
        return prompt if prompt.id == id else replace(prompt, id=id)
    label = Label(**pair.pop("label")) if pair["label"] else pair.pop("label")
    return PairIn(**{**pair, "id": id}, prompt=prompt, label=label)
