"""What people found in the words of a row of a release: marks on which they agree, and corrections.

Of the votes that count. What came with an imported file stands where nobody here said anything.
"""

from __future__ import annotations

from typing import Any

from annotation import corrections
from annotation.marks import agreed

Marks = dict[int, list[dict[str, Any]]]


def is_counted(vote: dict[str, Any]) -> bool:
    """Whether a judgment is one of the votes that the release takes."""
    return not vote["surplus"] and vote.get("reliable", True)


def marks_of(row: dict[str, Any]) -> Marks:
    """Marks by response; a response that nobody looked through has no entry."""
    people = [one["spans"] for one in row["judgments"] if one["spans"] and is_counted(one)]
    if people:
        return {number: agreed(number, people) for number in (1, 2)}
    return {int(number): found for number, found in row.get("imported_marks", {}).items()}


def corrections_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Each corrected text once: {"response", "text", "removed", "added"}, the last two as marks.

    Only those that change something: that nothing is false is no pair to learn from.
    """
    responses = {1: row["response_1"], 2: row["response_2"]}
    votes = [vote for vote in row["judgments"] if is_counted(vote)]
    given = [one for vote in votes for one in vote.get("corrections", [])]
    marks = marks_of(row)
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for one in given or row.get("imported_corrections", []):
        number, text = one["response"], one["text"]
        if (number, text) in found or not corrections.is_changed(responses[number], text):
            continue
        answer = responses[number]
        removed, added = corrections.marks_of_change(answer, text, marks.get(number, []))
        found[number, text] = {
            "response": number,
            "text": text,
            "removed": removed,
            "added": added,
        }
    return list(found.values())
