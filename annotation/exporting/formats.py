"""The formats of a release: a row of the frozen artefact in, lines of a file out.

Each is a pure function of one row, so that a download of any length holds one record at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from annotation.releases.artefact import canonical
from annotation.releases.findings import corrections_of, marks_of
from annotation.texts import without_placeholder

ROLES = {"human": "user", "gpt": "assistant"}
FORMULA_STARTS = frozenset("=+-@\t\r")


def llava_rlhf(row: dict[str, Any]) -> Iterator[bytes]:
    """The native preference record (fact-rlhf, section 1); the engine reads this."""
    if row["exported"]:
        yield canonical(
            {
                "id": row["external_id"],
                "image": row["image"]["name"],
                "conversations": wire_conversation(row["conversation"]),
                **_outputs(row),
                "preference": row["preference"],
                "hallucination": row["hallucination"],
                "captions": row["captions"],
                "caption_type": row["caption_type"],
                "length_bonus": row["length_bonus"],
                "votes": row["votes"],
                "margin": row["margin"],
                **_corrections(row),
                # People are not named: a record that is imported again must come out the same.
                **({"decided_by": "machine"} if "machine" in row else {}),
            }
        )


def decided_by(row: dict[str, Any]) -> str:
    """ "people", "machine", or "file" where the label came with an import."""
    if "machine" in row:
        return "machine"
    return "file" if row["imported"] else "people"


def _told(row: dict[str, Any]) -> dict[str, str]:
    """Who decided, in a release of which machines decided some."""
    return {"decided_by": row["decided_by"]} if "decided_by" in row else {}


def _outputs(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Both outputs, with the words found false in them where somebody looked for such words."""
    outputs = {
        # An output of no known maker is said to be of "llava", as the paper's are: what a release
        # was exported as stays what it was.
        f"output_{n}": {"from": row[f"model_{n}"] or "llava", "value": row[f"response_{n}"]}
        for n in (1, 2)
    }
    for n, marks in marks_of(row).items():
        outputs[f"output_{n}"]["marks"] = marks
    return outputs


def _corrections(row: dict[str, Any]) -> dict[str, Any]:
    """The one optional member: texts better than the output that each corrects."""
    found = [
        {
            "output": one["response"],
            "value": one["text"],
            "marks": one["added"],
            "replaced": one["removed"],
        }
        for one in corrections_of(row)
    ]
    return {"corrections": found} if found else {}


def votes(row: dict[str, Any]) -> Iterator[bytes]:
    """Every judgment with a pseudonymous annotator, the order shown and the time taken; then, where
    a machine decided, what it said: its ``annotator`` is null."""
    about = {
        "comparison": row["external_id"],
        "image": row["image"]["name"],
        "split": row["split"],
        "outcome": row["outcome"],
    }
    for judgment in row["judgments"]:
        yield canonical({**about, **judgment})
    if "machine" in row:
        said = row["machine"]["more_hallucinated"]
        vote = {"annotator": None, "more_hallucinated": said, "machine": row["machine"]}
        yield canonical({**about, **vote})


CSV_COLUMNS = (
    "id",
    "split",
    "image",
    "question",
    "better",
    "worse",
    "better_model",
    "worse_model",
    "preference",
    "hallucination",
    "margin",
    "votes_1",
    "votes_2",
    "votes_tie",
)


def csv_row(row: dict[str, Any]) -> Iterator[bytes]:
    """One flat preference; cells that a spreadsheet would run as a formula are neutralised."""
    if not row["exported"]:
        return
    better, worse = better_and_worse(row)
    counts = row["votes"]
    texts = (
        row["external_id"],
        row["split"],
        row["image"]["name"],
        _one_question(row["conversation"]).strip(),
        row[f"response_{better}"],
        row[f"response_{worse}"],
        row[f"model_{better}"],
        row[f"model_{worse}"],
    )
    end = f",{row['decided_by']}" if "decided_by" in row else ""
    # Written out, because most of a download's time went into looking at numbers as at texts.
    yield (
        f"{','.join([_csv_text(text) for text in texts])},{row['preference']},"
        f"{'true' if row['hallucination'] else 'false'},{row['margin']},"
        f"{counts.get('1', 0)},{counts.get('2', 0)},{counts.get('tie', 0)}{end}\r\n"
    ).encode()


def csv_line(cells: Iterable[Any]) -> bytes:
    """One line of CSV (RFC 4180); a number is written as it is and None as an empty cell."""
    return (",".join(map(_csv_cell, cells)) + "\r\n").encode()


def _csv_cell(value: Any) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    return _csv_text(value)


def _csv_text(text: str) -> str:
    # A leading quote is what spreadsheets take as "this is text". One that is there already gets
    # another, so that an import can take away exactly what was put before.
    if text.lstrip("'")[:1] in FORMULA_STARTS:
        text = f"'{text}"
    if "," in text or '"' in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def trl(row: dict[str, Any]) -> Iterator[bytes]:
    """What TRL's DPO takes: a conversation, the better and the worse answer, images by name."""
    if row["exported"]:
        yield canonical({**trl_record(row), "images": [row["image"]["name"]]})


