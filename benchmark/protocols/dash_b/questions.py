"""DASH-B's questions: 70 objects, pictures that tempt to see each where it is not, and some where
it is (arXiv 2503.23573)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.protocols import files
from benchmark.protocols.object_sentences import YesOrNo
from benchmark.protocols.protocol import Refused

FILES: dict[YesOrNo, str] = {"no": "dash_benchmark_neg.json", "yes": "dash_benchmark_pos.json"}
"""Pictures without and with the object: source, object, names of pictures."""
QUERY = "Can you see a {object} in this image? Please answer only with yes or no."


@dataclass(frozen=True, kw_only=True)
class Question:
    """One picture and the object that is asked for; ``image`` is its path in the folder."""

    question_id: int
    object: str
    image: str
    label: YesOrNo
    source: str = ""

    @property
    def text(self) -> str:
        return QUERY.format(object=self.object)


def load_questions(folder: str | Path) -> list[Question]:
    """Both files of a published folder, those without the object first. Raises Refused."""
    path = Path(folder)
    path = path.parent if path.is_file() else path
    absent = [name for name in FILES.values() if not (path / name).is_file()]
    if absent:
        raise Refused(f"{path.name} holds no {name}" for name in absent)
    found: list[Question] = []
    for label, name in FILES.items():
        for source, object_name, image in _pictures(path / name):
            folder_name = "pos" if label == "yes" else "neg"
            found.append(
                Question(
                    question_id=len(found) + 1,
                    object=object_name,
                    image=f"{folder_name}/{object_name}/{image}",
                    label=label,
                    source=source,
                )
            )
    return found


def record(question: Question) -> dict[str, Any]:
    """The question in the fields that question sets are kept in."""
    return {
        "question_id": question.question_id,
        "question_type": "present" if question.label == "yes" else "absent",
        "question_topic": question.object,
        "image_id": question.image,
        "image_src": question.image,
        "image_content": [],
        "question": question.text,
        "gt_answer": question.label,
        "model_answer": "",
    }


def image_names(question: Question) -> tuple[str, ...]:
    """Where its picture may lie: names of pictures repeat from object to object."""
    kind, object_name, name = question.image.split("/", 2)
    return (
        question.image,
        f"{kind}/{question.source}/{object_name}/{name}",
        f"images/{kind}/{question.source}/{object_name}/{name}",
        f"images/{kind}/{object_name}/{name}",
    )


def _pictures(path: Path) -> list[tuple[str, str, str]]:
    document = files.document(path)
    found = [
        (source, object_name, image)
        for source, objects in _members(document, path.name)
        for object_name, images in _members(objects, f"{path.name}, {source}")
        for image in (images if isinstance(images, list) else [images])
    ]
    if not all(isinstance(image, str) for _, _, image in found):
        raise Refused(f"{path.name}: a picture's name is not a text")
    return found


def _members(value: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise Refused(f"{where}: is not an object")
    return list(value.items())