def trl_record(row: dict[str, Any]) -> dict[str, Any]:
    """The part of a TRL record that does not say where the image lies."""
    better, worse = better_and_worse(row)
    return {
        "id": row["external_id"],
        "prompt": [_message(*spoken) for spoken in _spoken(row["conversation"])],
        "chosen": [_message("gpt", row[f"response_{better}"])],
        "rejected": [_message("gpt", row[f"response_{worse}"])],
        **_told(row),
    }


def dataset_record(row: dict[str, Any]) -> dict[str, Any]:
    """A line of metadata.jsonl: ``file_names`` is what ``datasets`` turns into ``images``."""
    return {
        **trl_record(row),
        "file_names": [row["image"]["name"]],
        "hallucination": row["hallucination"],
        "margin": row["margin"],
        "captions": row["captions"],
    }


def _spoken(conversation: list[dict[str, str]]) -> list[tuple[str, str, bool]]:
    """(speaker, text, whether the image stands before it) of each turn.

    The image belongs to the first turn of the human, wherever its mark stands there or does not.
    In any other turn, as in an answer, "<image>" is a text that somebody wrote.
    """
    first = next((n for n, turn in enumerate(conversation) if turn["from"] == "human"), 0)
    return [
        (turn["from"], without_placeholder(turn["value"]), True)
        if number == first
        else (turn["from"], turn["value"], False)
        for number, turn in enumerate(conversation)
    ]


def _message(speaker: str, text: str, shows_image: bool = False) -> dict[str, Any]:
    image = [{"type": "image"}] if shows_image else []
    return {"role": ROLES[speaker], "content": [*image, {"type": "text", "text": text}]}


def rlhf_v(row: dict[str, Any]) -> Iterator[bytes]:
    """A row as the RLHF-V and RLAIF-V data sets have it; ``idx`` is the place in the release.

    These sets know one question only: earlier turns stand before it, each with its speaker, and as
    they are in ``origin_split``. After a pair each correction of one of its answers is a row of its
    own, as in RLHF-V: the corrected text is chosen, the answer rejected.
    """
    if not row["exported"]:
        return
    better, worse = better_and_worse(row)
    sides = {"chosen": better, "rejected": worse}
    origin: dict[str, Any] = {"id": row["external_id"], **_origin(row)}
    origin["models"] = {side: row[f"model_{number}"] for side, number in sides.items()}
    origin |= _told(row)
    if not row["hallucination"]:
        origin["hallucination"] = False
    marks = marks_of(row)
    if marks:
        found = {side: marks[number] for side, number in sides.items() if number in marks}
        origin["marks"] = found
    yield _rlhf_v_line(row, origin, row[f"response_{better}"], row[f"response_{worse}"])
    for number, one in enumerate(corrections_of(row), start=1):
        answer, model = row[f"response_{one['response']}"], row[f"model_{one['response']}"]
        about = {
            "id": f"{row['external_id'][:180]}#correction-{number}",
            "corrects": row["external_id"],
            "models": {"chosen": "", "rejected": model},
            **_origin(row),
        }
        yield _rlhf_v_line(row, about, one["text"], answer)


def _origin(row: dict[str, Any]) -> dict[str, Any]:
    many = len(row["conversation"]) > 1
    turns = {"conversations": row["conversation"]} if many else {}
    return {"split": row["split"], **turns}


def _rlhf_v_line(row: dict[str, Any], origin: dict[str, Any], chosen: str, rejected: str) -> bytes:
    return canonical(
        {
            "ds_name": "factloop",
            "image": row["image"]["name"],
            "question": _one_question(row["conversation"]),
            "chosen": chosen,
            "rejected": rejected,
            "origin_dataset": row["source"],
            # A text and not an object: so it is in the published sets.
            "origin_split": canonical(origin).decode().strip(),
            "idx": row["number"],
            "image_path": f"images/{row['image']['name']}",
        }
    )


def _one_question(conversation: list[dict[str, str]]) -> str:
    spoken = _spoken(conversation)
    if len(spoken) == 1:
        return spoken[0][1]
    speakers = {"human": "Question", "gpt": "Answer"}
    return "\n".join(f"{speakers[speaker]}: {text.strip()}" for speaker, text, _ in spoken)


def better_and_worse(row: dict[str, Any]) -> tuple[int, int]:
    """The numbers of the better and the worse response of an exported row."""
    return (1, 2) if row["preference"] == 1 else (2, 1)


def wire_conversation(conversation: list[dict[str, str]]) -> list[dict[str, str]]:
    """The paper's format ends with the turn that each output then fills."""
    return [*conversation, {"from": "gpt", "value": ""}]


Format = Callable[[dict[str, Any]], Iterator[bytes]]
FORMATS: dict[str, Format] = {
    "llava_rlhf": llava_rlhf,
    "trl": trl,
    "rlhf_v": rlhf_v,
    "votes": votes,
    "csv": csv_row,
}
HEADS: dict[str, Callable[[bool], bytes]] = {
    "csv": lambda told: csv_line((*CSV_COLUMNS, *(["decided_by"] if told else [])))
}
"""By whether rows say who decided."""
SUFFIXES = {name: "csv" if name == "csv" else "jsonl" for name in FORMATS}
CONTENT_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
